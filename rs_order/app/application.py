"""Composes the features of the service."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from rs_order.actions.routes import OrderActions
from rs_order.app import features
from rs_order.app.dead_letters import dead_letter_services
from rs_order.app.features import (
    Orders,
    Processing,
    Quotes,
    Requests,
    Scheduling,
    StoredArchives,
    Tenants,
)
from rs_order.app.mails import mails
from rs_order.app.shared_parts import SharedParts, broker_topology
from rs_order.baskets.routes import BasketUseCases
from rs_order.dead_letters.routes import DeadLetterServices
from rs_order.dead_letters.runs import LetterRunStep
from rs_order.downloads.settle import SettleDownloads
from rs_order.holds.holding import HoldWork
from rs_order.reconcile.runs import ReconcilerRuns, count_drift
from rs_order.requests.estimate import Estimator
from rs_order.shares.limits import ManageLimits
from rs_order.shares.weights import ManageShares


@dataclass(frozen=True, slots=True)
class Application:
    """The use cases that consumers and endpoints call, by feature; ``shared.steps`` handles the steps."""

    shared: SharedParts
    requests: Requests
    orders: Orders
    scheduling: Scheduling
    processing: Processing
    actions: OrderActions
    baskets: BasketUseCases
    settle_downloads: SettleDownloads
    archives: StoredArchives
    reconcile: ReconcilerRuns
    tenants: Tenants
    dead_letters: DeadLetterServices
    holds: HoldWork
    shares: ManageShares
    limits: ManageLimits
    quotes: Quotes


def compose_application(
    shared: SharedParts,
    *,
    stopping: asyncio.Event | None = None,
    count_drift: Callable[[str], None] = count_drift,
) -> Application:
    """Build all features.

    Args:
        shared: the parts that the features share. Each feature registers its steps in them.
        stopping: set once the process stops, so that long steps end.
        count_drift: called with the table of each counter that the reconciler finds wrong.

    Raises:
        SettingsError: names the setting that is wrong.
        UnhandledSteps: a step has no handler.
    """
    estimator = Estimator(shared.clients.users, shared.datasets, shared.links, shared.clock)
    plan_mails = mails(shared)
    scheduling = features.scheduling(shared)
    settle_downloads = SettleDownloads(shared.store, shared.settlement, shared.clock)
    reconcile = features.reconcile(shared, count_drift)
    features.completion(shared, plan_mails)
    features.events(shared)
    application = Application(
        shared=shared,
        requests=features.requests(shared, estimator),
        orders=features.orders(shared, estimator),
        scheduling=scheduling,
        processing=features.processing(shared),
        actions=features.actions(shared),
        baskets=features.baskets(shared),
        settle_downloads=settle_downloads,
        archives=features.downloads(shared, settle_downloads.handle, stopping or asyncio.Event()),
        reconcile=reconcile,
        tenants=features.tenants(shared, scheduling.schedule, plan_mails, reconcile),
        dead_letters=dead_letter_services(
            shared.dead_letters, shared.clock, broker_topology(shared.settings)
        ),
        holds=features.holds(shared),
        shares=ManageShares(shared.store, shared.clock, shared.limits),
        limits=ManageLimits(shared.store, shared.limits),
        quotes=features.quotes(shared, estimator),
    )
    shared.steps.on(LetterRunStep, application.dead_letters.runs.handle)
    shared.steps.check()
    return application
