"""The figures of quotes, from files that were read as a whole or in part (faces.md Q-2 to Q-4)."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rs_order.contracts.quote_bodies import quote_id_of, quote_name
from rs_order.domain.estimates import Experience, Range, Silence
from rs_order.domain.expectations import Outlook
from rs_order.domain.figures import NOTHING, Bounds, corrected, figures_of
from rs_order.domain.file_batches import FileBatches
from rs_order.domain.files import DataType, FileFilter, FileKind, Product
from rs_order.domain.ids import Checksum, Urn
from rs_order.domain.quotes import OwnerSituation, QuoteId, differs, expected_time, rounded_time
from rs_order.domain.selection import DatasetSelection, TypeTotals
from rs_order.domain.tallies import FileTotals, Place, Tally, files_to_read, sample_of
from rs_order.quotes.document import iso_duration
from tests.unit.catalog import a_file, a_product

BATCH = 100
"""Bytes at which a sub-order is full."""
LARGEST = 150

sizes = st.one_of(st.none(), st.integers(0, LARGEST))
files = st.builds(
    a_file,
    sizes,
    external=st.booleans(),
    data_type=st.sampled_from([DataType.RAWDATA, DataType.QUICKLOOK_SD]),
    checksum=st.sampled_from(["", None]),
)
archives = st.lists(st.lists(files, max_size=4).map(lambda some: a_product(*some)), max_size=30)
filters = st.sampled_from(
    [
        None,
        FileFilter(kinds=frozenset({FileKind.RAWDATA})),
        FileFilter(name_pattern=".*[02468].dat"),
    ]
)


def a_selection(products: Sequence[Product], wanted: FileFilter | None = None) -> DatasetSelection:
    """Return a selection with the totals that a catalog gives: of files with a size, or external ones."""
    types = {}
    for kind in DataType:
        counted = [
            file
            for product in products
            for file in product.files
            if file.data_type is kind and (file.external or file.size is not None)
        ]
        size = sum(file.size or 0 for file in counted if not file.external)
        types[kind] = TypeTotals(len(counted), size, sum(file.external for file in counted))
    return DatasetSelection(
        Urn("URN:AIP:DATASET:demo:1:V1"),
        "A dataset",
        products=len(products),
        files=sum(one.files for one in types.values()),
        bytes=sum(one.bytes for one in types.values()),
        types=types,
        file_filter=wanted,
        searches=(),
    )


def read(
    products: Sequence[Product],
    wanted: FileFilter | None = None,
    *,
    page: int = 100,
    pages: int | None = None,
) -> Tally:
    """Return the tally of some pages, or of all."""
    tally = Tally()
    for number in range(-(-len(products) // page) or 1) if pages is None else range(pages):
        some = products[number * page : (number + 1) * page]
        last = (number + 1) * page >= len(products)
        tally.add_page(some, wanted, BATCH, last=last)
    return tally


@given(archives, filters, st.integers(1, 10))
def test_what_is_read_as_a_whole_is_counted_like_an_order(
    products: list[Product], wanted: FileFilter | None, page: int
) -> None:
    """Whatever the size of the pages: files, bytes and sub-orders are those of the order."""
    order = FileBatches(BATCH, wanted)
    order.add_products(products)
    order.finish()
    ordered = [one for batch in order.touched for one in batch.added]
    figures = figures_of(
        [a_selection(products, wanted)], [read(products, wanted, page=page)], BATCH
    )

    assert figures.exact
    assert figures.files == len(ordered) == sum(one.files for one in figures.places.values())
    assert figures.bytes == sum(one.file.size or 0 for one in ordered)
    assert figures.unknown_size == sum(one.file.size is None for one in ordered)
    assert figures.sub_orders == Bounds(len(order.touched), len(order.touched))


@given(archives.filter(len), st.integers(1, 5))
def test_the_sub_orders_of_what_is_read_in_part_lie_within_the_bounds(
    products: list[Product], page: int
) -> None:
    """If the largest product is among those that were read, and places are as in the rest."""
    largest = a_product(*(a_file(LARGEST) for _ in range(4)))
    stored = [a_product(*(one for one in p.files if not one.external)) for p in products]
    sized = [
        a_product(
            *(one._replace(size=one.size or 0, checksum=Checksum(one.name)) for one in p.files)
        )
        for p in stored
    ]
    archive = [largest, *sized]
    order = FileBatches(BATCH)
    order.add_products(archive)
    order.finish()
    tally = read(archive, page=page, pages=1)
    figures = figures_of([a_selection(archive)], [tally], BATCH)

    assert figures.exact is tally.complete
    assert figures.files == sum(len(one.files) for one in archive)
    assert figures.sub_orders.least <= len(order.touched) <= figures.sub_orders.greatest


@given(archives.filter(len), filters, st.integers(1, 3))
def test_places_add_up_to_the_whole(
    products: list[Product], wanted: FileFilter | None, page: int
) -> None:
    """Also of what was read in part; nothing is negative."""
    tally = read(products, wanted, page=page, pages=1)
    figures = figures_of([a_selection(products, wanted)], [tally], BATCH)
    places = figures.places.values()

    assert sum(one.files for one in places) == figures.files >= tally.files
    assert sum(one.bytes for one in places) == figures.bytes >= tally.bytes
    assert all(one.files >= 0 <= one.bytes for one in places)
    assert figures.awaited.files <= figures.files
    assert 0 <= figures.sub_orders.least <= figures.sub_orders.greatest


def test_where_files_are() -> None:
    """Attached files come first, and those of rs-dam need no storage. A file counts once."""
    online = a_file(10)._replace(online=True)
    attached = a_product(a_file(1, url="http://x/files/1/dam"), a_file(2))
    tally = Tally()
    tally.add_page(
        [
            a_product(
                online, online, a_file(20), a_file(30, checksum=None), a_file(None, external=True)
            )
        ],
        None,
        BATCH,
        attached=attached,
        awaited={online.checksum or Checksum("")},
        last=True,
    )

    assert tally.places == {
        Place.ONLINE: FileTotals(1, 10),
        Place.NEARLINE: FileTotals(2, 22),
        Place.EXTERNAL: FileTotals(2, 1),
        Place.UNKNOWN: FileTotals(1, 30),
    }
    assert (tally.awaited, tally.unknown_size, tally.quota) == (FileTotals(1, 10), 1, 3)


def test_several_selections_add_up() -> None:
    """One that was read in part makes the whole inexact."""
    many, few = [a_product(a_file(10)) for _ in range(10)], [a_product(a_file(7))]
    selections = [a_selection(many), a_selection(few)]
    figures = figures_of(selections, [read(many, page=5, pages=1), read(few)], BATCH)

    assert (figures.exact, figures.files, figures.bytes, figures.read_files) == (False, 11, 107, 6)
    assert figures_of([], [], BATCH) is NOTHING


@pytest.mark.parametrize(
    ("files", "whole", "most"), [(10, 100, 50), (50, 50, 50), (1, 10**6, 50)], ids=str
)
def test_files_to_read(files: int, whole: int, most: int) -> None:
    """A share of the most, in proportion, and one at least; everything if it is few."""
    selection = a_selection([a_product(a_file()) for _ in range(files)])

    expected = {100: 5, 50: 50, 10**6: 1}[whole]
    assert files_to_read(selection, whole, most) == expected


@pytest.mark.parametrize(
    ("now", "different"),
    [
        (FileTotals(100, 1000), False),
        (FileTotals(101, 1010), False),
        (FileTotals(99, 990), False),
        (FileTotals(102, 1000), True),
        (FileTotals(100, 989), True),
        (FileTotals(0, 0), True),
    ],
    ids=str,
)
def test_more_than_one_percent_is_a_change(now: FileTotals, *, different: bool) -> None:
    assert differs(FileTotals(100, 1000), now) is different


KNOWN = Experience(rate=1.0, ratios=(0.5,) * 50, outcomes=100, level=0.9)


@pytest.mark.parametrize(
    ("owner", "outlook", "expected"),
    [
        (OwnerSituation(), Outlook(KNOWN, 0, late=False), Range(5.0, 5.0)),
        (OwnerSituation(queued_bytes=10), Outlook(KNOWN, 20, late=False), Range(20.0, 20.0)),
        (
            OwnerSituation(queued_bytes=10**8),
            Outlook(KNOWN, 0, late=False),
            Silence.BEYOND_EXPERIENCE,
        ),
        (OwnerSituation(held=True), Outlook(KNOWN, 0, late=False), Silence.HELD),
        (OwnerSituation(maintenance=True), Outlook(KNOWN, 0, late=False), Silence.MAINTENANCE),
        (OwnerSituation(2, 1), Outlook(KNOWN, 0, late=False), Silence.DOWNLOAD_NEEDED),
        (OwnerSituation(2, 0), Outlook(KNOWN, 0, late=False), Range(5.0, 5.0)),
        (OwnerSituation(), Outlook(KNOWN, 0, late=True), Silence.STORAGE_LATE),
        (OwnerSituation(), Outlook(Experience(), 0, late=False), Silence.NO_HISTORY),
    ],
    ids=lambda value: str(value)[:40],
)
def test_when_it_is_expected(
    owner: OwnerSituation, outlook: Outlook, expected: Range | Silence
) -> None:
    """What is awaited and the owner's queue come first; where nobody can say, there is a reason."""
    figures = figures_of([a_selection([])], [read([a_product(a_file(10))])], BATCH)

    assert expected_time(outlook, figures, owner, 2) == expected


def test_files_that_storage_brings_back_already_take_no_time() -> None:
    """They are among the bytes that are awaited."""
    file = a_file(10)
    tally = Tally()
    tally.add_page(
        [a_product(file)], None, BATCH, awaited={file.checksum or Checksum("")}, last=True
    )
    figures = figures_of([a_selection([])], [tally], BATCH)

    found = expected_time(Outlook(KNOWN, 10, late=False), figures, OwnerSituation(), 2)
    assert found == Range(5.0, 5.0)


def test_times_are_rounded_outward() -> None:
    """As expected instants are (Y-8)."""
    assert rounded_time(Range(299, 301)) == (timedelta(), timedelta(minutes=10))
    assert rounded_time(Range(3 * 3600 + 1, 25 * 3600)) == (
        timedelta(hours=3),
        timedelta(hours=30),
    )


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(), "PT0M"),
        (timedelta(minutes=5), "PT5M"),
        (timedelta(hours=1, minutes=30), "PT1H30M"),
        (timedelta(hours=31), "PT31H"),
        (timedelta(days=6), "P6D"),
    ],
)
def test_durations(span: timedelta, text: str) -> None:
    assert iso_duration(span) == text


def test_ids_of_quotes() -> None:
    """Anything else is no quote."""
    assert quote_id_of(quote_name(QuoteId(12))) == 12
    assert {quote_id_of(name) for name in ("12", "q-", "q-x", "q--1", "q-²", "Q-1", "q-1 ")} == {
        None
    }


def test_the_share_that_storage_has_at_hand_is_online() -> None:
    """Of the files on tape, in proportion to those that were checked."""
    figures = figures_of(
        [a_selection([])], [read([a_product(*(a_file(10) for _ in range(100)))])], BATCH
    )
    changed = corrected(figures, checked=10, available=4)

    assert changed.places[Place.ONLINE] == FileTotals(40, 400)
    assert changed.places[Place.NEARLINE] == FileTotals(60, 600)
    assert (changed.files, changed.checked_files) == (100, 10)
    assert corrected(figures, checked=0, available=0) is figures


def test_storage_is_asked_about_five_hundred_files() -> None:
    """Of all selections together; only those on tape."""
    tallies = [
        read([a_product(*(a_file(checksum=f"{n:03}-{kind}") for n in range(400)))]) for kind in "ab"
    ]
    online = Tally()
    online.add_page([a_product(a_file(checksum="0")._replace(online=True))], None, BATCH, last=True)

    assert sample_of([*tallies, online]) == sorted(
        f"{n:03}-{kind}" for n in range(250) for kind in "ab"
    )
