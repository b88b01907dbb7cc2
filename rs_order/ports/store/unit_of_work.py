"""One short transaction, and who opens it."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from rs_order.domain.ids import (
    OrderId,
    RequestId,
    Tenant,
)
from rs_order.domain.settings import TenantSettings
from rs_order.ports.outbox import OutgoingMessage
from rs_order.ports.store.baskets import Baskets
from rs_order.ports.store.completions import Completions
from rs_order.ports.store.files import Files
from rs_order.ports.store.mails import Mails
from rs_order.ports.store.orders import Orders
from rs_order.ports.store.processing import Executions, ProcessChoices, ProcessInputs
from rs_order.ports.store.reconciliation import Reconciliation
from rs_order.ports.store.requests import Requests
from rs_order.ports.store.retries import Retries
from rs_order.ports.store.settings import StoredSettings
from rs_order.ports.store.sub_orders import Limits, SubOrders


class Messages(Protocol):
    """What a unit of work sends: rows of the outbox, and responses that are kept to be repeated."""

    async def send(self, messages: Sequence[OutgoingMessage]) -> None: ...

    async def respond(
        self,
        responses: Sequence[tuple[OutgoingMessage, OrderId | None, RequestId | None]],
    ) -> None:
        """Send order responses and remember them with their message ids."""
        ...

    async def repeat(self, requests: Sequence[RequestId]) -> int:
        """Send again, in order, every response that these requests got so far; how many.

        The caller holds the rows of their orders.
        """
        ...

    async def forget_responses(self, before: datetime, limit: int) -> int:
        """Forget responses older than the retention; how many went."""
        ...


class Rounds(Protocol):
    async def begin(
        self, name: str, number: int, next_at: datetime, schedule: str | None = None
    ) -> bool:
        """Whether this round is the next one; it is then counted as done when the unit commits.

        ``next_at`` is kept as the time of the following round, ``schedule`` as what it is planned by.
        """
        ...

    async def reschedule(self, name: str, schedule: str, next_at: datetime) -> int | None:
        """Call the planned round off if it was planned by another schedule.

        The number that counts as done then, so that the next one can be planned; None: it is as it was.
        """
        ...


class UnitOfWork(Protocol):
    """One short transaction in one tenant's schema; nothing stays unless it ends normally."""

    @property
    def tenant(self) -> Tenant: ...

    @property
    def requests(self) -> Requests: ...

    @property
    def baskets(self) -> Baskets: ...

    @property
    def orders(self) -> Orders: ...

    @property
    def completions(self) -> Completions: ...

    @property
    def retries(self) -> Retries: ...

    @property
    def sub_orders(self) -> SubOrders: ...

    @property
    def files(self) -> Files: ...

    @property
    def inputs(self) -> ProcessInputs: ...

    @property
    def executions(self) -> Executions: ...

    @property
    def process_choices(self) -> ProcessChoices: ...

    @property
    def mails(self) -> Mails: ...

    @property
    def messages(self) -> Messages: ...

    @property
    def limits(self) -> Limits: ...

    @property
    def rounds(self) -> Rounds: ...

    @property
    def reconciliation(self) -> Reconciliation: ...

    @property
    def stored_settings(self) -> StoredSettings: ...

    async def settings(self) -> TenantSettings: ...

    async def host(self) -> str | None:
        """Return the stored public address of the tenant's project."""
        ...


class Store(Protocol):
    """Opens units of work; on commit it tells the relay that there may be something to send."""

    def unit_of_work(self, tenant: Tenant) -> AbstractAsyncContextManager[UnitOfWork]:
        """Everything that happens inside commits together, or, on an exception, not at all.

        Raises:
            StoreUnavailable: nothing happened, or nothing is known to have happened.
            StoreConflict: nothing happened; begin again.
        """
        ...

    async def send(self, messages: Sequence[OutgoingMessage]) -> None:
        """Send messages that belong to no change of a tenant's data."""
        ...
