"""Builds what manages webhooks and what sends to them."""

from collections.abc import Callable
from dataclasses import dataclass

from rs_order.app.shared_parts import SharedParts
from rs_order.core.links import Links
from rs_order.domain.ids import Tenant
from rs_order.domain.webhooks import UrlRules
from rs_order.ports import Clock
from rs_order.regards.webhook_receivers import WebhookReceivers
from rs_order.settings import PREFIX, Settings, SettingsError
from rs_order.store.pool import Pool
from rs_order.store.unit_of_work import Store
from rs_order.store.webhooks import WebhookViews
from rs_order.subscriptions.dispatcher import WebhookDispatcher
from rs_order.subscriptions.manage import ManageSubscriptions
from rs_order.subscriptions.rounds import SendRound
from rs_order.subscriptions.sealing import SecretSeal
from rs_order.subscriptions.verification import Verify
from rs_order.subscriptions.webhooks import ManageWebhooks


def secret_seal(settings: Settings) -> SecretSeal | None:
    """Return what encrypts the secrets of webhooks; None: there are no webhooks.

    Raises:
        SettingsError: the key is none.
    """
    if settings.events_key is None:
        return None
    try:
        return SecretSeal(settings.events_key.get_secret_value())
    except ValueError as error:
        raise SettingsError(f"{PREFIX}EVENTS_KEY: {error}") from error


def manage_webhooks(
    settings: Settings,
    store: Store,
    links: Links,
    *,
    clock: Clock,
    receivers: WebhookReceivers,
    changed: Callable[[Tenant], None] = lambda _: None,
) -> ManageWebhooks:
    """Return what adds and changes webhooks.

    Args:
        settings: the settings of the deployment.
        store: the store.
        links: the address of the project, which receivers are asked with.
        clock: the clock.
        receivers: sends tests.
        changed: called with the tenant of a webhook that has something to do.

    Raises:
        SettingsError: a setting is wrong.
    """
    return ManageWebhooks(
        store,
        clock,
        subscriptions=ManageSubscriptions(store, clock),
        verify=Verify(receivers, links, clock, prefix=settings.events_type_prefix),
        seal=secret_seal(settings),
        rules=UrlRules(http=settings.webhook_http, ports=frozenset(settings.webhook_ports)),
        changed=changed,
    )


@dataclass(frozen=True, slots=True)
class WebhookParts:
    """The use cases of webhooks, and the dispatcher that sends to them."""

    manage: ManageWebhooks
    dispatcher: WebhookDispatcher | None
    """None: there are no webhooks."""

    @classmethod
    def of(cls, shared: SharedParts, pool: Pool) -> "WebhookParts":
        """Build the parts.

        Raises:
            SettingsError: a setting is wrong.
        """
        dispatcher = _dispatcher(shared, pool)
        manage = manage_webhooks(
            shared.settings,
            shared.store,
            shared.links,
            clock=shared.clock,
            receivers=shared.clients.receivers,
            changed=dispatcher.changed if dispatcher else lambda _: None,
        )
        return cls(manage, dispatcher)


def _dispatcher(shared: SharedParts, pool: Pool) -> WebhookDispatcher | None:
    settings, clock, seal = shared.settings, shared.clock, secret_seal(shared.settings)
    if seal is None:
        return None
    receivers = shared.clients.receivers
    verify = Verify(receivers, shared.links, clock, prefix=settings.events_type_prefix)
    send = SendRound(receivers, verify, seal, clock)
    return WebhookDispatcher(
        shared.store,
        WebhookViews(pool),
        shared.tenants,
        send=send,
        number=shared.events.numbering.committed,
        clock=clock,
    )
