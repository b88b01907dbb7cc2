"""Quotes: what an order would be, without ordering anything (faces.md 9).

A selection with few files is read as a whole, and put into batches as an order's files are: then the quote is
exact. Of a larger one, a part is read, and what is counted in it stands for the rest, in proportion.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from heapq import nsmallest
from typing import Final, NewType

from rs_order.domain.estimates import Range, Silence, rounded_down, rounded_up
from rs_order.domain.expectations import LONGEST_TIME, Outlook
from rs_order.domain.file_batches import (
    MAX_EXTERNAL_FILES,
    MAX_FILES,
    FileBatch,
    FileBatches,
    OrderedFile,
)
from rs_order.domain.files import ORDERABLE, DataType, FileFilter, FileKind, Product, kind_of
from rs_order.domain.ids import Checksum
from rs_order.domain.selection import DatasetSelection, bytes_in, files_in, quota_of
from rs_order.domain.states import FileState, SubOrderKind

QuoteId = NewType("QuoteId", int)

MOST_FILES: Final = 20_000
"""Files of a quote that are read from the catalog, and about one page more for each dataset."""
VALID: Final = timedelta(hours=1)
"""A quote can be ordered for so long. One that isn't ready by then has failed."""
KEPT: Final = timedelta(hours=24)
MOST_PER_HOUR: Final = 30
"""Quotes of a user."""
MOST_AT_WORK: Final = 3
"""Quotes of a tenant."""
SAMPLE: Final = 500
"""Files whose availability storage is asked about."""
TOLERANCE: Final = 0.01
"""The share of files or bytes by which a selection may change before its quote no longer holds."""

_FIRST_INSTANT: Final = datetime(1970, 1, 1, tzinfo=UTC)


class QuoteState(StrEnum):
    """How far a quote has come."""

    AT_WORK = "at-work"
    READY = "ready"
    FAILED = "failed"


class QuoteFailure(StrEnum):
    """Why a quote couldn't be made."""

    SEARCH_REJECTED = "search-rejected"
    CATALOG_UNREACHABLE = "catalog-unreachable"
    NOT_MADE = "quote-not-made"
    """It wasn't ready in time."""


class Place(StrEnum):
    """Where a file is, according to the catalog."""

    ONLINE = "online"
    NEARLINE = "nearline"
    EXTERNAL = "external"
    """Known by its URL, or stored beside its dataset: storage isn't asked for it."""
    UNKNOWN = "unknown"
    """The catalog describes it wrongly, so that storage can't be asked."""


@dataclass(slots=True)
class FileTotals:
    """A number of files, with the bytes of those whose size is known."""

    files: int = 0
    bytes: int = 0

    def add(self, size: int | None) -> None:
        self.files += 1
        self.bytes += size or 0


@dataclass(slots=True)
class Tally:
    """The files of a dataset selection that were read, as they would be ordered."""

    page_size: int = 0
    """Products of a page. It stays, even if a process with other settings reads the next page."""
    pages: int = 0
    products: int = 0
    found_files: int = 0
    """Before the filter of the selection."""
    unknown_size: int = 0
    places: dict[Place, FileTotals] = field(
        default_factory=lambda: {one: FileTotals() for one in Place}
    )
    awaited: FileTotals = field(default_factory=FileTotals)
    """Files that storage was asked for already, for other orders."""
    quicklooks: FileTotals = field(default_factory=FileTotals)
    sample: list[Checksum] = field(default_factory=list)
    """The smallest checksums of files on tape. Checksums are random, and so is the choice."""
    quota: int = 0
    """Files whose download counts against the quota of storage."""
    sub_orders: dict[SubOrderKind, int] = field(default_factory=dict)
    """Full batches; with the last page, all."""
    left_open: dict[SubOrderKind, FileTotals] = field(default_factory=dict)
    """The batch of a kind that takes more files."""
    most_files: int = 0
    """Of one product, among those that storage holds."""
    most_bytes: int = 0
    complete: bool = False
    """True if all products were read."""
    enough: bool = False
    """True if no more are read."""

    @property
    def files(self) -> int:
        return sum(one.files for one in self.places.values())

    @property
    def bytes(self) -> int:
        return sum(one.bytes for one in self.places.values())

    def add_page(
        self,
        products: Sequence[Product],
        file_filter: FileFilter | None,
        batch_bytes: int,
        *,
        attached: Product | None = None,
        awaited: Collection[Checksum] = (),
        last: bool = False,
    ) -> None:
        """Count a page of products.

        Args:
            products: with the files that can be ordered.
            file_filter: of the selection.
            batch_bytes: the size at which a sub-order is full.
            attached: the dataset with the files attached to it.
            awaited: the checksums of the page that storage was asked for already.
            last: no product follows.
        """
        batches = FileBatches(batch_bytes, file_filter, self._opened())
        if attached:
            batches.attach(attached)
            self._measure([attached], None)
        batches.add_products(products)
        self._measure(products, file_filter)
        if last:
            batches.finish()
        self.pages += 1
        self.products += len(products)
        self.found_files += sum(len(product.files) for product in products)
        self.complete = last
        seen: set[tuple[str, str, str]] = set()
        for batch in batches.touched:
            for one in batch.added:
                self._count(one, batch.kind, seen, awaited)
            if batch.closed:
                self.sub_orders[batch.kind] = self.sub_orders.get(batch.kind, 0) + 1
        on_tape = {
            one.file.checksum
            for batch in batches.touched
            for one in batch.added
            if one.file.checksum and _place_of(one, batch.kind) is Place.NEARLINE
        }
        self.sample = nsmallest(SAMPLE, on_tape.union(self.sample))
        self.left_open = {
            batch.kind: FileTotals(batch.total_files, batch.total_bytes)
            for batch in batches.touched
            if not batch.closed
        }

    def _opened(self) -> dict[SubOrderKind, FileBatch[OrderedFile]]:
        return {
            kind: FileBatch(kind, total_files=one.files, total_bytes=one.bytes)
            for kind, one in self.left_open.items()
        }

    def _count(
        self,
        one: OrderedFile,
        kind: SubOrderKind,
        seen: set[tuple[str, str, str]],
        awaited: Collection[Checksum],
    ) -> None:
        """Count a file. An order has it once, however often its product names it (W5)."""
        file = one.file
        identity = (one.product.urn, file.name, file.checksum or file.url)
        if identity in seen:
            return
        seen.add(identity)
        self.places[_place_of(one, kind)].add(file.size)
        self.unknown_size += file.size is None
        if isinstance(file.data_type, DataType) and kind_of(file.data_type) is FileKind.QUICKLOOK:
            self.quicklooks.add(file.size)
        if kind is SubOrderKind.STORAGE:
            self.quota += file.data_type is DataType.RAWDATA and one.state is FileState.PENDING
            if file.checksum in awaited:
                self.awaited.add(file.size)

    def _measure(self, products: Iterable[Product], file_filter: FileFilter | None) -> None:
        """Remember the largest product: no sub-order exceeds its limit by more."""
        for product in products:
            stored = [one for one in product.files if not one.external]
            if file_filter:
                stored = [one for one in stored if file_filter.passes(one)]
            self.most_files = max(self.most_files, len(stored))
            self.most_bytes = max(self.most_bytes, sum(one.size or 0 for one in stored))


def _place_of(one: OrderedFile, kind: SubOrderKind) -> Place:
    if kind is SubOrderKind.EXTERNAL:
        return Place.EXTERNAL
    if one.state is FileState.ERROR:
        return Place.UNKNOWN
    return Place.ONLINE if one.file.online else Place.NEARLINE


def files_to_read(selection: DatasetSelection, whole: int, most_files: int = MOST_FILES) -> int:
    """Return the number of files of a selection to read, of ``whole`` files in all selections."""
    if whole <= most_files:
        return most_files
    return max(1, most_files * selection.files // whole)


@dataclass(frozen=True, slots=True)
class Bounds:
    """The least and the greatest number of sub-orders."""

    least: int
    greatest: int


@dataclass(frozen=True, slots=True)
class Figures:
    """The files, bytes and sub-orders that an order of some dataset selections would have."""

    exact: bool
    """True if an order has just these files, bytes and sub-orders, unless the catalog changes."""
    products: int
    files: int
    bytes: int
    unknown_size: int
    places: Mapping[Place, FileTotals]
    awaited: FileTotals
    quicklooks: FileTotals
    quota: int
    sub_orders: Bounds
    storage_sub_orders: Bounds
    read_files: int
    checked_files: int
    """Files on tape, according to the catalog, that storage was asked about."""
    processed: bool
    """True if a process works on some of the files."""


NOTHING: Final = Figures(
    exact=True,
    products=0,
    files=0,
    bytes=0,
    unknown_size=0,
    places={one: FileTotals() for one in Place},
    awaited=FileTotals(),
    quicklooks=FileTotals(),
    quota=0,
    sub_orders=Bounds(0, 0),
    storage_sub_orders=Bounds(0, 0),
    read_files=0,
    checked_files=0,
    processed=False,
)


def figures_of(
    selections: Sequence[DatasetSelection], tallies: Sequence[Tally], batch_bytes: int
) -> Figures:
    """Return what an order of the selections would be; each was read as far as its tally says."""
    if not selections:
        return NOTHING
    parts = [
        _part(selection, tally, batch_bytes)
        for selection, tally in zip(selections, tallies, strict=True)
    ]
    return Figures(
        exact=all(one.exact for one in parts),
        products=sum(one.products for one in parts),
        files=sum(one.files for one in parts),
        bytes=sum(one.bytes for one in parts),
        unknown_size=sum(one.unknown_size for one in parts),
        places={place: _sum(one.places[place] for one in parts) for place in Place},
        awaited=_sum(one.awaited for one in parts),
        quicklooks=_sum(one.quicklooks for one in parts),
        quota=sum(one.quota for one in parts),
        sub_orders=_together(one.sub_orders for one in parts),
        storage_sub_orders=_together(one.storage_sub_orders for one in parts),
        read_files=sum(one.read_files for one in parts),
        checked_files=0,
        processed=any(one.processed for one in parts),
    )


def _sum(amounts: Iterable[FileTotals]) -> FileTotals:
    known = list(amounts)
    return FileTotals(sum(one.files for one in known), sum(one.bytes for one in known))


def _together(bounds: Iterable[Bounds]) -> Bounds:
    known = list(bounds)
    return Bounds(sum(one.least for one in known), sum(one.greatest for one in known))


def _part(selection: DatasetSelection, tally: Tally, batch_bytes: int) -> Figures:
    """Return the figures of one dataset selection."""
    return (
        _counted(selection, tally) if tally.complete else _projected(selection, tally, batch_bytes)
    )


def _counted(selection: DatasetSelection, tally: Tally) -> Figures:
    storage = tally.sub_orders.get(SubOrderKind.STORAGE, 0)
    everything = storage + tally.sub_orders.get(SubOrderKind.EXTERNAL, 0)
    processed = selection.process is not None
    return Figures(
        exact=not processed,
        products=tally.products,
        files=tally.files,
        bytes=tally.bytes,
        unknown_size=tally.unknown_size,
        places=tally.places,
        awaited=tally.awaited,
        quicklooks=tally.quicklooks,
        quota=tally.quota,
        sub_orders=_bounds_of(everything, tally, processed=processed),
        storage_sub_orders=_bounds_of(storage, tally, processed=processed),
        read_files=tally.files,
        checked_files=0,
        processed=processed,
    )


def _bounds_of(sub_orders: int, tally: Tally, *, processed: bool) -> Bounds:
    """Return the number of sub-orders. A process decides itself how its inputs are split."""
    return Bounds(min(1, sub_orders), tally.files) if processed else Bounds(sub_orders, sub_orders)


def _projected(selection: DatasetSelection, tally: Tally, batch_bytes: int) -> Figures:
    """Return the catalog's totals, with the shares that were counted in the files read so far."""
    whole = _whole(selection, tally)
    read = tally.files
    files = _shared(whole.files, [one.files for one in tally.places.values()])
    sizes = _shared(whole.bytes, [one.bytes for one in tally.places.values()])
    places = {place: FileTotals(files[at], sizes[at]) for at, place in enumerate(tally.places)}
    storage = _storage_bounds(_stored(places), tally, batch_bytes)
    external = _external_bounds(places[Place.EXTERNAL].files)
    return Figures(
        exact=False,
        products=max(selection.products, tally.products),
        files=whole.files,
        bytes=whole.bytes,
        unknown_size=_scaled(tally.unknown_size, whole.files, read),
        places=places,
        awaited=FileTotals(
            _scaled(tally.awaited.files, whole.files, read),
            _scaled(tally.awaited.bytes, whole.bytes, tally.bytes),
        ),
        quicklooks=FileTotals(
            _scaled(tally.quicklooks.files, whole.files, read),
            _scaled(tally.quicklooks.bytes, whole.bytes, tally.bytes),
        ),
        quota=quota_of(selection.types)
        if not _has_pattern(selection)
        else _scaled(tally.quota, whole.files, read),
        sub_orders=Bounds(storage.least + external.least, storage.greatest + external.greatest),
        storage_sub_orders=storage,
        read_files=read,
        checked_files=0,
        processed=selection.process is not None,
    )


def _whole(selection: DatasetSelection, tally: Tally) -> FileTotals:
    """Return the files and bytes of a selection that was read in part.

    The catalog counts each type of files, but neither what a pattern passes nor stored files without a size.
    """
    kinds = selection.file_filter.kinds if selection.file_filter else frozenset()
    types = [one for one in ORDERABLE if not kinds or kind_of(one) in kinds]
    files, size = files_in(selection.types, types), bytes_in(selection.types, types)
    if _has_pattern(selection):
        files = _scaled(tally.files, selection.files, tally.found_files)
        size = _scaled(tally.bytes, files, tally.files)
    return FileTotals(max(files, tally.files), max(size, tally.bytes))


def _has_pattern(selection: DatasetSelection) -> bool:
    return bool(selection.file_filter and (selection.file_filter.name_pattern or "").strip())


def _scaled(part: int, whole: int, of: int) -> int:
    """Return a part of ``of`` as the same part of ``whole``."""
    return round(part * whole / of) if of else 0


def _shared(whole: int, weights: Sequence[int]) -> list[int]:
    """Return the whole in shares by weight, which add up to it: the largest gets what rounding leaves."""
    total = sum(weights)
    if not total:
        return [0] * (len(weights) - 1) + [whole]
    shares = [whole * weight // total for weight in weights]
    shares[weights.index(max(weights))] += whole - sum(shares)
    return shares


def _stored(places: Mapping[Place, FileTotals]) -> FileTotals:
    return _sum(one for place, one in places.items() if place is not Place.EXTERNAL)


def _storage_bounds(stored: FileTotals, tally: Tally, batch_bytes: int) -> Bounds:
    """Return the bounds of sub-orders that storage is asked for, as far as the largest product is known.

    A sub-order is full with the product that reaches a limit. So it has at least the bytes or the files of
    the limit, unless it is the last, and exceeds neither by more than a product.
    """
    if not stored.files:
        return Bounds(0, 0)
    least = max(
        -(-stored.bytes // (batch_bytes + tally.most_bytes)),
        -(-stored.files // (MAX_FILES + tally.most_files)),
        1,
    )
    greatest = stored.bytes // batch_bytes + stored.files // MAX_FILES + 1
    return Bounds(least, max(greatest, least))


def _external_bounds(files: int) -> Bounds:
    if not files:
        return Bounds(0, 0)
    return Bounds(1, files // MAX_EXTERNAL_FILES + 1)


def sample_of(tallies: Iterable[Tally]) -> list[Checksum]:
    """Return the files about which storage is asked."""
    return nsmallest(SAMPLE, {one for tally in tallies for one in tally.sample})


def corrected(figures: Figures, *, checked: int, available: int) -> Figures:
    """Return the figures, with the share of files on tape that storage has at hand as online."""
    if not checked:
        return figures
    nearline, online = figures.places[Place.NEARLINE], figures.places[Place.ONLINE]
    moved = FileTotals(
        _scaled(available, nearline.files, checked), _scaled(available, nearline.bytes, checked)
    )
    places = {
        **figures.places,
        Place.ONLINE: FileTotals(online.files + moved.files, online.bytes + moved.bytes),
        Place.NEARLINE: FileTotals(nearline.files - moved.files, nearline.bytes - moved.bytes),
    }
    return replace(figures, places=places, checked_files=checked)


def differs(before: FileTotals, now: FileTotals) -> bool:
    """True if files or bytes differ by more than 1 % (faces.md Q-6)."""
    return any(
        abs(after - quoted) > TOLERANCE * quoted
        for quoted, after in ((before.files, now.files), (before.bytes, now.bytes))
    )


def total_of(selections: Iterable[DatasetSelection]) -> FileTotals:
    """Return the files and bytes that the catalog counts in selections, before their filters."""
    return _sum(FileTotals(one.files, one.bytes) for one in selections)


@dataclass(frozen=True, slots=True)
class OwnerSituation:
    """What keeps an owner's next sub-orders waiting now."""

    slots_taken: int = 0
    slots_waiting: int = 0
    """Slots of sub-orders that wait for their download."""
    queued_bytes: int = 0
    """Bytes of the owner's sub-orders that storage wasn't asked for yet."""
    held: bool = False
    maintenance: bool = False

    def needs_download(self, slots: int) -> bool:
        """True if all slots are taken, at least one by a sub-order that the owner may download."""
        return 0 < slots <= self.slots_taken and self.slots_waiting > 0


def expected_time(
    outlook: Outlook, figures: Figures, owner: OwnerSituation, slots: int
) -> Range | Silence:
    """Return when storage has brought all files back, in seconds, or why nobody can say (faces.md Q-4).

    The bytes that storage was asked for come first, then those that the owner has in their queue. Files that
    storage is bringing back already aren't asked for again.
    """
    if owner.maintenance:
        return Silence.MAINTENANCE
    if owner.held:
        return Silence.HELD
    if owner.needs_download(slots):
        return Silence.DOWNLOAD_NEEDED
    if figures.processed:
        return Silence.PROCESS_RUNNING
    size = owner.queued_bytes + max(0, figures.places[Place.NEARLINE].bytes - figures.awaited.bytes)
    guess = outlook.experience.guess(outlook.awaited_bytes, size)
    found = outlook.experience.answer(guess, late=outlook.late)
    if isinstance(found, Range) and found.latest > LONGEST_TIME.total_seconds():
        return Silence.BEYOND_EXPERIENCE
    return found


def rounded_time(found: Range) -> tuple[timedelta, timedelta]:
    """Return the ends of a range as they are shown, rounded outward like expected instants (faces.md Y-8)."""
    shortest = rounded_down(_FIRST_INSTANT + timedelta(seconds=found.earliest), _FIRST_INSTANT)
    longest = rounded_up(_FIRST_INSTANT + timedelta(seconds=found.latest), _FIRST_INSTANT)
    return shortest - _FIRST_INSTANT, longest - _FIRST_INSTANT
