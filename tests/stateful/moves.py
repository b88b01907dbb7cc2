"""The moves of a random sequence, as values: a sequence that fails is printed and can be run again.

A move refers to an order or another object by a number, modulo those that exist at that moment. Therefore any
move can come at any time.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, Protocol, get_args

from hypothesis import strategies as st

from rs_order.domain.files import CatalogFile, DataType, Product
from rs_order.domain.ids import Checksum, Urn
from rs_order.ports import FetchResult
from tests.stateful.fakes import PROCESSES, Ending
from tests.stateful.order_harness import OrderHarness

CHECKSUMS = ("a", "b", "c", "d", "e")
"""So few that orders share files."""
Action = Literal["pause", "resume", "delete", "retry", "restart", "remove"]
File = tuple[Literal["stored", "external", "without checksum"], str, int | None]
"""Kind, checksum, size."""


class Move(Protocol):
    async def make(self, harness: OrderHarness) -> None: ...


# Users and services


@dataclass(frozen=True)
class OrderBasket:
    """A user fills a basket and orders it, perhaps with a process of ``PROCESSES``."""

    owner: str
    products: tuple[tuple[File, ...], ...]
    process: int | None = None

    async def make(self, harness: OrderHarness) -> None:
        await harness.order_basket(self.owner, _in_catalog(self.products), self.process)


@dataclass(frozen=True)
class RequestOrder:
    """A peer requests an order."""

    owner: str
    products: tuple[tuple[File, ...], ...]

    async def make(self, harness: OrderHarness) -> None:
        await harness.request_order(self.owner, _in_catalog(self.products))


@dataclass(frozen=True)
class Act:
    action: Action
    order: int
    by_owner: bool = False
    """Else an administrator acts."""

    async def make(self, harness: OrderHarness) -> None:
        await harness.act(self.action, self.order, by_owner=self.by_owner)


@dataclass(frozen=True)
class Cancel:
    orders: tuple[int, ...]

    async def make(self, harness: OrderHarness) -> None:
        await harness.cancel(self.orders)


@dataclass(frozen=True)
class BeginHold:
    """An operator holds an order, a user, or the tenant if neither is given."""

    duration: timedelta
    owner: str | None = None
    order: int | None = None

    async def make(self, harness: OrderHarness) -> None:
        await harness.begin_hold(self.duration, self.owner, self.order)


@dataclass(frozen=True)
class EndHold:
    """An operator ends the oldest hold."""

    async def make(self, harness: OrderHarness) -> None:
        await harness.end_hold()


# Storage, the catalog, downloads


@dataclass(frozen=True)
class StorageReports:
    available: tuple[str, ...]
    unavailable: tuple[str, ...] = ()

    async def make(self, harness: OrderHarness) -> None:
        await harness.storage_reports(self.available, self.unavailable)


@dataclass(frozen=True)
class CatalogFails:
    """The next search fails."""

    rejects: bool

    async def make(self, harness: OrderHarness) -> None:
        harness.catalog_fails(rejects=self.rejects)


@dataclass(frozen=True)
class Download:
    """A user downloads some files of an order."""

    start: int
    most: int
    result: FetchResult

    async def make(self, harness: OrderHarness) -> None:
        await harness.download(self.start, self.most, self.result)


@dataclass(frozen=True)
class ProcessingFails:
    """The next creation of a batch fails."""

    rejects: bool

    async def make(self, harness: OrderHarness) -> None:
        harness.processing_fails(rejects=self.rejects)


@dataclass(frozen=True)
class ProcessEnds:
    """rs-processing publishes the result of an execution; the newest is 0."""

    number: int
    ending: Ending

    async def make(self, harness: OrderHarness) -> None:
        await harness.process_ends(self.number, self.ending)


# Time and the broker


@dataclass(frozen=True)
class Wait:
    duration: timedelta

    async def make(self, harness: OrderHarness) -> None:
        harness.wait(self.duration)


@dataclass(frozen=True)
class NextSteps:
    """The oldest due steps run; the invariants are checked after each."""

    most: int

    async def make(self, harness: OrderHarness) -> None:
        await harness.run_steps(self.most)


@dataclass(frozen=True)
class AnyStep:
    """Any due step runs."""

    number: int

    async def make(self, harness: OrderHarness) -> None:
        await harness.run_step(self.number)


@dataclass(frozen=True)
class RepeatStep:
    """A step that ran before runs again."""

    number: int

    async def make(self, harness: OrderHarness) -> None:
        await harness.repeat_step(self.number)


@dataclass(frozen=True)
class LoseSteps:
    """The broker loses all its steps."""

    async def make(self, harness: OrderHarness) -> None:
        await harness.lose_steps()


_files: st.SearchStrategy[File] = st.tuples(
    st.sampled_from(("stored", "stored", "stored", "external", "without checksum")),
    st.sampled_from(CHECKSUMS),
    st.sampled_from((10, 700_000, 0, None)),
)
_products = st.lists(
    st.lists(_files, min_size=1, max_size=2).map(tuple), min_size=0, max_size=4
).map(tuple)
_owners = st.sampled_from(("jane", "john"))
_orders = st.integers(0, 3)
_checksums = st.lists(st.sampled_from(CHECKSUMS), max_size=3, unique=True).map(tuple)
_actions = ("pause", "resume", "resume", "retry", "retry", "retry", "delete", "restart", "remove")
_results = (FetchResult.DOWNLOADED, *FetchResult)
_processes = st.integers(0, len(PROCESSES) - 1)
_durations = [
    timedelta(seconds=1),
    timedelta(minutes=31),
    timedelta(hours=7),
    timedelta(hours=49),
    timedelta(days=5),
]

_WEIGHTED: list[tuple[int, st.SearchStrategy[Move]]] = [
    (3, st.builds(OrderBasket, _owners, _products)),
    (2, st.builds(OrderBasket, _owners, _products, _processes)),
    (3, st.builds(RequestOrder, _owners, _products)),
    (6, st.builds(Act, st.sampled_from(_actions), _orders, st.booleans())),
    (1, st.builds(Cancel, st.lists(_orders, min_size=1, max_size=2).map(tuple))),
    (1, st.builds(BeginHold, st.sampled_from(_durations), order=_orders)),
    (1, st.builds(BeginHold, st.sampled_from(_durations), st.sampled_from((None, "jane", "john")))),
    (1, st.just(EndHold())),
    (3, st.builds(StorageReports, _checksums, _checksums)),
    (2, st.just(StorageReports(CHECKSUMS))),
    (1, st.builds(CatalogFails, st.booleans())),
    (1, st.builds(ProcessingFails, st.booleans())),
    (3, st.builds(ProcessEnds, st.integers(0, 5), st.sampled_from(get_args(Ending)))),
    (
        6,
        st.builds(Download, st.integers(0, 20), st.integers(1, 6), st.sampled_from(_results)),
    ),
    (3, st.builds(Wait, st.sampled_from(_durations))),
    (10, st.builds(NextSteps, st.integers(1, 6))),
    (4, st.builds(AnyStep, st.integers(0, 20))),
    (3, st.builds(RepeatStep, st.integers(0, 40))),
    (1, st.just(LoseSteps())),
]
moves: st.SearchStrategy[Move] = st.sampled_from(
    [move for weight, move in _WEIGHTED for _ in range(weight)]
).flatmap(lambda move: move)
"""Any move, with a probability in proportion to its weight."""


def _in_catalog(products: tuple[tuple[File, ...], ...]) -> tuple[Product, ...]:
    return tuple(
        Product(
            Urn(f"URN:AIP:DATA:demo:{number}:V1"),
            f"product-{number}",
            1,
            tuple(_file(f"{number}-{at}", *file) for at, file in enumerate(files)),
        )
        for number, files in enumerate(products)
    )


def _file(name: str, kind: str, checksum: str, size: int | None) -> CatalogFile:
    known = kind != "without checksum"
    return CatalogFile(
        data_type=DataType.RAWDATA,
        name=name,
        url=f"http://archive.example.org/{name}",
        external=kind == "external",
        size=size,
        checksum=Checksum(checksum) if known else None,
        checksum_algorithm="MD5" if known else None,
        mime_type="application/octet-stream",
        online=False,
    )
