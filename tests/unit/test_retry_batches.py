"""How a retry splits files in error into new sub-orders: domain.md 12.6, with the limits of 4.5."""

from itertools import count

import pytest

from rs_order.domain.file_batches import FileBatch, FileInError, RetryBatches
from rs_order.domain.ids import DataFileId, DatasetTaskId, SubOrderId
from rs_order.domain.states import FileState, SubOrderKind
from tests.unit.catalog import MEBIBYTE

STORAGE, EXTERNAL = SubOrderKind.STORAGE, SubOrderKind.EXTERNAL
_numbers = count(1)


def a_file(kind: SubOrderKind = STORAGE, size: int | None = 10) -> FileInError:
    return FileInError(
        DataFileId(next(_numbers)), DatasetTaskId(1), SubOrderId(1), kind, FileState.ERROR, size
    )


def split(
    *files: FileInError, left_open: dict[SubOrderKind, FileBatch[FileInError]] | None = None
) -> list[tuple[SubOrderKind, int, bool]]:
    """Return kind, number of files and ``closed`` of each batch, before the retry ends."""
    batches = RetryBatches(100 * MEBIBYTE, left_open or {})
    for file in files:
        batches.add(file)
    return [(batch.kind, batch.total_files, batch.closed) for batch in batches.touched]


@pytest.mark.parametrize(
    ("kind", "files", "size", "batches"),
    [
        (STORAGE, 2, 100 * MEBIBYTE, [(1, True), (1, True)]),
        (STORAGE, 3, 50 * MEBIBYTE, [(2, True), (1, False)]),
        (STORAGE, 5001, None, [(5000, True), (1, False)]),
        (EXTERNAL, 1000, 10, [(1000, False)]),
        (EXTERNAL, 1002, 100 * MEBIBYTE, [(1001, True), (1, False)]),
    ],
)
def test_batches_have_the_limits_of_a_completion(
    kind: SubOrderKind, files: int, size: int | None, batches: list[tuple[int, bool]]
) -> None:
    """C8 and C11, but the size is checked after each file, not after each product."""
    expected = [(kind, total, closed) for total, closed in batches]

    assert split(*(a_file(kind, size) for _ in range(files))) == expected


def test_c10_kinds_never_mix() -> None:
    assert split(a_file(STORAGE), a_file(EXTERNAL), a_file(STORAGE)) == [
        (STORAGE, 2, False),
        (EXTERNAL, 1, False),
    ]


def test_a_batch_left_open_is_continued() -> None:
    """Its previous files count."""
    begun = FileBatch[FileInError](
        STORAGE, total_files=4999, total_bytes=1, sub_order=SubOrderId(7)
    )

    assert split(a_file(), a_file(), left_open={STORAGE: begun}) == [
        (STORAGE, 5000, True),
        (STORAGE, 1, False),
    ]


@pytest.mark.parametrize(
    ("kind", "state"), [(STORAGE, FileState.PENDING), (EXTERNAL, FileState.AVAILABLE)]
)
def test_w18_the_state_of_a_retried_file(kind: SubOrderKind, state: FileState) -> None:
    """Stored files are requested again; external ones are available without a request (T3)."""
    assert a_file(kind).retried_state is state
