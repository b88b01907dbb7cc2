"""What several features share, made once in a process."""

from collections.abc import Callable
from dataclasses import dataclass

from rs_order.app.database import Database
from rs_order.app.platform_clients import PlatformClients
from rs_order.app.tokens import order_tokens
from rs_order.broker.publications import EVENTS
from rs_order.consumers.failure_notifications import NotifyFailures
from rs_order.core.catalog_datasets import CatalogDatasets
from rs_order.core.links import Links
from rs_order.core.policies import SlotLimits, remote_retries
from rs_order.core.settlement import Settlement
from rs_order.core.slice_sizes import SliceSizes
from rs_order.core.steps import StepRegistry
from rs_order.domain.retry import RetryPolicy
from rs_order.orders.order_end import OrderTeardown
from rs_order.ports import Clock, MessageKind, OrderTokens
from rs_order.settings import PREFIX, Settings, SettingsError
from rs_order.store.tenants import Tenants
from rs_order.store.unit_of_work import Store


@dataclass(frozen=True, slots=True)
class Core:
    """What several features share; each of them registers its steps here."""

    settings: Settings
    clock: Clock
    store: Store
    tenants: Tenants
    clients: PlatformClients
    steps: StepRegistry
    failures: NotifyFailures
    links: Links
    datasets: CatalogDatasets
    limits: SlotLimits
    retries: RetryPolicy
    settlement: Settlement
    teardown: OrderTeardown
    order_tokens: OrderTokens
    sizes: SliceSizes

    @classmethod
    def of(
        cls,
        settings: Settings,
        database: Database,
        clients: PlatformClients,
        committed: Callable[[], None],
        sizes: SliceSizes,
    ) -> "Core":
        """Make what features share; ``committed`` is called after each commit of the process."""
        store = Store(database.pool, committed, copied_to_notifier(settings))
        limits = SlotLimits(settings.max_storage_files_jobs_per_user, settings.jobs_pool_size)
        links = Links(
            clients.projects,
            database.tenants,
            prefix=settings.prefix_path,
            fallback=settings.public_url,
        )
        settlement = Settlement(limits, links)
        return cls(
            settings=settings,
            clock=database.clock,
            store=store,
            tenants=database.tenants,
            clients=clients,
            steps=StepRegistry(),
            failures=NotifyFailures(store),
            links=links,
            datasets=CatalogDatasets(clients.catalog),
            limits=limits,
            retries=remote_retries(settings.remote_patience),
            settlement=settlement,
            teardown=OrderTeardown(settlement, sizes),
            order_tokens=order_tokens(settings, database.clock),
            sizes=sizes,
        )


def copied_to_notifier(settings: Settings) -> dict[MessageKind, str]:
    """Return the kinds of messages that rs-notifier gets a copy of, with the class each copy names.

    Raises:
        SettingsError: a class that is none of ours.
    """
    apart = (MessageKind.NOTIFIER_COPY, MessageKind.INSTANCE_NOTIFICATION)
    ours = {kind: event for kind, event in EVENTS.items() if kind not in apart}
    for name in settings.amqp_notifier_events:
        if name not in ours.values():
            raise SettingsError(
                f"{PREFIX}AMQP_NOTIFIER_EVENTS: {name!r} is no message of this service; there are "
                f"{', '.join(sorted(set(ours.values())))}"
            )
    return {kind: event for kind, event in ours.items() if event in settings.amqp_notifier_events}
