"""How the inputs of a process are split into batches: domain.md 5.2 and 5.3, example by example."""

from dataclasses import replace
from uuid import UUID

import pytest

from rs_order.domain.files import OtherType
from rs_order.domain.ids import Urn
from rs_order.domain.input_batches import (
    BatchLimits,
    Group,
    InputBatch,
    InputBatches,
    InputFile,
    InputProduct,
    SplitForbidden,
    Totals,
    group_of,
    inputs_of,
)
from rs_order.domain.process import Cardinality, Forecast, LimitKind, Process, Scope
from tests.unit.catalog import a_file, a_product

BATCH = 1000
PROCESS = Process(
    id=UUID(int=1),
    scope=Scope.SUBORDER,
    cardinality=Cardinality.ONE_PER_EXECUTION,
    data_types=frozenset({"RAWDATA", "THUMBNAIL"}),
    limit_kind=LimitKind.NO_LIMIT,
    limit=0,
    forecast=Forecast(factor=1.0),
    forbids_split=False,
)


def products(*files: tuple[int, int]) -> list[InputProduct]:
    """Return one product for each pair of number of files and size of each."""
    return [
        InputProduct(
            Urn(f"urn{number}"),
            None,
            1,
            tuple(InputFile(f"f{n}", a_file(size, name=f"f{n}")) for n in range(count)),
        )
        for number, (count, size) in enumerate(files)
    ]


def split(
    limits: BatchLimits, given: list[InputProduct], *, forbids_split: bool = False
) -> list[int]:
    """Return the number of products of each batch."""
    batches = InputBatches(limits, forbids_split=forbids_split)
    batches.add(given)
    batches.finish()
    assert all(batch.closed for batch in batches.touched)
    return [len(batch.added) for batch in batches.touched]


@pytest.mark.parametrize(
    ("kind", "limit", "given", "expected"),
    [
        (LimitKind.NO_LIMIT, 0, [(1, 10)] * 5, [5]),
        (LimitKind.FILES, 0, [(1, 10)] * 5, [5]),
        (LimitKind.FILES, 4, [(1, 10)] * 10, [4, 4, 2]),
        (LimitKind.FILES, 5, [(1, 10)] * 10, [5, 5]),
        (LimitKind.FILES, 4, [(3, 10), (3, 10), (1, 10)], [2, 1]),
        (LimitKind.FEATURES, 2, [(3, 10)] * 5, [2, 2, 1]),
        (LimitKind.BYTES, 25, [(1, 10)] * 5, [3, 2]),
        (LimitKind.BYTES, 20, [(1, 10)] * 5, [2, 2, 1]),
        (LimitKind.NO_LIMIT, 3, [(1, 10)] * 5, [5]),
        (LimitKind.NO_LIMIT, 0, [(1, 600)] * 5, [2, 2, 1]),
        (LimitKind.NO_LIMIT, 0, [(1, 5000), (1, 1)], [1, 1]),
        (LimitKind.NO_LIMIT, 0, [(999, 0), (2, 0), (1, 0)], [2, 1]),
        (LimitKind.NO_LIMIT, 0, [(1000, 0), (1, 0)], [1, 1]),
        (LimitKind.FILES, 4, [], []),
    ],
    ids=[
        "no limit",
        "0 is no limit",
        "files",
        "files, exactly",
        "a product is never split",
        "products",
        "bytes",
        "bytes, exactly",
        "no limit whatever the value",
        "bytes of a sub-order",
        "a product larger than a sub-order",
        "999 files and more",
        "1000 files",
        "nothing",
    ],
)
def test_a_batch_closes_with_the_product_that_fills_it(
    kind: LimitKind, limit: int, given: list[tuple[int, int]], expected: list[int]
) -> None:
    assert split(BatchLimits(BATCH, kind, limit), products(*given)) == expected


def test_a_batch_that_is_exactly_full_is_no_split() -> None:
    """Ten products are allowed: only the eleventh would begin a second batch."""
    limits = BatchLimits(BATCH, LimitKind.FEATURES, 10)

    assert split(limits, products(*[(1, 1)] * 10), forbids_split=True) == [10]


def test_a_forbidden_split_names_the_limits_that_the_batch_has_reached() -> None:
    with pytest.raises(SplitForbidden) as rejected:
        split(BatchLimits(BATCH, LimitKind.FILES, 2), products(*[(1, 600)] * 3), forbids_split=True)

    reached = rejected.value.reached
    assert (reached.files, reached.max_bytes) == (True, True)
    assert (reached.max_inputs, reached.features, reached.process_bytes) == (False, False, False)


def test_the_split_does_not_depend_on_the_pages() -> None:
    """A batch left open by one page is continued by the next."""
    limits = BatchLimits(BATCH, LimitKind.FILES, 4)
    given = products(*[(1, 10), (2, 10), (1, 10), (3, 10), (3, 10), (1, 10), (1, 10)])
    whole = InputBatches(limits)
    whole.add(given)
    totals: list[Totals] = []
    last: InputBatch | None = None
    for product in given:
        paged = InputBatches(limits, last=last)
        paged.add([product])
        last = paged.last
        assert last is not None
        if last.closed:
            totals.append(last.totals)
    if last and not last.closed:
        totals.append(last.totals)

    assert totals == [batch.totals for batch in whole.touched]


def test_a_closed_batch_of_an_earlier_page_is_not_changed() -> None:
    last = InputBatch(Totals(4, 40, 4), closed=True)
    batches = InputBatches(BatchLimits(BATCH, LimitKind.FILES, 4), last=last)
    batches.finish()

    assert batches.touched == []


def test_a_process_takes_only_files_of_its_types() -> None:
    """These may include types that can't be ordered."""
    raw, quicklook = a_file(name="raw"), a_file(name="ql")
    thumbnail = a_file(name="thumb")._replace(data_type=OtherType.THUMBNAIL)
    quicklook = quicklook._replace(data_type=OtherType.DOCUMENT)
    product = replace(a_product(raw), others=(thumbnail, quicklook))

    taken = inputs_of(product, PROCESS)

    assert [one.key for one in taken.inputs] == ["raw", "thumb"]
    assert taken.bytes == 200


def test_inputs_with_the_same_name_have_different_keys() -> None:
    """Results name an input by product and name (W27)."""
    product = a_product(a_file(name="same"), a_file(name="same", checksum="x"), a_file(name="b"))

    keys = [one.key for one in inputs_of(product, PROCESS).inputs]

    assert keys == ["same", "same (2)", "b"]


@pytest.mark.parametrize(
    ("external", "other_external", "group"),
    [
        (True, True, Group.EXTERNAL),
        (False, True, Group.STORED),
        (True, False, Group.STORED),
    ],
)
def test_a_product_with_one_stored_file_of_any_type_is_stored(
    external: bool, other_external: bool, group: Group
) -> None:
    other = a_file(external=other_external)._replace(data_type=OtherType.DOCUMENT)
    product = replace(a_product(a_file(external=external)), others=(other,))

    assert group_of(product) is group
