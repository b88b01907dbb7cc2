"""The product on a real store; it takes steps from the outbox and runs them one by one."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
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
from rs_order.core.shared_steps import ReconcileStep
from rs_order.core.steps import is_again, read_step, step_class
from rs_order.domain.files import Product
from rs_order.domain.holds import HeldThing
from rs_order.domain.identity import Caller
from rs_order.domain.ids import Checksum, DataFileId, DatasetSelectionId, OrderId
from rs_order.domain.process import ProcessChoice
from rs_order.domain.reasons import (
    MOST_FURTHER,
    Level,
    OrderFacts,
    ReasonCode,
    reason_of_whole,
    reasons_of,
)
from rs_order.domain.scheduling import PassLimits
from rs_order.domain.shares import Amount, LimitKind
from rs_order.domain.states import OrderStatus
from rs_order.orders.create import OrderOptions
from rs_order.ports import FetchResult, FileOutcome, RemoteRejection, RemoteUnavailable
from rs_order.reconcile.rebuild_steps import RebuildPageStep, RebuildRemotePageStep
from rs_order.reconcile.recount import PAUSE, RecountStep
from rs_order.requests.accept import ArrivedRequest
from rs_order.settings import Settings
from rs_order.shares.limits import NewLimit
from rs_order.store.audit import AuditActor, Door
from rs_order.store.pool import Connection, Pool, tenant_schema
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
from tests.support.event_members import EVENT_MEMBERS
from tests.support.history import is_explained
from tests.support.rows import use_tenant

OPERATOR = AuditActor("operator", Door.CLI)
REMEMBERED = 40
"""The number of past steps that may run again."""

_CHECKS = (Path(__file__).parent / "checks.sql").read_text()
_RECONCILER_STEPS = (
    ReconcileStep.name,
    RebuildPageStep.name,
    RebuildRemotePageStep.name,
    RecountStep.name,
)
_OF_ENDED = (ReasonCode.READY_FOR_YOU, ReasonCode.DOWNLOAD_QUOTA)
"""Reasons of ended orders whose files wait for their download."""
_OVERDUE = timedelta(minutes=16)
"""After this time an overdue step counts as lost."""
_CHECKS_SESSION = f"""
set search_path = {tenant_schema(TENANT)};
set default_transaction_read_only = on;
set jit = off;
set plan_cache_mode = force_generic_plan
"""
_KEPT_TABLES_TABLES = ("order_move", "sub_order_move", "schema_version", "event_log")


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
    announced_sub_orders=1,
    retried_files=2,
)
"""With these even small orders take many steps."""


async def prepare_checks(connection: Connection) -> "PreparedStatement[Record]":
    """Prepare the statement that checks all invariants. The connection is for nothing else."""
    await connection.execute(_CHECKS_SESSION)
    return await connection.prepare(_CHECKS)


class OrderHarness:
    """Makes the moves of a sequence, and checks the invariants."""

    def __init__(
        self, pool: Pool, checks: "PreparedStatement[Record]", drifts: list[str], **settings: Any
    ) -> None:
        """``checks``: see `prepare_checks`; ``drifts``: gets the tables with a drift."""
        self._pool = pool
        self._checks = checks
        self._drifts = drifts
        self._settings = Settings(**settings)
        self.clock = ManualClock()
        self._catalog = FakeCatalog()
        self._processes = FakeProcesses()
        clients = SimpleNamespace(
            users=FakeUsers(),
            catalog=self._catalog,
            catalog_items=None,
            dam=None,
            storage=None,
            projects=None,
            processes=self._processes,
            authentication=None,
            mailer=None,
            connections=None,
            receivers=None,
            file_sources=None,
        )
        shared = SharedParts.of(
            self._settings,
            Database(pool, Tenants(pool), self.clock),
            cast("PlatformClients", clients),
            lambda _: None,
            sizes=SMALL_SLICES,
        )
        self._application = compose_application(shared, count_drift=drifts.append)
        self.waiting = shared.waiting
        self._past_steps: list[Mapping[str, Any]] = []
        self._last_line = 0
        self._orders_before = 0
        """Ids up to this one belong to earlier sequences."""
        self._last_order = 0
        self.steps: list[WrittenStep] = []
        self.downloadable: list[tuple[DataFileId, OrderId]] = []
        self.executions: list[dict[str, Any]] = []
        """All execution requests so far."""

    async def empty(self) -> None:
        """Delete everything that earlier sequences left."""
        self.clock.set(NOW)
        self._catalog.found.clear()
        self._catalog.error = self._processes.error = None
        self._processes.batches.clear()
        self._past_steps.clear()
        self._orders_before = self._last_order
        async with self._pool.acquire() as connection, connection.transaction():
            await use_tenant(connection, TENANT)
            await connection.execute(await _deletion(connection))
        await self.check()

    async def limit(self, limits: Mapping[LimitKind, Amount]) -> None:
        """Limit what is in flight at storage, in all sequences."""
        for kind, limit in limits.items():
            new = NewLimit.of(TENANT, kind, limit)
            by = AuditActor("root@example.org", Door.CLI)
            await self._application.limits.change(new, reason="random sequences", by=by)

    async def check(self, *, steps_exist: bool = True) -> None:
        """Check all invariants; raise an AssertionError if one is violated.

        ``steps_exist``: check as well that every unfinished order has its next step.
        """
        found = await self._checks.fetchrow(
            self._settings.max_storage_files_jobs_per_user,
            self._settings.jobs_pool_size,
            self._last_line,
            self.clock.now(),
            steps_exist,
            EVENT_MEMBERS,
        )
        assert found is not None
        unexplained = [line for line in found["lines"] if not is_explained(*line)]
        wrong = [
            *found["wrong"],
            *(f"a move that isn't allowed: {line}" for line in unexplained),
            *(f"the reconciler found a drift of {table}" for table in self._drifts),
        ]
        if wrong:
            raise AssertionError("; ".join(wrong))
        await self._check_reasons(found["pending"])
        self._last_line = found["last_line"]
        self._last_order = max(self._last_order, found["last_order"])
        self.steps = [
            WrittenStep(row, body, datetime.fromisoformat(due_at) if due_at else None)
            for row, body, due_at in found["steps"]
        ]
        self.downloadable = [
            (DataFileId(id_), OrderId(order)) for id_, order in found["downloadable"]
        ]
        self.executions = found["executions"]

    async def facts(self) -> dict[OrderId, OrderFacts]:
        """Return what the reasons of all orders of the sequence follow from."""
        ids = [OrderId(id_) for id_ in range(self._orders_before + 1, self._last_order + 1)]
        return await self.waiting.progress.facts(TENANT, ids, self.clock.now())

    async def _check_reasons(self, pending: Sequence[Sequence[Any]]) -> None:
        """Check that each unfinished order has one reason, which counts what really waits.

        ``pending``: the pending files of each order by the state of its sub-orders.
        """
        slots = self.waiting.progress.slots_per_user
        waits: dict[int, dict[str, int]] = defaultdict(dict)
        for order, state, files in pending:
            waits[order][state] = files
        for order, facts in (await self.facts()).items():
            found = reasons_of(facts, slots)
            codes = [found.reason.code, *(one.code for one in found.also)]
            assert len(set(codes)) == len(codes) <= 1 + MOST_FURTHER
            final = found.reason.meaning.level is Level.FINAL
            assert facts.unfinished or final or found.reason.code in _OF_ENDED, (order, codes)
            assert not (facts.unfinished and final), (order, codes)
            if facts.status is OrderStatus.RUNNING and reason_of_whole(facts) is None:
                counted = Counter[str]()
                for group in facts.groups:
                    counted[group.state] += group.files
                assert +counted == +Counter(waits[order]), (order, codes)

    # Users and peers

    async def order_basket(
        self, owner: str, products: tuple[Product, ...], process: int | None
    ) -> None:
        """Fill a basket, attach the process if there is one, and order it."""
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

    async def act(self, action: str, number: int, *, by_owner: bool) -> None:
        """Pause, resume, delete, retry, restart or remove an order; the service may reject it."""
        if not self._orders:
            return
        order = self._order(number)
        facts = (await self.facts()).get(order)
        email = facts.owner if facts and by_owner else ADMIN
        actor = Actor(Caller(TENANT, email, ROLE), administrator=email == ADMIN)
        actions = self._application.actions
        try:
            if action == "restart":
                await actions.restart(actor, order, OrderOptions())
            else:
                await getattr(actions, action)(actor, order)
        except UseCaseRejected:
            return

    async def resume(self, order: OrderId, email: str) -> None:
        actor = Actor(Caller(TENANT, email, ROLE), administrator=email == ADMIN)
        await self._application.actions.resume(actor, order)

    async def cancel(self, numbers: Sequence[int]) -> None:
        if self._orders:
            orders = [self._order(number) for number in numbers]
            await self._application.orders.cancel.handle(TENANT, orders)

    async def begin_hold(self, duration: timedelta, owner: str | None, number: int | None) -> None:
        """Hold an order, a user or the tenant; the service may reject it."""
        order = self._order(number) if number is not None and self._orders else None
        held = HeldThing(TENANT, owner, order)
        until = self.clock.now() + duration
        try:
            await self._application.holds.begin(held, reason="repair", until=until, by=OPERATOR)
        except UseCaseRejected:
            return

    async def end_hold(self) -> bool:
        """End the oldest hold; return False if there is none."""
        hold = await self._pool.fetchval("select min(id) from rs_order.hold")
        if hold is not None:
            await self._application.holds.end(TENANT, hold, reason=None, by=OPERATOR)
        return hold is not None

    def _order(self, number: int) -> OrderId:
        """Return one of the orders so far, even if it is removed; the newest is 0."""
        return OrderId(self._last_order - number % self._orders)

    @property
    def _orders(self) -> int:
        return self._last_order - self._orders_before

    # Storage, the catalog, downloads, rs-processing

    async def storage_reports(self, available: Sequence[str], unavailable: Sequence[str]) -> None:
        await self._application.scheduling.availability.handle(
            TENANT,
            [Checksum(name) for name in available if name not in unavailable],
            {Checksum(name): "It is lost." for name in unavailable},
        )

    async def download(self, start: int, most: int, result: FetchResult) -> None:
        """Download some files of one order, with one result."""
        if not self.downloadable:
            return
        at = start % len(self.downloadable)
        order = self.downloadable[at][1]
        files = [file for file, of in self.downloadable[at:] if of == order][:most]
        reason = None if result is FetchResult.DOWNLOADED else result.value
        await self._application.settle_downloads.handle(
            TENANT, order, [FileOutcome(file, result, reason) for file in files]
        )

    async def download_all(self, owner: str, result: FetchResult) -> None:
        """Download all files of all orders of a user."""
        facts = await self.facts()
        files = defaultdict(list)
        for file, order in self.downloadable:
            if order in facts and facts[order].owner == owner:
                files[order].append(FileOutcome(file, result, None))
        for order, outcomes in files.items():
            await self._application.settle_downloads.handle(TENANT, order, outcomes)

    def catalog_fails(self, *, rejects: bool) -> None:
        """Let the next search fail."""
        self._catalog.error = (
            RemoteRejection("catalog", 400, "no")
            if rejects
            else RemoteUnavailable("catalog", "down")
        )

    def processing_fails(self, *, rejects: bool) -> None:
        """Let the next creation of a batch fail."""
        self._processes.error = (
            RemoteRejection("rs-processing", 400, "no")
            if rejects
            else RemoteUnavailable("rs-processing", "down")
        )

    async def process_ends(self, number: int, ending: Ending) -> None:
        """Handle the result of an execution, perhaps again."""
        if not self.executions:
            return
        request = self.executions[-1 - number % len(self.executions)]
        body, process = self._processes.result(request, ending)
        if await self._application.processing.results.has_batch(TENANT, body["batchCorrelationId"]):
            await self._application.processing.results.handle(
                TENANT, ExecutionResult.model_validate(body), process.cardinality
            )

    # Time and the broker

    @property
    def due(self) -> list[WrittenStep]:
        """The due steps, by due time and then in the order of writing."""
        now = self.clock.now()
        due = [step for step in self.steps if step.due_at is None or step.due_at <= now]
        return sorted(due, key=lambda step: (step.due_at or NOW, step.row))

    def wait(self, duration: timedelta) -> None:
        self.clock.ahead += duration

    def wait_for_step(self, names: Collection[str]) -> bool:
        """Move the clock to the next step with one of these names; return False if there is none."""
        coming = [step.due_at for step in self.steps if step.body["step"] in names and step.due_at]
        if not coming:
            return False
        self.clock.set(max(min(coming), self.clock.now()))
        return True

    async def run_step(self, number: int) -> None:
        """Run a due step, if there is one; the oldest is 0."""
        if not self.due:
            return
        step = self.due[number % len(self.due)]
        await self._remove([step])
        self._past_steps.append(step.body)
        del self._past_steps[:-REMEMBERED]
        await self._run(step.body)

    async def run_steps(self, most: int) -> None:
        """Run the oldest due steps, and check the invariants after each."""
        for _ in range(most):
            if not self.due:
                return
            await self.run_step(0)
            await self.check()

    async def repeat_step(self, number: int) -> None:
        """Run a past step again."""
        if self._past_steps:
            await self._run(self._past_steps[-1 - number % len(self._past_steps)])

    async def lose_steps(self) -> None:
        """Lose all due steps, start a process, and let the reconciler repair the stalled work."""
        await self._remove(self.due)
        # Two runs: a run in progress doesn't go back to rows that it has passed.
        for _ in range(2):
            self.wait(_OVERDUE)
            await self._application.reconcile.resume(TENANT)
            await self._reconcile()

    async def _reconcile(self) -> None:
        """Run the reconciler's steps until none is due."""
        for _ in range(10):
            await self.check(steps_exist=False)
            due = [step for step in self.due if step.body["step"] in _RECONCILER_STEPS]
            if not due:
                return
            await self._remove(due)
            for step in due:
                await self._run(step.body)
            self.wait(PAUSE)

    async def _run(self, body: Mapping[str, Any]) -> None:
        shared, step = self._application.shared, read_step(step_class(body), body)
        await shared.steps.handle(TENANT, step)
        if is_again(body):
            await shared.step_failures.done(TENANT, step)

    async def _remove(self, steps: Sequence[WrittenStep]) -> None:
        async with self._pool.acquire() as connection:
            await connection.execute(
                "delete from rs_order.outbox where id = any ($1)", [step.row for step in steps]
            )

    def _add_to_catalog(self, products: tuple[Product, ...]) -> str:
        """Add products to the catalog, and return the query that finds them."""
        query = f"query-{len(self._catalog.found)}"
        self._catalog.found[query] = products
        return query


async def _deletion(connection: Connection) -> str:
    """Return statements that delete all rows, which is faster than to truncate many small tables."""
    tables = await connection.fetch(
        "select format('%I.%I', schemaname, tablename) as name from pg_tables"
        " where schemaname = current_schema() and tablename <> all ($1)",
        _KEPT_TABLES_TABLES,
    )
    shared = [
        "rs_order.outbox",
        "rs_order.running_sub_order",
        "rs_order.waiting_user",
        "rs_order.hold",
    ]
    return "; ".join(f"delete from {name}" for name in [*(row["name"] for row in tables), *shared])  # noqa: S608 - our own names
