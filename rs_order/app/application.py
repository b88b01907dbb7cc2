"""All features of the service, put together."""

from collections.abc import Callable
from dataclasses import dataclass

from rs_order.actions.order_actions import OrderActions
from rs_order.app import features
from rs_order.app.core import Core
from rs_order.app.database import Database
from rs_order.app.features import Orders, Processing, Requests, Scheduling, Tenants
from rs_order.app.mails import mails
from rs_order.app.platform_clients import PlatformClients
from rs_order.baskets.routes import BasketUseCases
from rs_order.core.slice_sizes import SLICE_SIZES, SliceSizes
from rs_order.downloads.settle import SettleDownloads
from rs_order.reconcile.runs import ReconcilerRuns, count_drift
from rs_order.requests.estimate import Estimator
from rs_order.settings import Settings


@dataclass(frozen=True, slots=True)
class Application:
    """The use cases that consumers and endpoints call, by feature; ``core.steps`` handles the steps."""

    core: Core
    requests: Requests
    orders: Orders
    scheduling: Scheduling
    processing: Processing
    actions: OrderActions
    baskets: BasketUseCases
    settle_downloads: SettleDownloads
    reconcile: ReconcilerRuns
    tenants: Tenants


def put_together(
    settings: Settings,
    database: Database,
    clients: PlatformClients,
    committed: Callable[[], None],
    *,
    sizes: SliceSizes = SLICE_SIZES,
    count_drift: Callable[[str], None] = count_drift,
) -> Application:
    """Make all features.

    Args:
        settings: what the operator decided.
        database: its pool, and the tenants in it.
        clients: the services of the platform.
        committed: called after each commit, which may have written messages to the outbox.
        sizes: how much one step takes at a time.
        count_drift: called with the table of each counter that the reconciler finds wrong.

    Raises:
        SettingsError: names the setting that is wrong.
        UnhandledSteps: a step has no handler.
    """
    core = Core.of(settings, database, clients, committed, sizes)
    estimator = Estimator(clients.users, core.datasets, core.links, core.clock)
    plan_mails = mails(core)
    scheduling = features.scheduling(core)
    reconcile = features.reconcile(core, count_drift)
    features.completion(core, plan_mails)
    application = Application(
        core=core,
        requests=features.requests(core, estimator),
        orders=features.orders(core, estimator),
        scheduling=scheduling,
        processing=features.processing(core),
        actions=features.actions(core),
        baskets=features.baskets(core),
        settle_downloads=SettleDownloads(core.store, core.settlement, core.clock),
        reconcile=reconcile,
        tenants=features.tenants(core, scheduling.schedule, plan_mails, reconcile),
    )
    core.steps.check()
    return application
