"""One short transaction in one tenant's schema."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import structlog

from rs_order.adapters.postgres.completions import PostgresCompletions
from rs_order.adapters.postgres.driver import Connection, Pool
from rs_order.adapters.postgres.errors import store_errors
from rs_order.adapters.postgres.files import PostgresFiles
from rs_order.adapters.postgres.limits import PostgresLimits
from rs_order.adapters.postgres.messages import PostgresMessages
from rs_order.adapters.postgres.orders import PostgresOrders
from rs_order.adapters.postgres.pool import transaction, use_tenant
from rs_order.adapters.postgres.requests import PostgresRequests
from rs_order.adapters.postgres.retries import PostgresRetries
from rs_order.adapters.postgres.statements import statements
from rs_order.adapters.postgres.sub_orders import PostgresSubOrders
from rs_order.domain.ids import Tenant
from rs_order.domain.settings import TenantSettings
from rs_order.ports.outbox import OutgoingMessage

SQL = statements("tenants")

log = structlog.get_logger(__name__)


class PostgresRounds:
    """Implements :class:`rs_order.ports.store.Rounds`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def begin(self, name: str, number: int) -> bool:
        return await self._connection.fetchval(SQL["begin_round"], name, number) is not None


class PostgresUnitOfWork:
    """Implements :class:`rs_order.ports.store.UnitOfWork`."""

    def __init__(self, connection: Connection, tenant: Tenant) -> None:
        self._connection = connection
        self.tenant = tenant
        self.requests = PostgresRequests(connection)
        self.orders = PostgresOrders(connection)
        self.completions = PostgresCompletions(connection)
        self.retries = PostgresRetries(connection)
        self.sub_orders = PostgresSubOrders(connection, tenant)
        self.files = PostgresFiles(connection)
        self.messages = PostgresMessages(connection, tenant)
        self.limits = PostgresLimits(connection, tenant)
        self.rounds = PostgresRounds(connection)

    async def settings(self) -> TenantSettings:
        """The tenant's settings as they are now; what was never set has its default."""
        stored = {
            row["name"]: row["value"] for row in await self._connection.fetch(SQL["settings"])
        }
        defaults = TenantSettings()
        user = stored.get("user_order_parameters", {})
        return TenantSettings(
            user_sub_order_hours=int(user.get("subOrderDuration", defaults.user_sub_order_hours)),
            user_notification_delay_hours=int(
                user.get("delayBeforeEmailNotification", defaults.user_notification_delay_hours)
            ),
            app_sub_order_hours=int(
                stored.get("app_sub_order_duration", defaults.app_sub_order_hours)
            ),
            expiration_max_hours=int(
                stored.get("expiration_max_duration_in_hours", defaults.expiration_max_hours)
            ),
        )


class PostgresStore:
    """Implements :class:`rs_order.ports.store.Store`."""

    def __init__(self, pool: Pool, committed: Callable[[], None]) -> None:
        """``committed`` is called after each commit that wrote to the outbox."""
        self._pool = pool
        self._committed = committed

    @asynccontextmanager
    async def unit_of_work(self, tenant: Tenant) -> AsyncIterator[PostgresUnitOfWork]:
        """See :meth:`rs_order.ports.store.Store.unit_of_work`."""
        with store_errors():
            async with transaction(self._pool) as connection:
                await use_tenant(connection, tenant)
                unit = PostgresUnitOfWork(connection, tenant)
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
                await PostgresMessages(connection, messages[0].tenant).send(messages)
        self._committed()
