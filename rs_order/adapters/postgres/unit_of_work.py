"""One short transaction in one tenant's schema."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

import structlog

from rs_order.adapters.postgres.baskets import PostgresBaskets
from rs_order.adapters.postgres.completions import PostgresCompletions
from rs_order.adapters.postgres.driver import Connection, Pool
from rs_order.adapters.postgres.errors import store_errors
from rs_order.adapters.postgres.executions import PostgresExecutions, PostgresProcessChoices
from rs_order.adapters.postgres.files import PostgresFiles
from rs_order.adapters.postgres.limits import PostgresLimits
from rs_order.adapters.postgres.mails import PostgresMails
from rs_order.adapters.postgres.messages import PostgresMessages
from rs_order.adapters.postgres.orders import PostgresOrders
from rs_order.adapters.postgres.pool import transaction, use_tenant
from rs_order.adapters.postgres.process_inputs import PostgresProcessInputs
from rs_order.adapters.postgres.reconciliation import PostgresReconciliation
from rs_order.adapters.postgres.requests import PostgresRequests
from rs_order.adapters.postgres.retries import PostgresRetries
from rs_order.adapters.postgres.settings import PostgresStoredSettings
from rs_order.adapters.postgres.statements import statements
from rs_order.adapters.postgres.sub_orders import PostgresSubOrders
from rs_order.domain.ids import Tenant
from rs_order.domain.settings import TenantSettings
from rs_order.ports.outbox import MessageKind, OutgoingMessage

SQL = statements("tenants")

log = structlog.get_logger(__name__)


class PostgresRounds:
    """Implements :class:`rs_order.ports.store.Rounds`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def begin(
        self, name: str, number: int, next_at: datetime, schedule: str | None = None
    ) -> bool:
        done = await self._connection.fetchval(SQL["begin_round"], name, number, schedule, next_at)
        return done is not None

    async def reschedule(self, name: str, schedule: str, next_at: datetime) -> int | None:
        done: int | None = await self._connection.fetchval(
            SQL["reschedule_round"], name, schedule, next_at
        )
        return done


class PostgresUnitOfWork:
    """Implements :class:`rs_order.ports.store.UnitOfWork`."""

    def __init__(
        self, connection: Connection, tenant: Tenant, copied: Mapping[MessageKind, str]
    ) -> None:
        self._connection = connection
        self.tenant = tenant
        self.requests = PostgresRequests(connection)
        self.baskets = PostgresBaskets(connection)
        self.orders = PostgresOrders(connection)
        self.completions = PostgresCompletions(connection)
        self.retries = PostgresRetries(connection)
        self.sub_orders = PostgresSubOrders(connection, tenant)
        self.files = PostgresFiles(connection)
        self.inputs = PostgresProcessInputs(connection)
        self.executions = PostgresExecutions(connection)
        self.process_choices = PostgresProcessChoices(connection)
        self.mails = PostgresMails(connection)
        self.messages = PostgresMessages(connection, tenant, copied)
        self.limits = PostgresLimits(connection, tenant)
        self.rounds = PostgresRounds(connection)
        self.reconciliation = PostgresReconciliation(connection, tenant)
        self.stored_settings = PostgresStoredSettings(connection)

    async def settings(self) -> TenantSettings:
        """The tenant's settings as they are now; what was never set has its default."""
        return TenantSettings.of(await self.stored_settings.all())

    async def host(self) -> str | None:
        host: str | None = await self._connection.fetchval(SQL["host"], self.tenant)
        return host


class PostgresStore:
    """Implements :class:`rs_order.ports.store.Store`."""

    def __init__(
        self,
        pool: Pool,
        committed: Callable[[], None],
        copied: Mapping[MessageKind, str] | None = None,
    ) -> None:
        """Open units of work in the pool.

        Args:
            pool: connections to the database.
            committed: called after each commit that wrote to the outbox.
            copied: messages of which rs-notifier gets a copy, with the name of their Java class.
        """
        self._pool = pool
        self._committed = committed
        self._copied = copied or {}

    @asynccontextmanager
    async def unit_of_work(self, tenant: Tenant) -> AsyncIterator[PostgresUnitOfWork]:
        """See :meth:`rs_order.ports.store.Store.unit_of_work`."""
        with store_errors():
            async with transaction(self._pool) as connection:
                await use_tenant(connection, tenant)
                unit = PostgresUnitOfWork(connection, tenant, self._copied)
                yield unit
        if unit.messages.sent:
            self._committed()
        for told in unit.messages.told:
            log.info("order-told", **told)

    async def send(self, messages: Sequence[OutgoingMessage]) -> None:
        """See :meth:`rs_order.ports.store.Store.send`."""
        if not messages:
            return
        with store_errors():
            async with transaction(self._pool) as connection:
                tenant = messages[0].tenant
                await PostgresMessages(connection, tenant, self._copied).send(messages)
        self._committed()
