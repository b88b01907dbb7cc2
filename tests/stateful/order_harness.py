"""The product over a real store, one move at a time: steps are taken from the outbox and done by hand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from asyncpg import Record
from asyncpg.prepared_stmt import PreparedStatement

from rs_order.actions.rights import Actor
from rs_order.app.application import compose_application
from rs_order.app.database import Database
from rs_order.app.platform_clients import PlatformClients
from rs_order.app.shared_parts import SharedParts
from rs_order.contracts.basket_bodies import BasketSelectionRequest
from rs_order.contracts.order_messages import OrderRequest
from rs_order.contracts.processing_messages import ExecutionResult
from rs_order.core.errors import UseCaseRejected
from rs_order.core.policies import SliceSizes
from rs_order.core.steps import read_step, step_class
from rs_order.domain.files import Product
from rs_order.domain.identity import Caller
from rs_order.domain.ids import Checksum, DataFileId, DatasetSelectionId, OrderId
from rs_order.domain.process import ProcessChoice
from rs_order.domain.scheduling import PassLimits
from rs_order.orders.create import OrderOptions
from rs_order.ports import FetchResult, FileOutcome, RemoteRejection, RemoteUnavailable
from rs_order.reconcile.rebuild_steps import RebuildPageStep
from rs_order.reconcile.recount import PAUSE, RecountStep
from rs_order.reconcile.runs import ReconcileStep
from rs_order.requests.accept import ArrivedRequest
from rs_order.settings import Settings
from rs_order.store.pool import Connection, Pool
from rs_order.store.tenants import Tenants
from tests.stateful.fakes import (
    ADMIN,
    PROCESSES,
    ROLE,
    TENANT,
    Ending,
    FakeCatalog,
    FakeProcesses,
    FakeUsers,
)
from tests.support.clock import NOW, ManualClock
from tests.support.history import is_explained
from tests.support.rows import use_tenant

REMEMBERED = 40
"""Steps that were done and may come again."""

_CHECKS = (Path(__file__).parent / "checks.sql").read_text()
_OF_THE_RECONCILER = (ReconcileStep.name, RebuildPageStep.name, RecountStep.name)
_LONG_ENOUGH = timedelta(minutes=16)
"""A step that is overdue for so long counts as lost."""
_ONE_PLAN = "set local jit = off; set local plan_cache_mode = force_generic_plan"
_KEPT = ("order_move", "sub_order_move", "schema_version")


@dataclass(frozen=True)
class WrittenStep:
    """A step in the outbox."""

    row: int
    body: Mapping[str, Any]
    due_at: datetime | None


SMALL_SLICES = SliceSizes(
    started=PassLimits(sub_orders=2),
    requested_checksums=2,
    stopped_sub_orders=1,
    released_sub_orders=1,
    deleted_rows=3,
    retried_files=2,
)
"""Short orders take many steps."""


class OrderHarness:
    """What a sequence acts on, and what it is checked by."""

    def __init__(self, pool: Pool, checks: Connection, drifts: list[str], **settings: Any) -> None:
        """``checks``: a connection to look through; ``drifts``: tables of which the reconciler found one."""
        self._pool = pool
        self._checks = checks
        self._prepared: PreparedStatement[Record] | None = None
        self._drifts = drifts
        self._settings = Settings(**settings)
        self.clock = ManualClock()
        self._catalog = FakeCatalog()
        self._processes = FakeProcesses()
        clients = SimpleNamespace(
            users=FakeUsers(),
            catalog=self._catalog,
            dam=None,
            projects=None,
            processes=self._processes,
            mailer=None,
            connections=None,
        )
        shared = SharedParts.of(
            self._settings,
            Database(pool, Tenants(pool), self.clock),
            cast("PlatformClients", clients),
            lambda: None,
            sizes=SMALL_SLICES,
        )
        self._application = compose_application(shared, count_drift=drifts.append)
        self._done: list[Mapping[str, Any]] = []
        self._last_line = 0
        self._orders_before = 0
        """Ids up to this one belong to earlier sequences."""
        self._last_order = 0
        self.steps: list[WrittenStep] = []
        self.downloadable: list[tuple[DataFileId, OrderId]] = []
        self.executions: list[dict[str, Any]] = []
        """What rs-processing was asked for so far."""

    async def empty(self) -> None:
        """Forget all that earlier sequences left."""
        self.clock.set(NOW)
        self._catalog.found.clear()
        self._catalog.error = self._processes.error = None
        self._processes.batches.clear()
        self._done.clear()
        self._orders_before = self._last_order
        async with self._pool.acquire() as connection, connection.transaction():
            await use_tenant(connection, TENANT)
            await connection.execute(await _deletion(connection))
        await self.check()

    async def check(self, *, moves_on: bool = True) -> None:
        """Look at everything; what doesn't hold fails the sequence.

        ``moves_on``: steps must be there.
        """
        async with self._checks.transaction(readonly=True):
            await use_tenant(self._checks, TENANT)
            await self._checks.execute(_ONE_PLAN)
            if self._prepared is None:
                # The driver keeps no statement that is so long.
                self._prepared = await self._checks.prepare(_CHECKS)
            seen = await self._prepared.fetchrow(
                self._settings.max_storage_files_jobs_per_user,
                self._settings.jobs_pool_size,
                self._last_line,
                self.clock.now(),
                moves_on,
            )
        assert seen is not None
        unexplained = [line for line in seen["lines"] if not is_explained(*line)]
        wrong = [
            *seen["wrong"],
            *(f"no such move: {line}" for line in unexplained),
            *(f"the reconciler found a drift of {table}" for table in self._drifts),
        ]
        if wrong:
            raise AssertionError("; ".join(wrong))
        self._last_line = seen["last_line"]
        self._last_order = max(self._last_order, seen["last_order"])
        self.steps = [
            WrittenStep(row, body, datetime.fromisoformat(due_at) if due_at else None)
            for row, body, due_at in seen["steps"]
        ]
        self.downloadable = [
            (DataFileId(id_), OrderId(order)) for id_, order in seen["downloadable"]
        ]

        self.executions = seen["executions"]

    # What users and peers do

    async def order_by_hand(
        self, owner: str, products: tuple[Product, ...], process: int | None
    ) -> None:
        """Fill a basket, attach a process to it, if one, and order it."""
        caller = Caller(TENANT, owner, ROLE)
        options = BasketSelectionRequest(
            engine_type="legacy", search_parameters={"q": [self._add_to_catalog(products)]}
        )
        try:
            basket = await self._application.baskets.add.selection(caller, options)
            for selection in basket.selections:
                choice = ProcessChoice(PROCESSES[process].id) if process is not None else None
                await self._application.baskets.edit.set_process(
                    caller, selection.id or DatasetSelectionId(0), choice
                )
            await self._application.orders.create.handle(caller, OrderOptions())
        except UseCaseRejected:
            return

    async def request_order(self, owner: str, products: tuple[Product, ...]) -> None:
        query = self._add_to_catalog(products)
        request = OrderRequest.model_validate(
            {"correlationId": query, "user": owner, "queries": [query]}
        )
        await self._application.requests.accept.handle(TENANT, [ArrivedRequest(request)])

    async def act(self, action: str, number: int) -> None:
        """Pause, resume, delete, retry, restart or remove an order; a refusal is an answer."""
        if not self._orders:
            return
        actor = Actor(Caller(TENANT, ADMIN, ROLE), administrator=True)
        order = self._order(number)
        actions = self._application.actions
        try:
            if action == "restart":
                await actions.restart(actor, order, OrderOptions())
            else:
                await getattr(actions, action)(actor, order)
        except UseCaseRejected:
            return

    async def cancel(self, numbers: Sequence[int]) -> None:
        if self._orders:
            orders = [self._order(number) for number in numbers]
            await self._application.orders.cancel.handle(TENANT, orders)

    def _order(self, number: int) -> OrderId:
        """One of the orders so far, also one that is removed; the newest is 0."""
        return OrderId(self._last_order - number % self._orders)

    @property
    def _orders(self) -> int:
        return self._last_order - self._orders_before

    # What storage and downloads bring

    async def storage_answers(self, available: Sequence[str], unavailable: Sequence[str]) -> None:
        await self._application.scheduling.availability.handle(
            TENANT,
            [Checksum(name) for name in available if name not in unavailable],
            {Checksum(name): "It is lost." for name in unavailable},
        )

    async def downloaded(self, start: int, most: int, result: FetchResult) -> None:
        """Some files of one order."""
        if not self.downloadable:
            return
        at = start % len(self.downloadable)
        order = self.downloadable[at][1]
        files = [file for file, of in self.downloadable[at:] if of == order][:most]
        reason = None if result is FetchResult.DOWNLOADED else result.value
        await self._application.settle_downloads.handle(
            TENANT, order, [FileOutcome(file, result, reason) for file in files]
        )

    def catalog_fails(self, *, refuses: bool) -> None:
        """The next page can't be read."""
        self._catalog.error = (
            RemoteRejection("catalog", 400, "no")
            if refuses
            else RemoteUnavailable("catalog", "down")
        )

    def processing_fails(self, *, refuses: bool) -> None:
        """The next batch can't be made."""
        self._processes.error = (
            RemoteRejection("rs-processing", 400, "no")
            if refuses
            else RemoteUnavailable("rs-processing", "down")
        )

    async def process_ends(self, number: int, ending: Ending) -> None:
        """The result of an execution comes, perhaps not for the first time."""
        if not self.executions:
            return
        request = self.executions[-1 - number % len(self.executions)]
        body, process = self._processes.result(request, ending)
        if await self._application.processing.results.has_batch(TENANT, body["batchCorrelationId"]):
            await self._application.processing.results.handle(
                TENANT, ExecutionResult.model_validate(body), process.cardinality
            )

    # What time and the broker do

    @property
    def due(self) -> list[WrittenStep]:
        """By the time they fell due, then as they were written."""
        now = self.clock.now()
        due = [step for step in self.steps if step.due_at is None or step.due_at <= now]
        return sorted(due, key=lambda step: (step.due_at or NOW, step.row))

    def wait(self, duration: timedelta) -> None:
        self.clock.ahead += duration

    async def do_step(self, number: int) -> None:
        """Do a due step, if there is one: the oldest is 0, others come out of order."""
        if not self.due:
            return
        step = self.due[number % len(self.due)]
        await self._remove([step])
        self._done.append(step.body)
        del self._done[:-REMEMBERED]
        await self._do(step.body)

    async def do_steps(self, most: int) -> None:
        """Do the oldest due steps, and look after each."""
        for _ in range(most):
            if not self.due:
                return
            await self.do_step(0)
            await self.check()

    async def repeat_step(self, number: int) -> None:
        """Do again what was done before."""
        if self._done:
            await self._do(self._done[-1 - number % len(self._done)])

    async def lose_steps(self) -> None:
        """The broker loses what it took; a process starts, and the reconciler finds what stands still."""
        await self._remove(self.due)
        # Two rounds: a walk that is under way sees what it has passed in the next one only.
        for _ in range(2):
            self.wait(_LONG_ENOUGH)
            await self._application.reconcile.resume(TENANT)
            await self._reconcile()

    async def _reconcile(self) -> None:
        """Do the steps of the reconciler until it rests."""
        for _ in range(10):
            await self.check(moves_on=False)
            ours = [step for step in self.due if step.body["step"] in _OF_THE_RECONCILER]
            if not ours:
                return
            await self._remove(ours)
            for step in ours:
                await self._do(step.body)
            self.wait(PAUSE)

    async def _do(self, body: Mapping[str, Any]) -> None:
        await self._application.shared.steps.handle(TENANT, read_step(step_class(body), body))

    async def _remove(self, steps: Sequence[WrittenStep]) -> None:
        async with self._pool.acquire() as connection:
            await connection.execute(
                "delete from rs_order.outbox where id = any ($1)", [step.row for step in steps]
            )

    def _add_to_catalog(self, products: tuple[Product, ...]) -> str:
        """Let the catalog find products; the query that finds them."""
        query = f"query-{len(self._catalog.found)}"
        self._catalog.found[query] = products
        return query


async def _deletion(connection: Connection) -> str:
    """Deletes all rows; cheaper than truncating many small tables, and no plan is made anew."""
    tables = await connection.fetch(
        "select format('%I.%I', schemaname, tablename) as name from pg_tables"
        " where schemaname = current_schema() and tablename <> all ($1)",
        _KEPT,
    )
    shared = ["rs_order.outbox", "rs_order.running_sub_order", "rs_order.waiting_user"]
    return "; ".join(f"delete from {name}" for name in [*(row["name"] for row in tables), *shared])  # noqa: S608 - our own names
