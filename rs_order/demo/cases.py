"""The cases of the demo as data: an order request, the result that it must have, and its outcome."""

import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from uuid import uuid4

from rs_order.contracts.order_messages import ErrorType, ResponseStatus
from rs_order.demo.archive import Archive, File, Product
from rs_order.demo.product_selection import Selection, Split, largest_selection, largest_split

DEFAULT_SUB_ORDER_BYTES = 100 * 1024 * 1024
"""For an archive that has no order of several sub-orders."""
CURL = "curl"
"""Goes on with a download that was cut."""
ALL_KINDS = ("RAWDATA", "QUICKLOOK")


@dataclass(frozen=True, slots=True)
class Delivery:
    """The order must end DONE, and its zips must hold exactly these files, each once."""

    files: Mapping[str, File]
    """By name."""
    sub_orders: int | None = None
    """The number of sub-orders, of which each starts after the download of the one before.

    None if the case doesn't check it.
    """


@dataclass(frozen=True, slots=True)
class Rejection:
    """This must be the first and only response."""

    status: ResponseStatus
    error_type: ErrorType


@dataclass(frozen=True, slots=True)
class Turns:
    """The order must not keep a second user waiting who comes after it with a small order.

    Both must get all their files, and the second user theirs before the large order ends.
    """

    large: Delivery
    small_query: str
    small: Delivery


@dataclass(frozen=True, slots=True)
class ByEodag:
    """eodag must find this product, order it, and download exactly these files."""

    collection: str
    urn: str
    files: Mapping[str, File]
    """By name."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A webhook of the user must get all events of the order, in order and signed, up to its download."""

    delivery: Delivery


@dataclass(frozen=True, slots=True)
class Case:
    """An order request, and the result that it must have."""

    name: str
    story: str
    query: str
    expected: Delivery | Rejection | Turns | ByEodag | Heard
    kinds: tuple[str, ...] = ()
    name_pattern: str | None = None
    size_limit: int | None = None
    user_is_known: bool = True
    is_cut: bool = False
    """The download is cut in the middle, and curl goes on."""


@dataclass(slots=True)
class Outcome:
    """The result of a case. The three moments are seconds since the request."""

    case: Case
    first_response: float | None = None
    first_ready: float | None = None
    final: float | None = None
    downloading: float = 0.0
    """Seconds of all downloads, with the reading of the zips."""
    files: int = 0
    size: int = 0
    """Bytes of the files received."""
    problems: list[str] = field(default_factory=list)
    """Differences from the result that the case must have."""

    def include(self, other: "Outcome") -> None:
        """Add the files and problems of another order of the case. The times stay those of the first."""
        self.downloading += other.downloading
        self.files += other.files
        self.size += other.size
        self.problems += other.problems


@dataclass(frozen=True, slots=True)
class Skipped:
    """A case for which the archive has no products."""

    name: str
    because: str


@dataclass(frozen=True, slots=True)
class Plan:
    sub_order_bytes: int
    """The size of sub-orders that splits one order of the archive into several."""
    cases: tuple[Case | Skipped, ...]


def plan_for(archive: Archive, *, has_eodag: bool = False) -> Plan:
    """Return all cases; those for which the archive has no products are skipped.

    ``has_eodag``: eodag is installed.
    """
    split = largest_split(archive)
    makers: Mapping[str, Callable[[Archive], Case | None]] = {
        "nearline": lambda archive: _nearline(archive, split),
        "several sub-orders": lambda _: _several(split),
        "two users": lambda archive: _two_users(archive, split),
        "online": _online,
        "cut and resumed": lambda archive: _cut(archive, split),
        "heard by a webhook": lambda archive: _heard(archive, split),
        "eodag": lambda archive: _eodag(archive) if has_eodag else None,
        "external": _external,
        "quicklooks": _quicklooks,
        "name pattern": _name_pattern,
        "attached files": _attached,
        "too big": _too_big,
        "nothing found": lambda _: _nothing_found(),
        "unknown user": lambda _: _unknown_user(),
    }
    cases = tuple(
        make(archive) or Skipped(name, _WHY_SKIPPED[name]) for name, make in makers.items()
    )
    return Plan(split.sub_order_bytes if split else DEFAULT_SUB_ORDER_BYTES, cases)


_WHY_SKIPPED: Mapping[str, str] = {
    "nearline": "no product of the archive is on tape",
    "online": "no product of the archive is on disk",
    "cut and resumed": "no product of the archive is on tape, or curl is missing",
    "heard by a webhook": "no product of the archive is on tape",
    "eodag": "eodag isn't installed, or no dataset without attached files has a product on tape",
    "external": "no product of the archive is external",
    "quicklooks": "no dataset has quicklooks beside raw data",
    "name pattern": "no dataset has files of different names",
    "attached files": "no dataset has files attached to it",
    "several sub-orders": "no dataset has three products to be split between sub-orders",
    "two users": "no two datasets have products on tape, one of them three",
    "too big": "no file of the archive has a size",
}


def _nearline(archive: Archive, split: Split | None) -> Case | None:
    chosen = _tape_selection(archive, split)
    return chosen and Case("nearline", f"{chosen}, on tape", chosen.query, _delivery(chosen))


def _tape_selection(archive: Archive, split: Split | None) -> Selection | None:
    """Prefer a dataset other than the one that is split into several sub-orders."""
    on_tape = _stored_at("nearline")
    others = largest_selection(
        archive, on_tape, lambda one: split is None or one.dataset != split.selection.dataset
    )
    return others or largest_selection(archive, on_tape)


def _online(archive: Archive) -> Case | None:
    chosen = largest_selection(archive, _stored_at("online"))
    return chosen and Case("online", f"{chosen}, on disk", chosen.query, _delivery(chosen))


def _cut(archive: Archive, split: Split | None) -> Case | None:
    ordered = _nearline(archive, split)
    if ordered is None or shutil.which(CURL) is None:
        return None
    story = f"{ordered.story}, in an archive whose download is cut in the middle"
    return replace(ordered, name="cut and resumed", story=story, is_cut=True)


def _heard(archive: Archive, split: Split | None) -> Case | None:
    chosen = _tape_selection(archive, split)
    return chosen and Case(
        "heard by a webhook",
        f"{chosen}, on tape, while a webhook gets the events of the order",
        chosen.query,
        Heard(_delivery(chosen)),
    )


def _eodag(archive: Archive) -> Case | None:
    """Choose a product of a dataset without attached files, which would come with every order of it."""
    found = next(
        (
            (dataset, product)
            for dataset in archive.datasets
            if not dataset.attached
            for product in dataset.products
            if product.is_stored_only_at("nearline")
            and any(file.type == "RAWDATA" for file in product.files)
        ),
        None,
    )
    if found is None:
        return None
    dataset, product = found
    raw = [file for file in product.files if file.type == "RAWDATA"]
    return Case(
        "eodag",
        f"eodag searches, orders, polls and downloads a product of {dataset.id}",
        f'id:("{product.urn}")',
        ByEodag(dataset.id, product.urn, _by_name(raw)),
    )


def _external(archive: Archive) -> Case | None:
    chosen = largest_selection(archive, _stored_at("external"))
    story = f"{chosen}, stored elsewhere and known by their URL"
    return chosen and Case("external", story, chosen.query, _delivery(chosen))


def _quicklooks(archive: Archive) -> Case | None:
    def has_both(selection: Selection) -> bool:
        return len({file.is_quicklook for file in selection.files}) > 1

    chosen = largest_selection(archive, _has_files, has_both)
    return chosen and Case(
        "quicklooks",
        f"only the quicklook images of {chosen}",
        chosen.query,
        _delivery(chosen, lambda file: file.is_quicklook),
        kinds=("QUICKLOOK",),
    )


def _name_pattern(archive: Archive) -> Case | None:
    """Filter by extension if a dataset has several, otherwise by the whole name of one file."""

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
        f"files of {chosen} whose name matches {pattern}",
        chosen.query,
        _delivery(chosen, lambda file: re.fullmatch(pattern, file.name) is not None),
        kinds=ALL_KINDS,
        name_pattern=pattern,
    )


def _attached(archive: Archive) -> Case | None:
    chosen = largest_selection(archive, _has_files, lambda one: bool(one.attached))
    story = f"{chosen}, with the files attached to the dataset"
    return chosen and Case("attached files", story, chosen.query, _delivery(chosen))


def _several(split: Split | None) -> Case | None:
    return split and Case(
        "several sub-orders",
        f"{split.selection} in {split.sub_orders} sub-orders, each after the download of the one before",
        split.selection.query,
        Delivery(_by_name(split.selection.files), split.sub_orders),
    )


def _two_users(archive: Archive, split: Split | None) -> Case | None:
    """The large order is that of several sub-orders; the small one is of one product of another dataset."""
    if split is None or not any(file.location == "nearline" for file in split.selection.files):
        return None
    product = next(
        (
            product
            for dataset in archive.datasets
            if dataset != split.selection.dataset and not dataset.attached
            for product in dataset.products
            if product.is_stored_only_at("nearline")
        ),
        None,
    )
    if product is None:
        return None
    return Case(
        "two users",
        f"{split.selection} for one user, then one product for another; storage serves one sub-order "
        "at a time",
        split.selection.query,
        Turns(
            large=Delivery(_by_name(split.selection.files), split.sub_orders),
            small_query=f'id:("{product.urn}")',
            small=Delivery(_by_name(product.ordered)),
        ),
    )


def _too_big(archive: Archive) -> Case | None:
    chosen = largest_selection(
        archive,
        _stored_at("nearline", "online"),  # the catalog knows their sizes
        lambda one: any(file.size > 1 for file in one.files),
    )
    return chosen and Case(
        "too big",
        f"{chosen}, with a limit of 1 byte for the whole order",
        chosen.query,
        Rejection(ResponseStatus.DENIED, ErrorType.ORDER_LIMIT_REACHED),
        size_limit=1,
    )


def _nothing_found() -> Case:
    return Case(
        "nothing found",
        "a query that selects nothing",
        f'providerId:"nothing-{uuid4().hex}"',
        Rejection(ResponseStatus.FAILED, ErrorType.EMPTY_ORDER),
    )


def _unknown_user() -> Case:
    return Case(
        "unknown user",
        "all products, for a user whom the platform doesn't know",
        "*",
        Rejection(ResponseStatus.DENIED, ErrorType.FORBIDDEN),
        user_is_known=False,
    )


def _stored_at(*locations: str) -> Callable[[Product], bool]:
    return lambda product: product.is_stored_only_at(*locations)


def _has_files(product: Product) -> bool:
    return bool(product.ordered)


def _delivery(selection: Selection, wanted: Callable[[File], bool] = lambda _: True) -> Delivery:
    return Delivery(_by_name([*filter(wanted, selection.files), *selection.attached]))


def _by_name(files: Iterable[File]) -> Mapping[str, File]:
    return {file.name: file for file in files}
