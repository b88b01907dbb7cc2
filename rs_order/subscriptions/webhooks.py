"""Webhooks: subscriptions whose events are sent (faces.md 4.2, 4.3)."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from rs_order.core.errors import (
    AddressNotAllowed,
    NoWebhook,
    UnknownSubscription,
    WebhookNotVerified,
    WebhooksOff,
)
from rs_order.domain.identity import Caller
from rs_order.domain.ids import OrderId, Tenant
from rs_order.domain.subscriptions import Subscription, SubscriptionScope
from rs_order.domain.webhooks import (
    VERIFY_FOR,
    Disabled,
    Outcome,
    UrlRules,
    WebhookMode,
    WebhookSecret,
    WebhookState,
    WebhookUrlRejected,
    host_matches,
    outcome_of,
)
from rs_order.ports import Clock
from rs_order.regards.webhook_receivers import Received
from rs_order.store.unit_of_work import Store, UnitOfWork
from rs_order.store.webhooks import NewWebhook, Replayed, StoredWebhook, WantedReplay
from rs_order.subscriptions.manage import ManageSubscriptions, WantedEvents
from rs_order.subscriptions.sealing import SecretSeal
from rs_order.subscriptions.verification import Receiver, Verification, Verify


@dataclass(frozen=True, slots=True)
class WantedWebhook:
    """A webhook to be added."""

    events: WantedEvents
    thresholds: Sequence[int] | None
    url: str
    mode: WebhookMode


@dataclass(frozen=True, slots=True)
class WebhookChange:
    """What replaces members of a webhook, as those of the same names of the body."""

    types: Sequence[str] | None
    label: str | None
    thresholds: Sequence[int] | None
    url: str | None
    enabled: bool | None
    replay_from: int | None


@dataclass(frozen=True, slots=True)
class PreparedWebhook:
    """A webhook that is added in the commit of its order (faces.md E-9)."""

    id: UUID
    secret: WebhookSecret
    add: Callable[[UnitOfWork, OrderId], Awaitable[None]]
    """Adds it; raises TooManySubscriptions."""
    begin: Callable[[], None]
    """To be called after the commit, so that its receiver is asked soon."""


@dataclass(frozen=True, slots=True)
class Rights:
    """What a caller may do that others may not."""

    any_order: bool
    """Subscribe to an order of another user."""
    any_host: bool
    """Name a host that the project doesn't list."""


class ManageWebhooks:
    """Adds and changes webhooks. Whether the caller may see them was checked."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        subscriptions: ManageSubscriptions,
        verify: Verify,
        seal: SecretSeal | None,
        rules: UrlRules,
        changed: Callable[[Tenant], None],
    ) -> None:
        """Manage webhooks.

        Args:
            store: the store.
            clock: the clock.
            subscriptions: checks what is common to all subscriptions.
            verify: asks receivers.
            seal: encrypts secrets; None: there are no webhooks.
            rules: the URLs that may be webhooks.
            changed: called with the tenant of a webhook that has something to do.
        """
        self._store = store
        self._clock = clock
        self._subscriptions = subscriptions
        self._verify = verify
        self._seal = seal
        self._rules = rules
        self._changed = changed

    async def add(
        self, caller: Caller, wanted: WantedWebhook, rights: Rights, *, verify_now: bool
    ) -> tuple[UUID, WebhookSecret]:
        """Add a webhook, which begins with the next event, and return its id and its secret.

        Raises:
            WebhooksOff: this deployment has none.
            AddressNotAllowed: the caller may not name this URL.
            WebhookNotVerified: it was to be verified now, and the receiver didn't agree.
            NotFound, TooManySubscriptions: as of `ManageSubscriptions.add`.
        """
        seal = self._sealed()
        await self._require_allowed(caller.tenant, wanted.url, any_host=rights.any_host)
        secret, webhook_id = WebhookSecret.new(), uuid4()
        verification = None
        if verify_now:
            receiver = Receiver(webhook_id, wanted.url, wanted.mode, [secret])
            verification = await self._verified(caller.tenant, receiver)
        now, events = self._clock.now(), wanted.events
        new = _pending(
            caller, wanted, webhook_id, seal.seal(caller.tenant, webhook_id, secret), now
        )
        if verification:
            new = replace(
                new,
                state=WebhookState.ACTIVE,
                pending_until=None,
                allowed_rate=verification.allowed_rate,
            )
        async with self._store.unit_of_work(caller.tenant) as uow:
            await self._subscriptions.require_room(uow, caller, events, any_order=rights.any_order)
            await uow.webhooks.add(new, now)
        self._changed(caller.tenant)
        return webhook_id, secret

    async def prepare(
        self, caller: Caller, wanted: WantedWebhook, *, any_host: bool
    ) -> PreparedWebhook:
        """Check a webhook that is to come with a new order of the caller, and end after its last event.

        ``wanted``: its order is the new one, whatever the events name.

        Raises:
            WebhooksOff, AddressNotAllowed: as of `add`.
        """
        seal = self._sealed()
        await self._require_allowed(caller.tenant, wanted.url, any_host=any_host)
        secret, webhook_id = WebhookSecret.new(), uuid4()
        sealed = seal.seal(caller.tenant, webhook_id, secret)

        async def add(uow: UnitOfWork, order_id: OrderId) -> None:
            now = self._clock.now()
            events = replace(wanted.events, scope=SubscriptionScope.ORDER, order_id=order_id)
            of_order = replace(wanted, events=events)
            await self._subscriptions.require_room(uow, caller, events, any_order=True)
            new = _pending(caller, of_order, webhook_id, sealed, now)
            await uow.webhooks.add(replace(new, ends_with_order=True), now)

        return PreparedWebhook(webhook_id, secret, add, lambda: self._changed(caller.tenant))

    async def change(
        self,
        caller: Caller,
        subscription: Subscription,
        change: WebhookChange,
        *,
        any_host: bool,
        verify_now: bool,
    ) -> None:
        """Change a webhook. With another URL, and when it is enabled, its receiver is asked again.

        Raises:
            WebhooksOff, AddressNotAllowed, WebhookNotVerified: as of `add`; nothing was changed.
            UnknownSubscription: it was removed.
        """
        seal = self._sealed()
        found = await self._stored(caller.tenant, subscription.id)
        url = change.url or found.url
        is_disabled = found.standing.state is WebhookState.DISABLED
        if url != found.url:
            await self._require_allowed(caller.tenant, url, any_host=any_host)
        asks = change.enabled is not False and (
            (url != found.url and not is_disabled) or (is_disabled and bool(change.enabled))
        )
        verification = None
        if asks and verify_now:
            receiver = self._receiver(seal, caller.tenant, replace(found, url=url))
            verification = await self._verified(caller.tenant, receiver)
        async with self._store.unit_of_work(caller.tenant) as uow:
            await self._change(uow, found, change, url, asks=asks, verification=verification)
        self._changed(caller.tenant)

    async def _change(
        self,
        uow: UnitOfWork,
        found: StoredWebhook,
        change: WebhookChange,
        url: str,
        *,
        asks: bool,
        verification: Verification | None,
    ) -> None:
        now, webhooks = self._clock.now(), uow.webhooks
        if await webhooks.lock(found.id) is None:
            raise UnknownSubscription(found.id)
        await webhooks.change(
            found.id, label=change.label, types=change.types, thresholds=change.thresholds
        )
        if asks or url != found.url:
            await webhooks.make_pending(found.id, url, until=now + VERIFY_FOR, due_at=now)
        if not asks and (change.enabled is False or url != found.url):
            await webhooks.disable(found.id, Disabled.BY_OWNER)
        if asks and change.replay_from is not None:
            await webhooks.go_on_from(found.id, change.replay_from)
        if verification is not None:
            await webhooks.begin_anew(found.id, now)
            await webhooks.verified(found.id, verification.allowed_rate, now)

    async def disable(self, tenant: Tenant, webhook_id: UUID, because: Disabled) -> None:
        """Send nothing until the owner enables it."""
        async with self._store.unit_of_work(tenant) as uow:
            await uow.webhooks.disable(webhook_id, because)

    async def test(self, tenant: Tenant, webhook_id: UUID) -> Received:
        """Send a test event now, and return what came back. A pending webhook that takes it is active.

        Raises:
            WebhooksOff: this deployment has none.
            NoWebhook: the subscription is none.
        """
        seal, found = self._sealed(), await self._stored(tenant, webhook_id)
        received = await self._verify.test(tenant, self._receiver(seal, tenant, found))
        if outcome_of(received.status) is Outcome.DELIVERED:
            await self._activate(tenant, found)
        return received

    async def replay(self, tenant: Tenant, webhook_id: UUID, wanted: WantedReplay) -> Replayed:
        """Deliver events again, with the same ids and bodies.

        Raises:
            NoWebhook: the subscription is none.
        """
        async with self._store.unit_of_work(tenant) as uow:
            if await uow.webhooks.lock(webhook_id) is None:
                raise NoWebhook(webhook_id, is_webhook=False)
            replayed = await uow.webhooks.replay(webhook_id, wanted, self._clock.now())
        self._changed(tenant)
        return replayed

    async def rotate(
        self, tenant: Tenant, webhook_id: UUID, overlap: timedelta
    ) -> tuple[WebhookSecret, datetime | None]:
        """Return a new secret, and until when the present one signs, too; None: no more.

        Raises:
            WebhooksOff: this deployment has none.
            NoWebhook: the subscription is none.
        """
        seal, secret = self._sealed(), WebhookSecret.new()
        until = self._clock.now() + overlap if overlap else None
        async with self._store.unit_of_work(tenant) as uow:
            if await uow.webhooks.lock(webhook_id) is None:
                raise NoWebhook(webhook_id, is_webhook=False)
            await uow.webhooks.rotate(webhook_id, seal.seal(tenant, webhook_id, secret), until)
        return secret, until

    async def _activate(self, tenant: Tenant, found: StoredWebhook) -> None:
        """Let a pending webhook have events."""
        async with self._store.unit_of_work(tenant) as uow:
            locked = await uow.webhooks.lock(found.id)
            if locked is None or locked.url != found.url or locked.pending_until is None:
                return
            now = self._clock.now()
            await uow.webhooks.begin_anew(found.id, now)
            await uow.webhooks.verified(found.id, None, now)
        self._changed(tenant)

    async def _verified(self, tenant: Tenant, receiver: Receiver) -> Verification:
        verification = await self._verify.ask(tenant, receiver)
        if not verification.agreed:
            status = verification.received.status
            said = "no response" if status is None else f"status {status}"
            raise WebhookNotVerified(
                f"The receiver didn't agree to get events ({said}: {verification.answer[:200]!r}). "
                "Let it answer OPTIONS with WebHook-Allowed-Origin, or the test event with 2xx."
            )
        return verification

    async def _stored(self, tenant: Tenant, webhook_id: UUID) -> StoredWebhook:
        async with self._store.unit_of_work(tenant) as uow:
            found = await uow.webhooks.lock(webhook_id)
        if found is None:
            raise NoWebhook(webhook_id, is_webhook=False)
        return found

    async def _require_allowed(self, tenant: Tenant, url: str, *, any_host: bool) -> None:
        try:
            host = self._rules.host_of(url)
        except WebhookUrlRejected as error:
            raise AddressNotAllowed(f"url: {error}") from error
        if any_host:
            return
        async with self._store.unit_of_work(tenant) as uow:
            patterns = (await uow.settings()).webhook_hosts
        if not host_matches(host, patterns):
            allowed = ", ".join(patterns) or "no host"
            raise AddressNotAllowed(
                f"The project allows {allowed} for webhooks of its users, and not {host}. Ask an "
                "administrator to add it to the setting webhook_allowed_hosts."
            )

    def _receiver(self, seal: SecretSeal, tenant: Tenant, webhook: StoredWebhook) -> Receiver:
        sealed = webhook.secrets.signing(self._clock.now())
        keys = [seal.open(tenant, webhook.id, one) for one in sealed]
        return Receiver(webhook.id, webhook.url, webhook.mode, keys)

    def _sealed(self) -> SecretSeal:
        if self._seal is None:
            raise WebhooksOff
        return self._seal


def _pending(
    caller: Caller, wanted: WantedWebhook, webhook_id: UUID, sealed: bytes, now: datetime
) -> NewWebhook:
    """Return a webhook whose receiver is to be asked."""
    events = wanted.events
    return NewWebhook(
        id=webhook_id,
        owner=caller.email,
        label=events.label,
        scope=events.scope,
        order_id=events.order_id,
        types=events.types,
        thresholds=wanted.thresholds,
        url=wanted.url,
        mode=wanted.mode,
        secret=sealed,
        state=WebhookState.PENDING,
        pending_until=now + VERIFY_FOR,
        allowed_rate=None,
    )
