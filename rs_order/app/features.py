"""The use cases of each feature, and the handlers of its steps."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from rs_order.actions.delete import DeleteOrder, RemoveOrder
from rs_order.actions.order_actions import OrderActions
from rs_order.actions.pause import PauseOrder, ResumeOrder, StopSubOrders
from rs_order.actions.regroup import RegroupFiles
from rs_order.actions.restart import RestartOrder
from rs_order.actions.retry_order import MoveFilesInError, RetryOrder, RetryOrderStep
from rs_order.actions.rights import Rights
from rs_order.app.core import Core
from rs_order.baskets.add import AddToBasket
from rs_order.baskets.changes import BasketChanges, ProcessLimits
from rs_order.baskets.edit import EditBasket
from rs_order.baskets.routes import BasketUseCases
from rs_order.completion.complete_order import CompleteOrder
from rs_order.completion.fill_processed import FillProcessed
from rs_order.completion.fill_sub_orders import FillSubOrders
from rs_order.completion.read_page import PageReader
from rs_order.core.policies import storage_retries
from rs_order.core.shared_steps import (
    CompleteOrderStep,
    DeleteFilesStep,
    ExpireOrderStep,
    GrantRequestsStep,
    ScheduleStep,
    StartProcessingStep,
    StopSubOrdersStep,
)
from rs_order.mails.plan import PlanMails
from rs_order.orders.apply import ApplyOrder
from rs_order.orders.create import CreateOrder
from rs_order.orders.order_end import CancelOrders, DeleteFiles, ExpireOrder
from rs_order.processing.results import (
    ApplyResults,
    DetachProcesses,
    GiveUpResults,
    GiveUpResultsStep,
)
from rs_order.processing.start import StartProcessing
from rs_order.reconcile.rebuild_steps import RebuildPageStep, RebuildSteps
from rs_order.reconcile.recount import Recount, RecountStep
from rs_order.reconcile.repair_order import RepairOrder
from rs_order.reconcile.runs import ReconcilerRuns, ReconcileStep, count_steps
from rs_order.requests.accept import AcceptRequests
from rs_order.requests.answer import AnswerRequests
from rs_order.requests.decide import GrantRequests
from rs_order.requests.estimate import Estimator
from rs_order.requests.retention import PurgeInbox, PurgeInboxStep
from rs_order.scheduling.restoration import ApplyAvailability, AskAgainStep, AskStorage
from rs_order.scheduling.schedule import ScheduleSubOrders
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


def requests(core: Core, estimator: Estimator) -> Requests:
    answers = AnswerRequests(core.store, core.clock, core.retries)
    retention = timedelta(days=core.settings.inbox_retention_days)
    core.steps.on(GrantRequestsStep, GrantRequests(core.store, estimator, answers).handle)
    core.steps.on(PurgeInboxStep, PurgeInbox(core.store, core.clock, retention=retention).handle)
    return Requests(AcceptRequests(core.store, core.clock))


@dataclass(frozen=True, slots=True)
class Orders:
    create: CreateOrder
    apply: ApplyOrder
    cancel: CancelOrders


def orders(core: Core, estimator: Estimator) -> Orders:
    core.steps.on(ExpireOrderStep, ExpireOrder(core.store, core.teardown, core.clock).handle)
    core.steps.on(DeleteFilesStep, DeleteFiles(core.store, core.teardown, core.sizes).handle)
    return Orders(
        create=CreateOrder(core.store, core.links, core.clock),
        apply=ApplyOrder(core.store, estimator, core.links, core.clock),
        cancel=CancelOrders(core.store, core.teardown, core.clock),
    )


def completion(core: Core, mails: PlanMails) -> None:
    settings, clients = core.settings, core.clients
    fill_sub_orders = FillSubOrders(core.clock, batch_bytes=settings.batch_bytes)
    complete = CompleteOrder(
        core.store,
        PageReader(clients.catalog, clients.dam, clients.processes, page_size=settings.batch_size),
        fill_sub_orders,
        FillProcessed(core.clock, fill_sub_orders, batch_bytes=settings.batch_bytes),
        mails=mails,
        links=core.links,
        clock=core.clock,
        retries=core.retries,
    )
    core.steps.on(CompleteOrderStep, complete.handle)


@dataclass(frozen=True, slots=True)
class Scheduling:
    schedule: ScheduleSubOrders
    availability: ApplyAvailability


def scheduling(core: Core) -> Scheduling:
    retries = storage_retries(
        first=timedelta(minutes=core.settings.storage_reask_minutes),
        silence=timedelta(hours=core.settings.storage_silence_hours),
    )
    ask = AskStorage(core.store, core.settlement, core.clock, retries, core.sizes)
    schedule = ScheduleSubOrders(core.store, ask, core.clock, core.limits, core.sizes)
    core.steps.on(ScheduleStep, schedule.handle)
    core.steps.on(AskAgainStep, ask.again)
    return Scheduling(schedule, ApplyAvailability(core.store, core.settlement, core.clock))


@dataclass(frozen=True, slots=True)
class Processing:
    results: ApplyResults
    detach: DetachProcesses


def processing(core: Core) -> Processing:
    hours = core.settings.processing_silence_hours
    start = StartProcessing(
        core.store,
        core.clients.processes,
        core.settlement,
        clock=core.clock,
        retries=core.retries,
        silence=timedelta(hours=hours),
    )
    give_up = GiveUpResults(core.store, core.settlement, core.clock, hours=hours)
    core.steps.on(StartProcessingStep, start.handle)
    core.steps.on(GiveUpResultsStep, give_up.handle)
    return Processing(
        results=ApplyResults(core.store, core.settlement, core.clock),
        detach=DetachProcesses(core.store),
    )


def actions(core: Core) -> OrderActions:
    store, clock = core.store, core.clock
    rights = Rights(store, core.clients.users)
    stop = StopSubOrders(store, core.settlement, clock, core.sizes)
    regroup = RegroupFiles(clock, batch_bytes=core.settings.batch_bytes)
    core.steps.on(StopSubOrdersStep, stop.handle)
    move = MoveFilesInError(store, regroup, core.links, clock, core.sizes)
    core.steps.on(RetryOrderStep, move.handle)
    return OrderActions(
        PauseOrder(store, rights, stop, clock),
        ResumeOrder(store, rights, core.links, clock),
        DeleteOrder(store, rights, core.teardown, clock),
        RemoveOrder(store, rights, clock),
        RestartOrder(store, rights, clock),
        RetryOrder(store, rights, clock),
    )


def baskets(core: Core) -> BasketUseCases:
    changes = BasketChanges(core.store)
    process_limits = ProcessLimits(core.clients.processes)
    return BasketUseCases(
        add=AddToBasket(
            changes,
            core.datasets,
            process_limits,
            core.clock,
            max_lines=core.settings.basket_upload_file_max_lines,
        ),
        edit=EditBasket(core.store, changes, core.datasets, process_limits),
    )


def reconcile(core: Core, count_drift: Callable[[str], None]) -> ReconcilerRuns:
    every = timedelta(minutes=core.settings.reconcile_minutes)
    runs = ReconcilerRuns(core.store, core.clock, every=every)
    rebuild = RebuildSteps(core.store, core.clock, core.limits, count_steps, every=every)
    repair = RepairOrder(
        core.store, core.settlement, core.clock, limits=core.limits, count=count_drift
    )
    core.steps.on(ReconcileStep, runs.begin)
    core.steps.on(RebuildPageStep, rebuild.handle)
    recount = Recount(core.store, repair, core.clock, every=every, sizes=core.sizes)
    core.steps.on(RecountStep, recount.handle)
    return runs


@dataclass(frozen=True, slots=True)
class Tenants:
    connect: ConnectTenants
    resume: ResumeTenant
    settings: ManageSettings
    export_configuration: ExportConfiguration
    import_configuration: ImportConfiguration


def tenants(
    core: Core, schedule: ScheduleSubOrders, mails: PlanMails, reconciler: ReconcilerRuns
) -> Tenants:
    resume = ResumeTenant(schedule, mails, reconciler)
    connect = ConnectTenants(
        core.store,
        core.tenants,
        core.clients.connections,
        resume=resume,
        clock=core.clock,
        backoff=core.retries,
        limits=core.limits,
    )
    core.steps.on(ResumeTenantStep, lambda tenant, _: resume.handle(tenant))
    core.steps.on(ConnectTenantStep, connect.connect)
    core.steps.on(ReportConnectionStep, connect.report)
    core.steps.on(FindTenantsStep, connect.find)
    return Tenants(
        connect=connect,
        resume=resume,
        settings=ManageSettings(core.store),
        export_configuration=ExportConfiguration(core.store),
        import_configuration=ImportConfiguration(core.store),
    )
