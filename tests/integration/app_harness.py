"""The use cases over a real store. There is no broker: a step runs when the test runs it."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import orjson

from rs_order.actions.rights import Actor
from rs_order.actions.routes import OrderActions
from rs_order.app.application import compose_application
from rs_order.app.database import Database
from rs_order.app.platform_clients import PlatformClients
from rs_order.app.shared_parts import SharedParts
from rs_order.core.policies import SliceSizes
from rs_order.core.steps import Step, is_again, read_step, step_class
from rs_order.core.waiting_orders import WaitingOrders
from rs_order.domain.events import OrderDoor
from rs_order.domain.files import DataType, FileFilter, Product
from rs_order.domain.identity import Caller
from rs_order.domain.ids import Checksum, DataFileId, OrderId, Tenant, Urn
from rs_order.domain.selection import (
    DatasetSelection,
    DatasetSummary,
    DatedSelection,
    SelectionRequest,
    Summary,
    TypeTotals,
)
from rs_order.downloads.settle import Settle
from rs_order.orders.create import begin_order
from rs_order.ports import FetchResult, FileOutcome, FoundPage, RemoteError
from rs_order.settings import Settings
from rs_order.store.order_views import OrderView, OrderViews
from rs_order.store.orders import NewOrder
from rs_order.store.pool import Pool
from rs_order.store.tenants import Tenants
from rs_order.store.unit_of_work import Store
from tests.support.clock import NOW, ManualClock
from tests.support.rows import OWNER, in_tenant
from tests.unit.catalog import a_file, a_product

TENANT = Tenant("project1")
ADMIN = "alan@example.org"
STRANGER = "john@example.org"


@dataclass
class FakeUsers:
    """Implements ``Users``: one administrator, or an error of rs-admin."""

    error: RemoteError | None = None
    asked_about: list[str] = field(default_factory=list)

    async def is_admin(self, tenant: Tenant, email: str) -> bool:
        assert tenant == TENANT
        self.asked_about.append(email)
        if self.error is not None:
            raise self.error
        return email == ADMIN


@dataclass
class FakeCatalog:
    """Implements ``Catalog``: the products of one dataset, from which every order is made."""

    products: list[Product] = field(default_factory=list)
    error: RemoteError | None = None
    read: list[int] = field(default_factory=list)
    """Pages that were requested."""
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a page is requested."""
    may_answer: asyncio.Event | None = None
    empty_pages: int = 0
    """The number of calls that get an empty page."""
    counts_more_with_each_call: bool = False

    async def summarize(self, caller: Caller, requests: Sequence[SelectionRequest]) -> Summary:
        """Count the products as files of RAWDATA in the one dataset."""
        assert caller.tenant == TENANT
        assert requests
        self.reached.set()
        if self.may_answer is not None:
            await self.may_answer.wait()
        if self.error is not None:
            raise self.error
        files = [file for product in self.products for file in product.files]
        size = sum(file.size or 0 for file in files)
        counts = len(self.products), len(files), size
        types = {DataType.RAWDATA: TypeTotals(len(files), size)}
        return Summary(*counts, (DatasetSummary(A_SELECTION.urn, *counts, types),))

    async def dataset_label(self, caller: Caller, urn: Urn) -> str:
        assert (caller.tenant, urn) == (TENANT, A_SELECTION.urn)
        return A_SELECTION.label

    def hold(self) -> asyncio.Event:
        """Delay every answer until the returned event is set."""
        self.may_answer = asyncio.Event()
        return self.may_answer

    async def search(
        self,
        caller: Caller,
        requests: Sequence[SelectionRequest],
        *,
        page: int,
        size: int,
        every_type: bool = False,
    ) -> FoundPage:
        assert caller.tenant == TENANT
        assert not every_type
        assert requests
        self.read.append(page)
        self.reached.set()
        if self.may_answer is not None:
            await self.may_answer.wait()
        if self.error is not None:
            raise self.error
        total = len(self.products) + self.counts_more_with_each_call * len(self.read)
        if self.empty_pages:
            self.empty_pages -= 1
            return FoundPage((), total)
        return FoundPage(tuple(self.products[page * size : (page + 1) * size]), total)


class AppHarness:
    """The application of one tenant, with methods to run steps and to read what they stored."""

    def __init__(self, pool: Pool, **settings: Any) -> None:
        self._pool = pool
        self.clock = ManualClock()
        self.users = FakeUsers()
        self.catalog = FakeCatalog()
        clients = SimpleNamespace(
            users=self.users,
            catalog=self.catalog,
            catalog_items=None,
            dam=None,
            storage=None,
            projects=None,
            processes=None,
            connections=None,
            authentication=None,
            mailer=None,
            receivers=None,
            file_sources=None,
        )
        self.store = Store(pool, lambda _: None)
        self._parts = (
            Settings(**settings),
            Database(pool, Tenants(pool), self.clock),
            cast("PlatformClients", clients),
        )
        self.application = compose_application(SharedParts.of(*self._parts, lambda _: None))

    def use_slices(self, **sizes: Any) -> None:
        """Compose the application again with these members of ``SliceSizes``."""
        shared = SharedParts.of(*self._parts, lambda _: None, sizes=SliceSizes(**sizes))
        self.application = compose_application(shared)

    @property
    def settle_downloads(self) -> Settle:
        return self.application.settle_downloads.handle

    @property
    def waiting(self) -> WaitingOrders:
        return self.application.shared.waiting

    @property
    def actions(self) -> OrderActions:
        return self.application.actions

    async def rows(self, query: str, *parameters: Any) -> list[dict[str, Any]]:
        async with in_tenant(self._pool, TENANT) as connection:
            return [dict(row) for row in await connection.fetch(query, *parameters)]

    async def order(self, *files: str, products: Sequence[Product] = ()) -> OrderId:
        """Create an order of the owner whose files are not read yet.

        The catalog then has these products, and one product per file name. A file's checksum is its name.
        """
        self.catalog.products = [*products, *(one_file(name) for name in files)]
        async with self.store.unit_of_work(TENANT) as uow:
            return await begin_order(
                uow,
                NewOrder(
                    owner=OWNER,
                    role="REGISTERED_USER",
                    label=uuid4().hex,
                    correlation_id="c-1",
                    request_id=None,
                    sub_order_hours=2,
                    created_at=self.clock.now(),
                    door=OrderDoor.BASKET,
                    selections=(A_SELECTION,),
                ),
            )

    async def steps(self, kind: type[Step] | None = None) -> list[dict[str, Any]]:
        """Return the steps in the outbox, delayed ones included."""
        found = await self.rows("select body from rs_order.outbox where kind = 'STEP' order by id")
        bodies = [orjson.loads(row["body"]) for row in found]
        return [body for body in bodies if kind is None or body["step"] == kind.name]

    async def run_one(self, kind: type[Step] | None = None) -> bool:
        """Run the oldest due step (of this kind); return False if there is none."""
        taken = await self.rows(
            "delete from rs_order.outbox where id = (select min(id) from rs_order.outbox"
            " where kind = 'STEP' and (due_at is null or due_at <= $1)"
            " and ($2::text is null or body::json ->> 'step' = $2)) returning body",
            self.clock.now(),
            kind.name if kind else None,
        )
        for row in taken:
            body = orjson.loads(row["body"])
            await self.do(body)
        return bool(taken)

    async def do(self, body: Mapping[str, Any]) -> None:
        """Run a step, which may be one that ran before."""
        shared, step = self.application.shared, read_step(step_class(body), body)
        await shared.steps.handle(TENANT, step)
        if is_again(body):
            await shared.step_failures.done(TENANT, step)

    async def run(self, kind: type[Step] | None = None) -> None:
        """Run due steps (of this kind), and those that they write, until none is left."""
        while await self.run_one(kind):
            pass

    async def restore_requests(self) -> list[list[str]]:
        """Return the checksums of each restore request so far; they all stay in the outbox."""
        found = await self.rows(
            "select body from rs_order.outbox where kind = 'RESTORE_REQUEST' order by id"
        )
        return [orjson.loads(row["body"])["checksums"] for row in found]

    async def responses_about(self, order: OrderId) -> list[tuple[str, int | None]]:
        """Return status and total of sub-orders of each response about an order."""
        found = await self.rows(
            "select body from order_response where order_id = $1 order by id", order
        )
        bodies = [orjson.loads(row["body"]) for row in found]
        return [(body["status"], body.get("totalSubOrders")) for body in bodies]

    async def storage_answers(self, *available: str, **unavailable: str) -> None:
        await self.application.scheduling.availability.handle(
            TENANT,
            [Checksum(name) for name in available],
            {Checksum(name): reason for name, reason in unavailable.items()},
        )

    async def downloaded(self, order: OrderId, *names: str, failed: bool = False) -> None:
        result = FetchResult.FAILED if failed else FetchResult.DOWNLOADED
        rows = await self.rows(
            "select id from data_file where order_id = $1 and name = any ($2)", order, list(names)
        )
        await self.settle_downloads(
            TENANT,
            order,
            [FileOutcome(DataFileId(row["id"]), result, "no" if failed else None) for row in rows],
        )

    async def status(self, order: OrderId) -> str | None:
        """Return None if there is no such order."""
        found = await self.rows("select status from orders where id = $1", order)
        return str(found[0]["status"]) if found else None

    async def view(self, order: OrderId) -> OrderView:
        """Return the order as users see it."""
        found = await OrderViews(self._pool).order(TENANT, order)
        assert found is not None
        return found

    async def files(self, order: OrderId) -> dict[str, str]:
        found = await self.rows("select name, state from data_file where order_id = $1", order)
        return {row["name"]: row["state"] for row in found}

    async def sub_orders(self, order: OrderId) -> list[tuple[str, str]]:
        """Return kind and state of each sub-order."""
        found = await self.rows(
            "select kind, state from sub_order where order_id = $1 order by id", order
        )
        return [(row["kind"], row["state"]) for row in found]

    async def history(self, order: OrderId) -> list[tuple[str | None, str, str, str]]:
        """Return before, after, reason and actor of each line about the order itself."""
        found = await self.rows(
            "select before, after, reason, actor from history"
            " where order_id = $1 and sub_order_id is null order by id",
            order,
        )
        return [(row["before"], row["after"], row["reason"], row["actor"]) for row in found]

    async def miscounted(self) -> list[dict[str, Any]]:
        """Return the orders and sub-orders whose counters differ from their rows."""
        return await self.rows(_MISCOUNTED)


def an_actor(email: str = OWNER, role: str = "REGISTERED_USER", *, admin: bool = False) -> Actor:
    return Actor(Caller(TENANT, email, role), administrator=admin)


JANE = an_actor()
ALAN = an_actor(ADMIN, "ADMIN")
JOHN = an_actor(STRANGER)


def one_file(name: str, size: int | None = 10, *, external: bool = False) -> Product:
    return a_product(a_file(size, name=name, checksum=name, external=external))


A_SELECTION = DatasetSelection(
    urn=Urn("URN:AIP:DATASET:demo:1:V1"),
    label="A dataset",
    products=1,
    files=1,
    bytes=10,
    types={DataType.RAWDATA: TypeTotals(1, 10, 0)},
    file_filter=FileFilter(),
    searches=(
        DatedSelection(
            SelectionRequest.of_query("*", NOW), 1, {DataType.RAWDATA: TypeTotals(1, 10, 0)}
        ),
    ),
)

_STATES = ("pending", "available", "downloaded", "download_error", "error", "processing_error")
_COUNTERS = [f"{state}_{what}" for state in _STATES for what in ("files", "bytes")]
_COUNTED = ", ".join(
    f"count(*) filter (where state = '{state.upper()}') as {state}_files,"
    f" coalesce(sum(size) filter (where state = '{state.upper()}'), 0)::bigint as {state}_bytes"
    for state in _STATES
)
_STORED, _ACTUAL = (
    ", ".join(f"{table}.{counter}" for counter in _COUNTERS) for table in ("one", "counted")
)
_MISCOUNTED = f"""
select 'sub-order' as what, one.id, one.state from sub_order one
cross join lateral (select {_COUNTED} from data_file where sub_order_id = one.id) as counted
where row({_STORED}) is distinct from row({_ACTUAL})
union all
select 'order', one.id, one.status from orders one
cross join lateral (select {_COUNTED} from data_file where order_id = one.id) as counted
cross join lateral (
    select count(*) as sub_orders, count(*) filter (where state = 'WAITING') as waiting
    from sub_order where order_id = one.id
) as below
where one.status not in ('DELETED', 'EXPIRED')
  and row({_STORED}, one.sub_orders, one.waiting_sub_orders)
      is distinct from row({_ACTUAL}, below.sub_orders, below.waiting)
"""  # noqa: S608 - our own names
