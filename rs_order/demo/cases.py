"""The orders of the demo as data: what is asked, and what must come of it."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from uuid import uuid4

from rs_order.contracts.order_response import ErrorType, ResponseStatus
from rs_order.demo.archive import Archive, File, Product
from rs_order.demo.selection import Selection, largest_selection
from rs_order.demo.sub_orders import Cut, most_generous_cut

DEFAULT_BUCKET_BYTES = 100 * 1024 * 1024
"""Where the archive can't show an order of several sub-orders."""
ALL_KINDS = ("RAWDATA", "QUICKLOOK")


@dataclass(frozen=True, slots=True)
class Delivery:
    """The order ends DONE, and its zips hold exactly these files, each once."""

    files: Mapping[str, File]
    """By name."""
    sub_orders: int | None = None
    """How many there must be, the next one starting after the download; None: not looked at."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The first and only response."""

    status: ResponseStatus
    error_type: ErrorType


@dataclass(frozen=True, slots=True)
class Case:
    """An order request and what must come of it."""

    name: str
    story: str
    query: str
    expected: Delivery | Refusal
    kinds: tuple[str, ...] = ()
    name_pattern: str | None = None
    size_limit: int | None = None
    user_is_known: bool = True


@dataclass(frozen=True, slots=True)
class Skipped:
    """A case that the archive can't show."""

    name: str
    because: str


@dataclass(frozen=True, slots=True)
class Plan:
    bucket_bytes: int
    """The size of sub-orders at which one order of the archive makes several."""
    cases: tuple[Case | Skipped, ...]


def plan_for(archive: Archive) -> Plan:
    """The cases, as far as the archive can show them."""
    cut = most_generous_cut(archive)
    makers: Mapping[str, Callable[[Archive], Case | None]] = {
        "nearline": lambda archive: _nearline(archive, cut),
        "several sub-orders": lambda _: _several(cut),
        "online": _online,
        "external": _external,
        "quicklooks": _quicklooks,
        "name pattern": _name_pattern,
        "attached files": _attached,
        "too big": _too_big,
        "nothing found": lambda _: _nothing_found(),
        "unknown user": lambda _: _unknown_user(),
    }
    cases = tuple(make(archive) or Skipped(name, _LACKING[name]) for name, make in makers.items())
    return Plan(cut.bucket_bytes if cut else DEFAULT_BUCKET_BYTES, cases)


_LACKING: Mapping[str, str] = {
    "nearline": "no product of the archive lies on tape",
    "online": "no product of the archive lies on disk",
    "external": "no product of the archive is external",
    "quicklooks": "no dataset has quicklooks beside raw data",
    "name pattern": "no dataset has files of different names",
    "attached files": "no dataset has files attached to it",
    "several sub-orders": "no dataset has three products to be split between sub-orders",
    "too big": "no file of the archive has a size",
}


def _nearline(archive: Archive, cut: Cut | None) -> Case | None:
    """Not the dataset that shows several sub-orders, if there is another."""
    on_tape = _lying("nearline")
    others = largest_selection(
        archive, on_tape, lambda one: cut is None or one.dataset != cut.selection.dataset
    )
    chosen = others or largest_selection(archive, on_tape)
    return chosen and Case("nearline", f"{chosen}, on tape", chosen.query, _delivery(chosen))


def _online(archive: Archive) -> Case | None:
    chosen = largest_selection(archive, _lying("online"))
    return chosen and Case("online", f"{chosen}, on disk", chosen.query, _delivery(chosen))


def _external(archive: Archive) -> Case | None:
    chosen = largest_selection(archive, _lying("external"))
    story = f"{chosen}, kept by others and known by address"
    return chosen and Case("external", story, chosen.query, _delivery(chosen))


def _quicklooks(archive: Archive) -> Case | None:
    def has_both(selection: Selection) -> bool:
        return len({file.is_quicklook for file in selection.files}) > 1

    chosen = largest_selection(archive, _has_files, has_both)
    return chosen and Case(
        "quicklooks",
        f"only the pictures of {chosen}",
        chosen.query,
        _delivery(chosen, lambda file: file.is_quicklook),
        kinds=("QUICKLOOK",),
    )


def _name_pattern(archive: Archive) -> Case | None:
    """By extension where a dataset has several of them, else by the whole name of one file."""

    def extensions(selection: Selection) -> set[str]:
        return {PurePosixPath(file.name).suffix for file in selection.files}

    mixed = largest_selection(archive, _has_files, lambda one: len(extensions(one)) > 1)
    chosen = mixed or largest_selection(archive, _has_files, lambda one: len(one.files) > 1)
    if chosen is None:
        return None
    first = chosen.files[0].name
    suffix = PurePosixPath(first).suffix
    pattern = f".*{re.escape(suffix)}" if mixed and suffix else re.escape(first)
    return Case(
        "name pattern",
        f"those of {chosen} named {pattern}",
        chosen.query,
        _delivery(chosen, lambda file: re.fullmatch(pattern, file.name) is not None),
        kinds=ALL_KINDS,
        name_pattern=pattern,
    )


def _attached(archive: Archive) -> Case | None:
    chosen = largest_selection(archive, _has_files, lambda one: bool(one.attached))
    story = f"{chosen}, with the files attached to the dataset"
    return chosen and Case("attached files", story, chosen.query, _delivery(chosen))


def _several(cut: Cut | None) -> Case | None:
    return cut and Case(
        "several sub-orders",
        f"{cut.selection} in {cut.sub_orders} parts, the next one after the download",
        cut.selection.query,
        Delivery(_by_name(cut.selection.files), cut.sub_orders),
    )


def _too_big(archive: Archive) -> Case | None:
    chosen = largest_selection(
        archive,
        _lying("nearline", "online"),  # the catalog knows their sizes
        lambda one: any(file.size > 1 for file in one.files),
    )
    return chosen and Case(
        "too big",
        f"{chosen}, of 1 byte at most",
        chosen.query,
        Refusal(ResponseStatus.DENIED, ErrorType.ORDER_LIMIT_REACHED),
        size_limit=1,
    )


def _nothing_found() -> Case:
    return Case(
        "nothing found",
        "a query that selects nothing",
        f'providerId:"nothing-{uuid4().hex}"',
        Refusal(ResponseStatus.FAILED, ErrorType.EMPTY_ORDER),
    )


def _unknown_user() -> Case:
    return Case(
        "unknown user",
        "everything, for somebody whom nobody knows",
        "*",
        Refusal(ResponseStatus.DENIED, ErrorType.FORBIDDEN),
        user_is_known=False,
    )


def _lying(*locations: str) -> Callable[[Product], bool]:
    return lambda product: product.lies(*locations)


def _has_files(product: Product) -> bool:
    return bool(product.ordered)


def _delivery(selection: Selection, wanted: Callable[[File], bool] = lambda _: True) -> Delivery:
    return Delivery(_by_name([*filter(wanted, selection.files), *selection.attached]))


def _by_name(files: Iterable[File]) -> Mapping[str, File]:
    return {file.name: file for file in files}
