"""The unit of work: one short transaction in the schema of one tenant."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TypeVar

import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt

from rs_order.domain.ids import OrderId, RequestId, Tenant
from rs_order.domain.quotes import QuoteId
from rs_order.domain.retry import Backoff
from rs_order.domain.settings import TenantSettings
from rs_order.domain.throughput import NONE, Throughput
from rs_order.ports import MessageKind, Written
from rs_order.store import audit
from rs_order.store.archive_slices import ArchiveSlices
from rs_order.store.archives_at_work import ArchivesAtWork
from rs_order.store.baskets import Baskets
from rs_order.store.completions import SQL as COMPLETIONS
from rs_order.store.completions import CompletionPosition, Completions, position_of
from rs_order.store.data_files import Files
from rs_order.store.dead_letters import DeadLetterUnit
from rs_order.store.errors import StoreConflict, store_errors
from rs_order.store.events import EventWriter
from rs_order.store.holds import Holds
from rs_order.store.keyed_requests import KeyedRequests
from rs_order.store.order_views import OrderView, load_views
from rs_order.store.orders import Orders
from rs_order.store.outbox import Leases, Messages, OutgoingMessage
from rs_order.store.periodic_runs import PeriodicRuns
from rs_order.store.planned_mails import Mails
from rs_order.store.pool import (
    LONGEST_IDLE_MS,
    Connection,
    Pool,
    single_statement,
    statements,
    transaction,
)
from rs_order.store.process_batches import Executions, ProcessChoices
from rs_order.store.process_inputs import ProcessInputs
from rs_order.store.product_lists import ProductLists
from rs_order.store.quotes import SQL as QUOTES
from rs_order.store.quotes import Quotes, StoredQuote, quote_of
from rs_order.store.recalls import Recalls
from rs_order.store.reconciliation import Reconciliation
from rs_order.store.repeated_steps import RepeatedSteps
from rs_order.store.requests import SQL as REQUESTS
from rs_order.store.requests import Requests, WaitingRequest
from rs_order.store.retries import Retries
from rs_order.store.shares import Shares
from rs_order.store.stac import ItemOrders
from rs_order.store.sub_orders import Capacity, SubOrders, lock_of_owner
from rs_order.store.subscriptions import Subscriptions
from rs_order.store.tenant_reads import read_rows
from rs_order.store.tenants import StoredSettings
from rs_order.store.timed_events import TimedEvents
from rs_order.store.webhooks import Webhooks

SQL = statements("tenants")
log = structlog.get_logger(__name__)

Result = TypeVar("Result")

_ATTEMPTS = 10
_LONGEST = timedelta(milliseconds=100)
_BACKOFF = Backoff(first=_LONGEST, limit=_LONGEST, jitter=1)
"""A random pause of up to 100 ms, so that two units of work don't conflict again."""


class UnitOfWork:
    """One short transaction in the schema of one tenant. An exception undoes all of it."""

    def __init__(
        self,
        connection: Connection,
        tenant: Tenant,
        copied: Mapping[MessageKind, str],
        leases: Leases | None = None,
    ) -> None:
        self._connection = connection
        self.tenant = tenant
        self.requests = Requests(connection)
        self.events = EventWriter(connection)
        self.timed_events = TimedEvents(connection)
        self.orders = Orders(connection, self.events)
        self.completions = Completions(connection)
        self.retries = Retries(connection)
        self.sub_orders = SubOrders(connection, tenant, self.events)
        self.files = Files(connection)
        self.archives = ArchivesAtWork(connection)
        self.archive_slices = ArchiveSlices(connection)
        self.inputs = ProcessInputs(connection)
        self.recalls = Recalls(connection)
        self.executions = Executions(connection)
        self.process_choices = ProcessChoices(connection)
        self.mails = Mails(connection)
        self.messages = Messages(connection, tenant, copied, leases)
        self.capacity = Capacity(connection, tenant)
        self.holds = Holds(connection, tenant)
        self.shares = Shares(connection, tenant)
        self.quotes = Quotes(connection, tenant)
        self.subscriptions = Subscriptions(connection, tenant)
        self.webhooks = Webhooks(connection)
        self.keyed_requests = KeyedRequests(connection)
        self.item_orders = ItemOrders(connection, tenant)
        self.product_lists = ProductLists(connection)
        self.runs = PeriodicRuns(connection)
        self.dead_letters = DeadLetterUnit(connection)
        self.repeated_steps = RepeatedSteps(connection)
        self.reconciliation = Reconciliation(connection, tenant)
        self.stored_settings = StoredSettings(connection, tenant)
        self.throughput = NONE
        """What it does, for the figures of the hour."""

    async def audit(self, entry: audit.AuditEntry) -> None:
        """Add an entry to the audit."""
        await audit.record(self._connection, entry)

    async def purge_audit(self, days: int, limit: int) -> int:
        """Delete the oldest entries of all tenants that are past their retention. Return their number."""
        return await audit.purge(self._connection, days, limit)

    async def order_view(self, order_id: OrderId) -> OrderView:
        """Return the view of an order that this unit of work has created."""
        (view,) = await load_views(self._connection, [order_id])
        return view

    async def settings(self) -> TenantSettings:
        """Return the tenant's settings. One that was never set has its default."""
        return TenantSettings.of(await self.stored_settings.all())

    async def host(self) -> str | None:
        """Return the stored public address of the tenant's project."""
        host: str | None = await self._connection.fetchval(SQL["host"], self.tenant)
        return host


class Store:
    """Opens units of work, and notifies the relay of commits that wrote to the outbox."""

    def __init__(
        self,
        pool: Pool,
        committed: Callable[[Written], None],
        copied: Mapping[MessageKind, str] | None = None,
        *,
        logged: Callable[[Tenant], None] = lambda _: None,
        counted: Callable[[Tenant, Throughput], None] = lambda *_: None,
        leases: Leases | None = None,
        longest_idle_ms: int = LONGEST_IDLE_MS,
    ) -> None:
        """Open units of work in the pool.

        Args:
            pool: connections to the database.
            committed: called after each commit that wrote to the outbox, with what it wrote.
            copied: messages of which rs-notifier gets a copy, with the name of their Java class.
            logged: called after each commit that wrote events, with the tenant.
            counted: called after each commit that restored or delivered files, with the tenant.
            leases: does steps that this process writes; None: all steps take the way through the broker.
            longest_idle_ms: the longest time between two statements of a unit of work.
        """
        self.baskets = Baskets(pool)
        self._pool = pool
        self._committed = committed
        self._copied = copied or {}
        self._logged = logged
        self._counted = counted
        self._leases = leases
        self._longest_idle_ms = longest_idle_ms

    @asynccontextmanager
    async def unit_of_work(
        self, tenant: Tenant, *, schedules: str | None = None
    ) -> AsyncIterator[UnitOfWork]:
        """Open a unit of work. It commits at the end of the context; an exception rolls it back.

        ``schedules``: the owner whose sub-orders only this unit of work may schedule until it ends.

        Raises:
            StoreUnavailable: the database can't be reached. If that happens during the commit, the
                outcome is unknown.
            StoreConflict: nothing was changed; start again.
        """
        with store_errors():
            async with transaction(
                self._pool,
                tenant,
                longest_idle_ms=self._longest_idle_ms,
                generic_plans=True,
                first=[] if schedules is None else [lock_of_owner(tenant, schedules)],
            ) as connection:
                unit = UnitOfWork(connection, tenant, self._copied, self._leases)
                yield unit
        if written := unit.messages.written:
            self._committed(written)
        if unit.events.written:
            self._logged(tenant)
        if unit.throughput != NONE:
            self._counted(tenant, unit.throughput)
        if self._leases is not None and unit.messages.leased:
            self._leases.begin(unit.messages.leased)
        for response in unit.messages.responded:
            log.info("order-response", **response)

    @asynccontextmanager
    async def preview(self, tenant: Tenant) -> AsyncIterator[UnitOfWork]:
        """Open a unit of work of which nothing is kept: it shows what would be.

        Raises:
            StoreUnavailable: the database can't be reached.
        """
        with store_errors():
            async with transaction(
                self._pool, tenant, longest_idle_ms=self._longest_idle_ms
            ) as connection:
                await connection.execute("savepoint preview")
                yield UnitOfWork(connection, tenant, self._copied)
                await connection.execute("rollback to savepoint preview")

    async def received_requests(
        self, tenant: Tenant, ids: Sequence[RequestId]
    ) -> list[WaitingRequest]:
        """Return the requests among these that wait for an answer, in one round trip; none is locked.

        Raises:
            StoreUnavailable: the database can't be reached.
        """
        rows = await read_rows(self._pool, tenant, REQUESTS["received"], ids)
        return [
            WaitingRequest(
                id=RequestId(row["id"]),
                correlation_id=row["correlation_id"],
                body=row["body"],
                attempts=row["attempts"],
                unavailable_since=row["unavailable_since"],
                received_at=row["received_at"],
            )
            for row in rows
        ]

    async def completion_positions(
        self, tenant: Tenant, wanted: Sequence[tuple[OrderId, int]]
    ) -> dict[tuple[OrderId, int], CompletionPosition]:
        """Return how far completions have come, in one round trip; nothing is locked.

        Args:
            tenant: the tenant.
            wanted: orders, each with the index of one of its dataset selections.

        Returns:
            A position for each of them, unless the order is complete or isn't known.

        Raises:
            StoreUnavailable: the database can't be reached.
        """
        orders, selections = [order for order, _ in wanted], [index for _, index in wanted]
        rows = await read_rows(self._pool, tenant, COMPLETIONS["positions"], orders, selections)
        return {(OrderId(row["id"]), row["of_step"]): position_of(row) for row in rows}

    async def quote(self, tenant: Tenant, owner: str, quote_id: QuoteId) -> StoredQuote | None:
        """Return a quote of an owner, or None, in one round trip.

        Raises:
            StoreUnavailable: the database can't be reached.
        """
        rows = await read_rows(self._pool, tenant, QUOTES["find"], quote_id)
        found = quote_of(rows[0]) if rows else None
        return found if found and found.owner == owner else None

    async def send(self, messages: Sequence[OutgoingMessage]) -> None:
        """Send messages that no change of a tenant's data belongs to."""
        if not messages:
            return
        with store_errors():
            async with single_statement(self._pool) as connection:
                tenant = messages[0].tenant
                sending = Messages(connection, tenant, self._copied)
                await sending.send(messages)
        if written := sending.written:
            self._committed(written)


async def retry_on_conflict(work: Callable[[], Awaitable[Result]]) -> Result:
    """Return the result of the work; start it again after each conflict.

    Raises:
        StoreConflict: every attempt conflicted.
    """
    async for attempt in AsyncRetrying(
        retry=retry_if_exception_type(StoreConflict),
        stop=stop_after_attempt(_ATTEMPTS),
        wait=_pause,
        reraise=True,
    ):
        with attempt:
            result = await work()
    return result


def _pause(failed: RetryCallState) -> float:
    return _BACKOFF.pause(failed.attempt_number).total_seconds()
