"""The files, bytes and sub-orders that an order would have (faces.md 9).

A selection with few files is read as a whole: then its figures are exact. Of a larger one, a part is read,
and what is counted in it stands for the rest, in proportion.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from rs_order.domain.file_batches import MAX_EXTERNAL_FILES, MAX_FILES
from rs_order.domain.files import ORDERABLE, kind_of
from rs_order.domain.selection import DatasetSelection, bytes_in, files_in, quota_of
from rs_order.domain.states import SubOrderKind
from rs_order.domain.tallies import FileTotals, Place, Tally


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
