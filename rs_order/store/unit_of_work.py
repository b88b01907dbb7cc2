"""One short transaction in one tenant's schema."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

import structlog

from rs_order.domain.ids import Tenant
from rs_order.domain.settings import TenantSettings
from rs_order.ports.outbox import MessageKind
from rs_order.store.baskets import Baskets
from rs_order.store.capacity import Limits
from rs_order.store.completions import Completions
from rs_order.store.errors import store_errors
from rs_order.store.executions import Executions, ProcessChoices
from rs_order.store.files import Files
from rs_order.store.mails import Mails
from rs_order.store.messages import Messages, OutgoingMessage
from rs_order.store.orders import Orders
from rs_order.store.pool import Connection, Pool, transaction, use_tenant
from rs_order.store.process_inputs import ProcessInputs
from rs_order.store.reconciliation import Reconciliation
from rs_order.store.requests import Requests
from rs_order.store.retries import Retries
from rs_order.store.statements import statements
from rs_order.store.stored_settings import StoredSettings
from rs_order.store.sub_orders import SubOrders

SQL = statements("tenants")
log = structlog.get_logger(__name__)


class Rounds:
    """The numbers of periodic runs, so that each run happens once."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def begin(
        self, name: str, number: int, next_at: datetime, schedule: str | None = None
    ) -> bool:
        """Whether this round is the next one; it is then counted as done when the unit commits.

        ``next_at`` is kept as the time of the following round, ``schedule`` as what it is planned by.
        """
        done = await self._connection.fetchval(SQL["begin_round"], name, number, schedule, next_at)
        return done is not None

    async def reschedule(self, name: str, schedule: str, next_at: datetime) -> int | None:
        """Call the planned round off if it was planned by another schedule.

        The number that counts as done then, so that the next one can be planned; None: it is as it was.
        """
        done: int | None = await self._connection.fetchval(
            SQL["reschedule_round"], name, schedule, next_at
        )
        return done


class UnitOfWork:
    """One short transaction in one tenant's schema; nothing stays unless it ends normally."""

    def __init__(
        self, connection: Connection, tenant: Tenant, copied: Mapping[MessageKind, str]
    ) -> None:
        self._connection = connection
        self.tenant = tenant
        self.requests = Requests(connection)
        self.baskets = Baskets(connection)
        self.orders = Orders(connection)
        self.completions = Completions(connection)
        self.retries = Retries(connection)
        self.sub_orders = SubOrders(connection, tenant)
        self.files = Files(connection)
        self.inputs = ProcessInputs(connection)
        self.executions = Executions(connection)
        self.process_choices = ProcessChoices(connection)
        self.mails = Mails(connection)
        self.messages = Messages(connection, tenant, copied)
        self.limits = Limits(connection, tenant)
        self.rounds = Rounds(connection)
        self.reconciliation = Reconciliation(connection, tenant)
        self.stored_settings = StoredSettings(connection)

    async def settings(self) -> TenantSettings:
        """The tenant's settings as they are now; what was never set has its default."""
        return TenantSettings.of(await self.stored_settings.all())

    async def host(self) -> str | None:
        """Return the stored public address of the tenant's project."""
        host: str | None = await self._connection.fetchval(SQL["host"], self.tenant)
        return host


class Store:
    """Opens units of work; on commit it tells the relay that there may be something to send."""

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
    async def unit_of_work(self, tenant: Tenant) -> AsyncIterator[UnitOfWork]:
        """Everything that happens inside commits together, or, on an exception, not at all.

        Raises:
            StoreUnavailable: nothing happened, or nothing is known to have happened.
            StoreConflict: nothing happened; begin again.
        """
        with store_errors():
            async with transaction(self._pool) as connection:
                await use_tenant(connection, tenant)
                unit = UnitOfWork(connection, tenant, self._copied)
                yield unit
        if unit.messages.sent:
            self._committed()
        for told in unit.messages.told:
            log.info("order-told", **told)

    async def send(self, messages: Sequence[OutgoingMessage]) -> None:
        """Send messages that belong to no change of a tenant's data."""
        if not messages:
            return
        with store_errors():
            async with transaction(self._pool) as connection:
                tenant = messages[0].tenant
                await Messages(connection, tenant, self._copied).send(messages)
        self._committed()
