"""How files are split into sub-orders: domain.md 4.5 and 4.6, decisions.md "FileBatch rules"."""

from collections.abc import Sequence
from itertools import pairwise
from uuid import UUID, uuid5

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rs_order.domain.file_batches import FileBatch, FileBatches, OrderedFile
from rs_order.domain.files import CatalogFile, DataType, FileFilter, FileKind, Product, identity
from rs_order.domain.ids import Urn
from rs_order.domain.states import FileState, SubOrderKind
from tests.unit.catalog import MEBIBYTE, a_file, a_product

BATCH_BYTES = 1000
Shape = tuple[SubOrderKind, tuple[str, ...]]


def split(
    products: Sequence[Product],
    *,
    batch_bytes: int = BATCH_BYTES,
    file_filter: FileFilter | None = None,
    attached: Product | None = None,
) -> FileBatches:
    """Return the batches of one page that has all products."""
    batches = FileBatches(batch_bytes, file_filter)
    if attached is not None:
        batches.attach(attached)
    batches.add_products(products)
    batches.finish()
    return batches


def counts(batches: FileBatches, kind: SubOrderKind = SubOrderKind.STORAGE) -> list[int]:
    return [len(batch.added) for batch in batches.touched if batch.kind is kind]


def shapes(batches: Sequence[FileBatch[OrderedFile]]) -> list[Shape]:
    return [(batch.kind, tuple(ordered.file.name for ordered in batch.added)) for batch in batches]


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([999], [1]),
        ([1000], [1]),
        ([999, 1, 1], [2, 1]),
        ([1000, 1], [1, 1]),
        ([400, 400, 400, 400], [3, 1]),
        ([0, 0, 0], [3]),
        ([None, None], [2]),
        ([5000, 1], [1, 1]),
        ([10, 5000, 1], [2, 1]),
    ],
    ids=[
        "one byte below",
        "exactly full",
        "exactly full, then the next",
        "full with one file",
        "exceeds the limit by a product",
        "empty files",
        "unknown sizes count as no bytes",
        "oversized alone",
        "oversized with the files before it (C9)",
    ],
)
def test_c8_a_batch_closes_when_its_bytes_reach_the_limit(
    sizes: list[int | None], expected: list[int]
) -> None:
    """The size is checked after each product: at the limit or above it, the batch is full."""
    assert counts(split([a_product(a_file(size)) for size in sizes])) == expected


def test_c9_a_product_is_never_split() -> None:
    """The batch may exceed the limit by the rest of its last product."""
    products = [a_product(*(a_file(400) for _ in range(5))) for _ in range(2)]

    assert counts(split(products)) == [5, 5]


@pytest.mark.parametrize(("files", "expected"), [(4999, [4999]), (5000, [5000]), (5001, [5000, 1])])
def test_a_storage_batch_closes_at_5000_files(files: int, expected: list[int]) -> None:
    """Each product has one empty file."""
    products = [a_product(a_file(0)) for _ in range(files)]

    assert counts(split(products)) == expected


@pytest.mark.parametrize(
    ("files", "expected"),
    [(1000, [1000]), (1001, [1001]), (1002, [1001, 1]), (2003, [1001, 1001, 1])],
)
def test_c11_an_external_batch_closes_at_1001_files(files: int, expected: list[int]) -> None:
    """Only the number of files is limited, because sizes are often unknown."""
    products = [a_product(a_file(10 * BATCH_BYTES, external=True)) for _ in range(files)]

    assert counts(split(products), SubOrderKind.EXTERNAL) == expected


def test_c10_stored_and_external_files_never_mix() -> None:
    """A product with both leads to one batch of each kind; external files are available at once."""
    batches = split([a_product(a_file(), a_file(external=True)), a_product(a_file())])
    states = {batch.kind: {ordered.state for ordered in batch.added} for batch in batches.touched}

    assert counts(batches) == [2]
    assert counts(batches, SubOrderKind.EXTERNAL) == [1]
    assert states == {
        SubOrderKind.STORAGE: {FileState.PENDING},
        SubOrderKind.EXTERNAL: {FileState.AVAILABLE},
    }


def test_c16_attached_files_come_first_and_are_not_filtered() -> None:
    """A raw file attached to a dataset is ordered although the filter has quicklooks only."""
    dataset = a_product(a_file(name="manual.pdf"))
    quicklook = a_product(a_file(name="q.jpg", data_type=DataType.QUICKLOOK_SD))
    raw = a_product(a_file(name="raw.dat"))
    batches = split(
        [raw, quicklook], file_filter=FileFilter(frozenset({FileKind.QUICKLOOK})), attached=dataset
    )

    assert shapes(batches.touched) == [(SubOrderKind.STORAGE, ("manual.pdf", "q.jpg"))]


def test_attached_files_that_fill_a_batch_wait_for_the_next_product() -> None:
    """The size is checked once per product, so the first product is added to the same batch."""
    dataset = a_product(a_file(5000, name="big.pdf"))
    batches = split([a_product(a_file(name="a")), a_product(a_file(name="b"))], attached=dataset)

    assert [names for _, names in shapes(batches.touched)] == [("big.pdf", "a"), ("b",)]


@pytest.mark.parametrize(
    ("url", "external", "kind", "state"),
    [
        ("http://storage/x", False, SubOrderKind.STORAGE, FileState.PENDING),
        ("http://dam/files/x/dam", False, SubOrderKind.EXTERNAL, FileState.AVAILABLE),
        ("http://elsewhere/x", True, SubOrderKind.EXTERNAL, FileState.AVAILABLE),
    ],
    ids=["stored", "held by rs-dam", "external"],
)
def test_c17_where_an_attached_file_goes(
    url: str, *, external: bool, kind: SubOrderKind, state: FileState
) -> None:
    """Storage restores stored ones like other files (decisions.md); the others are available at once."""
    batches = split([], attached=a_product(a_file(url=url, external=external)))
    (batch,) = batches.touched

    assert (batch.kind, batch.added[0].state, batch.closed) == (kind, state, True)


def test_a_stored_file_without_checksum_is_in_error_with_a_reason() -> None:
    """Storage knows files by checksum only. The file is not dropped silently (promise 1)."""
    batches = split([a_product(a_file(checksum=None))])
    (ordered,) = batches.touched[0].added

    assert ordered.state is FileState.ERROR
    assert "checksum" in (ordered.reason or "")


@pytest.mark.parametrize("external", [False, True])
def test_f9e_a_defective_file_is_in_error_with_its_reason(external: bool) -> None:
    """It has no source, whether storage or another server was meant."""
    file = a_file(external=external).without_source("wrong")

    (batch,) = split([a_product(file)]).touched

    assert batch.kind is SubOrderKind.STORAGE
    assert [(one.state, one.reason) for one in batch.added] == [(FileState.ERROR, "wrong")]


@pytest.mark.parametrize(
    ("size", "named"), [(BATCH_BYTES, []), (BATCH_BYTES + 1, ["x"]), (None, [])]
)
def test_a_stored_file_larger_than_a_sub_order_is_reported(
    size: int | None, named: list[str]
) -> None:
    """Administrators get a notification (16.4); a file of exactly the same size is not larger."""
    assert split([a_product(a_file(size, name="x"))]).oversized == named


def test_an_external_file_larger_than_a_sub_order_is_not_reported() -> None:
    """Storage doesn't have to restore it."""
    assert split([a_product(a_file(5000, external=True))]).oversized == []


def test_products_without_a_matching_file_lead_to_no_batch() -> None:
    """Then there is no sub-order."""
    assert split([a_product(a_file())], file_filter=FileFilter(name_pattern="none")).touched == []


def test_w5_external_files_without_checksum_are_different_files() -> None:
    """Without a checksum, product, name and URL identify a file."""
    product = a_product(
        a_file(external=True, checksum=None, name="a", url="http://x/1"),
        a_file(external=True, checksum=None, name="a", url="http://x/2"),
    )
    other = a_product(a_file(external=True, checksum=None, name="a", url="http://x/1"))
    identities = {identity(one.urn, file) for one in (product, other) for file in one.files}

    assert counts(split([product, other]), SubOrderKind.EXTERNAL) == [3]
    assert len(identities) == 3


def test_w5_a_checksum_shared_by_two_products_is_two_files() -> None:
    """The same file of the same product is one file."""
    file = a_file(name="same", checksum="c" * 32)
    first, second = a_product(file), a_product(file)

    assert identity(first.urn, file) == identity(first.urn, file)
    assert identity(first.urn, file) != identity(second.urn, file)


@given(st.text(), st.text(), st.text())
def test_w5_the_identity_of_a_file_is_a_uuid_of_version_5(urn: str, name: str, key: str) -> None:
    """Instances of the previous version give the files of a page the same identities."""
    file = a_file(name="x", checksum=None)._replace(name=name, url=key)
    namespace = UUID("5e0c7a52-6f0e-4a5b-8f39-3b1f6f6a8d10")

    assert UUID(identity(Urn(urn), file)) == uuid5(namespace, f"{urn}\n{name}\n{key}")


_files = st.builds(
    a_file,
    size=st.one_of(st.none(), st.integers(0, 700)),
    external=st.booleans(),
)
_products = st.lists(st.lists(_files, max_size=4), max_size=30)


@settings(max_examples=150, deadline=None)
@given(contents=_products, data=st.data())
def test_w44_pages_are_split_like_one_page(
    contents: list[list[CatalogFile]], data: st.DataObject
) -> None:
    """A batch left open by one page is continued by the next, with the same result as a single page."""
    products = [a_product(*files) for files in contents]
    marks = data.draw(st.lists(st.integers(0, len(products)), max_size=5).map(sorted))
    edges = [0, *marks, len(products)]
    grown: list[tuple[SubOrderKind, list[str]]] = []
    left_open: dict[SubOrderKind, int] = {}
    totals: dict[int, tuple[int, int]] = {}
    for start, stop in pairwise(edges):
        continued = {
            kind: FileBatch[OrderedFile](
                kind, total_files=totals[number][0], total_bytes=totals[number][1]
            )
            for kind, number in left_open.items()
        }
        numbers = {id(batch): left_open[kind] for kind, batch in continued.items()}
        batches = FileBatches(BATCH_BYTES, None, continued)
        batches.add_products(products[start:stop])
        for batch in batches.touched:
            number = numbers.setdefault(id(batch), len(grown))
            if number == len(grown):
                grown.append((batch.kind, []))
            grown[number][1].extend(ordered.file.name for ordered in batch.added)
            totals[number] = (batch.total_files, batch.total_bytes)
        left_open = {
            batch.kind: numbers[id(batch)]
            for batch in (batches.storage, batches.external)
            if batch is not None
        }

    assert [(kind, tuple(names)) for kind, names in grown] == shapes(split(products).touched)


@settings(max_examples=150, deadline=None)
@given(contents=_products)
def test_files_that_are_taken_meanwhile_are_those_of_the_batches(
    contents: list[list[CatalogFile]],
) -> None:
    """Each is taken once, and they still count towards the limits."""
    products = [a_product(*files) for files in contents]
    batches = FileBatches(BATCH_BYTES)
    taken: dict[int, list[OrderedFile]] = {}
    for product in products:
        batches.add_products([product])
        for batch, files in batches.take():
            taken.setdefault(id(batch), []).extend(files)

    assert batches.take() == []
    whole = FileBatches(BATCH_BYTES)
    whole.add_products(products)
    assert [taken[id(batch)] for batch in batches.touched] == [one.added for one in whole.touched]


@settings(max_examples=150, deadline=None)
@given(contents=_products)
def test_every_file_is_in_one_batch_and_no_product_in_two_of_a_kind(
    contents: list[list[CatalogFile]],
) -> None:
    """No file is lost or added twice, and no product is split (C9), whatever the sizes."""
    products = [a_product(*files) for files in contents]
    batches = split(products)
    placed = sorted(o.file.name for batch in batches.touched for o in batch.added)
    batches_of_products = {
        (batch.kind, ordered.product.urn, number)
        for number, batch in enumerate(batches.touched)
        for ordered in batch.added
    }

    assert placed == sorted(file.name for product in products for file in product.files)
    assert len(batches_of_products) == len({(kind, urn) for kind, urn, _ in batches_of_products})
    assert all(batch.added and batch.closed for batch in batches.touched)


def test_c8_a_default_batch_has_100_mebibytes() -> None:
    """The hundredth mebibyte closes it."""
    products = [a_product(a_file(MEBIBYTE)) for _ in range(101)]

    assert counts(split(products, batch_bytes=100 * MEBIBYTE)) == [100, 1]
