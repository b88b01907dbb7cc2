"""Webhooks that requests for new orders bring along, and that end with them (faces.md E-9)."""

from collections.abc import Awaitable, Callable

from rs_order.contracts.subscription_bodies import NotifyDto, NotifyRequest
from rs_order.domain.identity import Caller
from rs_order.domain.ids import OrderId
from rs_order.domain.subscriptions import SubscriptionScope
from rs_order.rest.access import is_administrator, is_system
from rs_order.store.unit_of_work import UnitOfWork
from rs_order.subscriptions.manage import WantedEvents
from rs_order.subscriptions.webhooks import ManageWebhooks, PreparedWebhook, WantedWebhook

_InCommit = Callable[[UnitOfWork, OrderId], Awaitable[None]]


class OrderWebhook:
    """The webhook of a request for an order, if it brings one."""

    def __init__(self, prepared: PreparedWebhook | None) -> None:
        self._prepared = prepared

    @classmethod
    async def of(
        cls, webhooks: ManageWebhooks, caller: Caller, wanted: NotifyRequest | None
    ) -> "OrderWebhook":
        """Check what is wanted.

        Raises:
            WebhooksOff: this deployment has none.
            AddressNotAllowed: the caller may not name this URL.
        """
        if wanted is None:
            return cls(None)
        events = WantedEvents(SubscriptionScope.ORDER, None, wanted.types, wanted.label)
        webhook = WantedWebhook(events, wanted.thresholds, wanted.url, wanted.mode)
        any_host = is_administrator(caller) or is_system(caller)
        return cls(await webhooks.prepare(caller, webhook, any_host=any_host))

    def with_order(self, further: _InCommit | None) -> _InCommit | None:
        """Return a function that adds the webhook in the commit of the order.

        ``further``: called behind it.
        """
        prepared = self._prepared
        if prepared is None:
            return further

        async def add(uow: UnitOfWork, order_id: OrderId) -> None:
            await prepared.add(uow, order_id)
            if further is not None:
                await further(uow, order_id)

        return add

    def begin(self) -> None:
        """Let the receiver be asked soon. To be called after the commit."""
        if self._prepared is not None:
            self._prepared.begin()

    def shown(self, *, secret: bool) -> NotifyDto | None:
        """Return what the answer says of it; only the first one has the secret."""
        if self._prepared is None:
            return None
        return NotifyDto(
            id=self._prepared.id, secret=self._prepared.secret.shown() if secret else None
        )
