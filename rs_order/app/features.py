"""Builds the use cases of each feature, and registers the handlers of its steps."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from rs_order.actions.ask_again import AskStorageAgain
from rs_order.actions.delete import DeleteOrder, RemoveOrder
from rs_order.actions.pause import PauseOrder, ResumeOrder, StopSubOrders
from rs_order.actions.regroup import RegroupFiles
from rs_order.actions.restart import RestartOrder
from rs_order.actions.retry_order import MoveFilesInError, RetryOrder, RetryOrderStep
from rs_order.actions.rights import Rights
from rs_order.actions.routes import OrderActions
from rs_order.app.shared_parts import SharedParts
from rs_order.baskets.add import AddToBasket
from rs_order.baskets.changes import BasketChanges, ProcessLimits
from rs_order.baskets.edit import EditBasket
from rs_order.baskets.routes import BasketUseCases
from rs_order.completion.add_pages import AddPages
from rs_order.completion.complete_order import CompleteOrders
from rs_order.completion.fill_processed import FillProcessed
from rs_order.completion.fill_sub_orders import FillSubOrders
from rs_order.completion.read_page import PageReader
from rs_order.core.policies import storage_retries
from rs_order.core.shared_steps import (
    AskAgainStep,
    CompleteOrderStep,
    DeleteFilesStep,
    EndHoldStep,
    ExpireOrderStep,
    GrantRequestsStep,
    MakeQuoteStep,
    ReconcileStep,
    ScheduleStep,
    StartProcessingStep,
    StopSubOrdersStep,
    TimedEventsStep,
)
from rs_order.downloads.archive_failures import ArchiveFailures
from rs_order.downloads.make_archives import MakeArchives, MakeArchiveStep
from rs_order.downloads.read_archives import ReadArchives, ReadArchiveStep
from rs_order.downloads.settle import Settle
from rs_order.events.timed import WriteTimedEvents
from rs_order.holds.holding import HoldWork
from rs_order.mails.plan import PlanMails
from rs_order.orders.apply import ApplyOrder
from rs_order.orders.create import CreateOrder
from rs_order.orders.order_end import CancelOrders, DeleteFiles, ExpireOrder
from rs_order.orders.quoted import OrderQuote, QuotedSelections
from rs_order.processing.results import (
    ApplyResults,
    DetachProcesses,
    GiveUpResults,
    GiveUpResultsStep,
)
from rs_order.processing.start import StartProcessing
from rs_order.quotes.begin import BeginQuotes
from rs_order.quotes.make import PAGE_PRODUCTS, AskAboutFiles, MakeQuotes, QuoteSizes, ReadForQuotes
from rs_order.reconcile.rebuild_steps import RebuildPageStep, RebuildRemotePageStep, RebuildSteps
from rs_order.reconcile.recount import Recount, RecountStep
from rs_order.reconcile.repair_order import RepairOrder
from rs_order.reconcile.runs import ReconcilerRuns, count_steps
from rs_order.requests.accept import AcceptRequests
from rs_order.requests.answer import AnswerRequests
from rs_order.requests.decide import GrantRequests
from rs_order.requests.estimate import Estimator
from rs_order.requests.retention import PurgeInbox, PurgeInboxStep
from rs_order.scheduling.restoration import ApplyAvailability, AskStorage
from rs_order.scheduling.schedule import ScheduleSubOrders
from rs_order.stac.order_items import OrderItems
from rs_order.store.archives import Archives
from rs_order.store.downloads import StoredDownloads
from rs_order.store.pool import Pool
from rs_order.store.stac import StacViews
from rs_order.tenants.connect import (
    ConnectTenants,
    ConnectTenantStep,
    FindTenantsStep,
    ReportConnectionStep,
    ResumeTenant,
    ResumeTenantStep,
)
from rs_order.tenants.module_configuration import ExportConfiguration, ImportConfiguration
from rs_order.tenants.tenant_settings import ManageSettings


@dataclass(frozen=True, slots=True)
class Requests:
    accept: AcceptRequests


def requests(shared: SharedParts, estimator: Estimator) -> Requests:
    answers = AnswerRequests(shared.store, shared.clock, shared.retries, shared.measurements)
    retention = timedelta(days=shared.settings.inbox_retention_days)
    shared.steps.on_groups(
        GrantRequestsStep, GrantRequests(shared.store, estimator, answers).handle
    )
    purge = PurgeInbox(
        shared.store,
        shared.clock,
        retention=retention,
        events=timedelta(days=shared.settings.events_retention_days),
        audit_days=shared.settings.audit_retention_days,
    )
    shared.steps.on(PurgeInboxStep, purge.handle)
    return Requests(AcceptRequests(shared.store, shared.clock))


@dataclass(frozen=True, slots=True)
class Orders:
    create: CreateOrder
    apply: ApplyOrder
    order_quote: OrderQuote
    cancel: CancelOrders


def orders(shared: SharedParts, estimator: Estimator) -> Orders:
    shared.steps.on(
        ExpireOrderStep, ExpireOrder(shared.store, shared.teardown, shared.clock).handle
    )
    shared.steps.on(
        DeleteFilesStep, DeleteFiles(shared.store, shared.teardown, shared.sizes).handle
    )
    return Orders(
        create=CreateOrder(shared.store, shared.links, shared.clock),
        apply=ApplyOrder(shared.store, estimator, shared.links, shared.clock),
        order_quote=OrderQuote(
            shared.store,
            QuotedSelections(shared.store, shared.datasets, shared.clock),
            shared.links,
            shared.clock,
        ),
        cancel=CancelOrders(shared.store, shared.teardown, shared.clock),
    )


def completion(shared: SharedParts, mails: PlanMails) -> None:
    settings, clients = shared.settings, shared.clients
    fill_sub_orders = FillSubOrders(shared.clock, batch_bytes=settings.batch_bytes)
    adding = AddPages(
        fill_sub_orders,
        FillProcessed(shared.clock, fill_sub_orders, batch_bytes=settings.batch_bytes),
        mails=mails,
        links=shared.links,
        clock=shared.clock,
        sizes=shared.sizes,
    )
    complete = CompleteOrders(
        shared.store,
        PageReader(clients.catalog, clients.dam, clients.processes, page_size=settings.batch_size),
        adding,
        links=shared.links,
        clock=shared.clock,
        retries=shared.retries,
    )
    shared.steps.on_groups(CompleteOrderStep, complete.handle)


@dataclass(frozen=True, slots=True)
class Scheduling:
    schedule: ScheduleSubOrders
    availability: ApplyAvailability


def scheduling(shared: SharedParts) -> Scheduling:
    retries = storage_retries(
        first=timedelta(minutes=shared.settings.storage_reask_minutes),
        silence=timedelta(hours=shared.settings.storage_silence_hours),
    )
    ask = AskStorage(shared.store, shared.settlement, shared.clock, retries, shared.sizes)
    schedule = ScheduleSubOrders(
        shared.store, ask, shared.clock, shared.limits, shared.forecasts, sizes=shared.sizes
    )
    shared.steps.on(ScheduleStep, schedule.handle)
    shared.steps.on(AskAgainStep, ask.again)
    availability = ApplyAvailability(shared.store, shared.settlement, shared.clock, shared.sizes)
    return Scheduling(schedule, availability)


def holds(shared: SharedParts) -> HoldWork:
    work = HoldWork(shared.store, shared.clock, shared.limits)
    shared.steps.on(EndHoldStep, work.end_in_time)
    return work


@dataclass(frozen=True, slots=True)
class Quotes:
    begin: BeginQuotes
    make: MakeQuotes


def quotes(shared: SharedParts, estimator: Estimator) -> Quotes:
    clients, settings = shared.clients, shared.settings
    begin = BeginQuotes(shared.store, shared.clock)
    make = MakeQuotes(
        begin,
        shared.store,
        ReadForQuotes(clients.catalog, clients.dam, shared.datasets, estimator, shared.store),
        AskAboutFiles(clients.storage),
        shared.forecasts,
        clock=shared.clock,
        retries=shared.retries,
        slots=shared.limits.per_user,
        sizes=QuoteSizes(settings.batch_bytes, min(settings.batch_size, PAGE_PRODUCTS)),
    )
    shared.steps.on(MakeQuoteStep, make.handle)
    return Quotes(begin, make)


def order_items(shared: SharedParts, pool: Pool) -> OrderItems:
    return OrderItems(
        shared.store,
        StacViews(pool),
        shared.clients.catalog,
        shared.datasets,
        QuotedSelections(shared.store, shared.datasets, shared.clock),
        links=shared.links,
        clock=shared.clock,
        catalog_timeout_seconds=shared.settings.stac_deadline,
    )


@dataclass(frozen=True, slots=True)
class StoredArchives:
    make: MakeArchives
    failures: ArchiveFailures
    read: ReadArchives


def downloads(shared: SharedParts, settle: Settle, stopping: asyncio.Event) -> StoredArchives:
    archives = Archives(shared.pool)
    make = MakeArchives(StoredDownloads(shared.pool), archives, shared.store, shared.clock)
    failures = ArchiveFailures(archives, make, settle)
    sources = shared.clients.file_sources
    read = ReadArchives(archives, failures, shared.store, sources, shared.clock, stopping)
    shared.steps.on(MakeArchiveStep, make.handle)
    shared.steps.on(ReadArchiveStep, read.handle)
    return StoredArchives(make, failures, read)


@dataclass(frozen=True, slots=True)
class Processing:
    results: ApplyResults
    detach: DetachProcesses


def processing(shared: SharedParts) -> Processing:
    hours = shared.settings.processing_silence_hours
    start = StartProcessing(
        shared.store,
        shared.clients.processes,
        shared.settlement,
        clock=shared.clock,
        retries=shared.retries,
        silence=timedelta(hours=hours),
    )
    give_up = GiveUpResults(shared.store, shared.settlement, shared.clock, hours=hours)
    shared.steps.on(StartProcessingStep, start.handle)
    shared.steps.on(GiveUpResultsStep, give_up.handle)
    return Processing(
        results=ApplyResults(shared.store, shared.settlement, shared.clock),
        detach=DetachProcesses(shared.store),
    )


def actions(shared: SharedParts) -> OrderActions:
    store, clock = shared.store, shared.clock
    rights = Rights(store, shared.clients.users)
    stop = StopSubOrders(store, shared.settlement, clock, shared.sizes)
    regroup = RegroupFiles(clock, batch_bytes=shared.settings.batch_bytes)
    shared.steps.on(StopSubOrdersStep, stop.handle)
    move = MoveFilesInError(store, regroup, shared.links, clock, shared.sizes)
    shared.steps.on(RetryOrderStep, move.handle)
    return OrderActions(
        PauseOrder(store, rights, stop, clock),
        ResumeOrder(store, rights, shared.links, clock),
        DeleteOrder(store, rights, shared.teardown, clock),
        RemoveOrder(store, rights, clock),
        RestartOrder(store, rights, clock),
        RetryOrder(store, rights, clock),
        AskStorageAgain(store, rights),
    )


def baskets(shared: SharedParts) -> BasketUseCases:
    changes = BasketChanges(shared.store)
    process_limits = ProcessLimits(shared.clients.processes)
    return BasketUseCases(
        add=AddToBasket(
            changes,
            shared.datasets,
            process_limits,
            shared.clock,
            max_lines=shared.settings.basket_upload_file_max_lines,
        ),
        edit=EditBasket(shared.store, changes, shared.datasets, process_limits),
    )


def events(shared: SharedParts) -> None:
    timed = WriteTimedEvents(
        shared.store,
        shared.waiting,
        shared.clock,
        warned=timedelta(hours=shared.settings.events_expiring_hours),
    )
    shared.steps.on(TimedEventsStep, timed.handle)


def reconcile(shared: SharedParts, count_drift: Callable[[str], None]) -> ReconcilerRuns:
    every = timedelta(minutes=shared.settings.reconcile_minutes)
    runs = ReconcilerRuns(shared.store, shared.clock, every=every)
    rebuild = RebuildSteps(
        shared.store,
        shared.clock,
        shared.limits,
        count_steps,
        failures=shared.step_failures,
        every=every,
    )
    repair = RepairOrder(
        shared.store, shared.settlement, shared.clock, limits=shared.limits, count=count_drift
    )
    shared.steps.on(ReconcileStep, runs.begin)
    shared.steps.on(RebuildPageStep, rebuild.handle)
    shared.steps.on(RebuildRemotePageStep, rebuild.handle)
    recount = Recount(shared.store, repair, shared.clock, every=every, sizes=shared.sizes)
    shared.steps.on(RecountStep, recount.handle)
    return runs


@dataclass(frozen=True, slots=True)
class Tenants:
    connect: ConnectTenants
    resume: ResumeTenant
    settings: ManageSettings
    export_configuration: ExportConfiguration
    import_configuration: ImportConfiguration


def tenants(
    shared: SharedParts, schedule: ScheduleSubOrders, mails: PlanMails, reconciler: ReconcilerRuns
) -> Tenants:
    resume = ResumeTenant(shared.tenants, shared.clock, schedule, mails, reconciler)
    connect = ConnectTenants(
        shared.store,
        shared.tenants,
        shared.clients.connections,
        resume=resume,
        clock=shared.clock,
        backoff=shared.retries,
        limits=shared.limits,
    )
    shared.steps.on(ResumeTenantStep, lambda tenant, _: resume.handle(tenant))
    shared.steps.on(ConnectTenantStep, connect.connect)
    shared.steps.on(ReportConnectionStep, connect.report)
    shared.steps.on(FindTenantsStep, connect.find)
    return Tenants(
        connect=connect,
        resume=resume,
        settings=ManageSettings(shared.store),
        export_configuration=ExportConfiguration(shared.store),
        import_configuration=ImportConfiguration(shared.store),
    )
