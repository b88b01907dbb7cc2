"""Builds the parts that the features share."""

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from rs_order.app.database import Database
from rs_order.app.events import EventParts
from rs_order.app.platform_clients import PlatformClients
from rs_order.app.slot_limits import slot_limits
from rs_order.app.waiting_orders import waiting_orders
from rs_order.broker.publications import EVENTS
from rs_order.broker.queue_names import topology
from rs_order.broker.topology import Topology
from rs_order.consumers.batches import NotifyFailures
from rs_order.core.catalog_datasets import CatalogDatasets
from rs_order.core.forecasts import Forecasts
from rs_order.core.links import Links
from rs_order.core.measurements import Measurements
from rs_order.core.policies import SLICE_SIZES, SliceSizes, SlotLimits, remote_retries
from rs_order.core.settlement import Settlement
from rs_order.core.step_failures import StepFailures
from rs_order.core.steps import StepRegistry
from rs_order.core.waiting_orders import WaitingOrders
from rs_order.domain.retry import RetryPolicy
from rs_order.downloads.order_tokens import JwtOrderTokens, NoOrderTokens
from rs_order.orders.order_end import OrderTeardown
from rs_order.ports import Clock, MessageKind, OrderTokens, Written
from rs_order.rest.tokens import TokenVerifier
from rs_order.settings import DEVELOPMENT_KEY, PREFIX, Settings, SettingsError
from rs_order.store.dead_letters import DeadLetterStore
from rs_order.store.estimates import Estimates
from rs_order.store.outbox import Leases
from rs_order.store.pool import Pool
from rs_order.store.tenants import Tenants
from rs_order.store.throughputs import HourlyThroughput
from rs_order.store.unit_of_work import Store

log = structlog.get_logger(__name__)


def broker_topology(settings: Settings) -> Topology:
    """Return the exchanges and queues of the service, with the names of this deployment."""
    return topology(
        settings.amqp_management_namespace,
        settings.amqp_microservice_type_identifier,
        instance_identifier=settings.amqp_microservice_instance_identifier,
        publishes_events=settings.events_amqp,
    )


def token_verifier(settings: Settings) -> TokenVerifier:
    """Return the verifier of the callers' tokens.

    Raises:
        SettingsError: a key is invalid, or the key of HS512 isn't set. The text names the variable.
    """
    if settings.signing_key == DEVELOPMENT_KEY:
        log.warning("development-key", variable=f"{PREFIX}JWT_KEY_HS512")
    for algorithm, key in settings.token_keys.items():
        try:
            TokenVerifier({algorithm: key})
        except ValueError as error:
            raise SettingsError(f"{PREFIX}JWT_KEY_{algorithm}: {error}") from error
    return TokenVerifier(settings.token_keys, without_expiry=settings.tokens_without_expiry)


def order_tokens(settings: Settings, clock: Clock) -> OrderTokens:
    """Return the issuer of order tokens, which let their bearers download an order without an account."""
    if settings.order_secret is None:
        return NoOrderTokens()
    return JwtOrderTokens(settings.order_secret.get_secret_value(), clock)


@dataclass(frozen=True, slots=True)
class SharedParts:
    """The parts that several features share, one of each per process. Each feature registers its steps."""

    settings: Settings
    clock: Clock
    store: Store
    pool: Pool
    tenants: Tenants
    clients: PlatformClients
    steps: StepRegistry
    step_failures: StepFailures
    failures: NotifyFailures
    links: Links
    datasets: CatalogDatasets
    limits: SlotLimits
    retries: RetryPolicy
    settlement: Settlement
    teardown: OrderTeardown
    order_tokens: OrderTokens
    sizes: SliceSizes
    measurements: Measurements
    dead_letters: DeadLetterStore
    forecasts: Forecasts
    waiting: WaitingOrders
    events: EventParts
    throughput: HourlyThroughput

    @classmethod
    def of(
        cls,
        settings: Settings,
        database: Database,
        clients: PlatformClients,
        committed: Callable[[Written], None],
        *,
        leases: Leases | None = None,
        sizes: SliceSizes = SLICE_SIZES,
    ) -> "SharedParts":
        """Build the parts.

        Args:
            settings: the settings of the deployment.
            database: the pool, and the tenants in it.
            clients: the clients of the platform's services.
            committed: called after each commit that wrote to the outbox, with what it wrote.
            leases: does steps that this process writes, without the broker.
            sizes: the number of rows that one step handles at a time.

        Raises:
            SettingsError: names the setting that is wrong.
        """
        limits = slot_limits(settings)
        links = _links(settings, database, clients)
        events = EventParts.of(settings, database.pool, links, database.clock, committed)
        throughput = HourlyThroughput(database.pool, database.clock)
        store = Store(
            database.pool,
            committed,
            copied_to_notifier(settings),
            logged=events.numbering.committed,
            counted=throughput.add,
            leases=leases,
        )
        settlement = Settlement(limits, links)
        forecasts = Forecasts(Estimates(database.pool), database.clock)
        return cls(
            settings=settings,
            clock=database.clock,
            store=store,
            pool=database.pool,
            tenants=database.tenants,
            clients=clients,
            steps=StepRegistry(),
            step_failures=StepFailures(store, database.clock),
            failures=NotifyFailures(store),
            links=links,
            datasets=CatalogDatasets(clients.catalog),
            limits=limits,
            retries=remote_retries(settings.remote_retry_time),
            settlement=settlement,
            teardown=OrderTeardown(settlement, sizes),
            order_tokens=order_tokens(settings, database.clock),
            sizes=sizes,
            measurements=Measurements(
                database.tenants, tenant_labels=settings.metrics_tenant_labels
            ),
            dead_letters=DeadLetterStore(database.pool, committed),
            forecasts=forecasts,
            waiting=waiting_orders(settings, database.pool, database.clock, forecasts),
            events=events,
            throughput=throughput,
        )


def _links(settings: Settings, database: Database, clients: PlatformClients) -> Links:
    return Links(
        clients.projects,
        database.tenants,
        prefix=settings.prefix_path,
        fallback=settings.public_url,
    )


def copied_to_notifier(settings: Settings) -> dict[MessageKind, str]:
    """Return the kinds of messages that are copied to rs-notifier, with the class that each copy names.

    Raises:
        SettingsError: the setting names a class that isn't one of this service's messages.
    """
    never_copied = (MessageKind.NOTIFIER_COPY, MessageKind.INSTANCE_NOTIFICATION)
    events = {kind: event for kind, event in EVENTS.items() if kind not in never_copied}
    for name in settings.amqp_notifier_events:
        if name not in events.values():
            raise SettingsError(
                f"{PREFIX}AMQP_NOTIFIER_EVENTS: {name!r} is no message of this service; there are "
                f"{', '.join(sorted(set(events.values())))}"
            )
    return {kind: event for kind, event in events.items() if event in settings.amqp_notifier_events}
