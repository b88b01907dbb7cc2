"""The use cases, wired, and what each step calls."""

from collections.abc import Callable
from datetime import timedelta

from rs_order.adapters.reconciliation_metrics import count_drift, count_steps
from rs_order.application.accept_requests import AcceptRequests
from rs_order.application.act import (
    DeleteOrder,
    MoveFilesInError,
    OrderActions,
    PauseOrder,
    RegroupFiles,
    RemoveOrder,
    RestartOrder,
    ResumeOrder,
    RetryOrder,
    RetryOrderStep,
    Rights,
    StopSubOrders,
)
from rs_order.application.answer_requests import AnswerRequests
from rs_order.application.apply_availability import ApplyAvailability
from rs_order.application.apply_order import ApplyOrder
from rs_order.application.apply_results import ApplyResults, GiveUpResults, GiveUpResultsStep
from rs_order.application.ask_storage import AskAgainStep, AskStorage
from rs_order.application.baskets import AddToBasket, BasketUseCases, EditBasket
from rs_order.application.baskets.changes import BasketChanges
from rs_order.application.baskets.process_limit import ProcessLimit
from rs_order.application.cancel_orders import CancelOrders, Departure
from rs_order.application.catalog_datasets import CatalogDatasets
from rs_order.application.complete_order import CompleteOrder
from rs_order.application.connect_tenants import (
    ConnectTenants,
    ConnectTenantStep,
    FindTenantsStep,
    ReportConnectionStep,
)
from rs_order.application.create_order import CreateOrder
from rs_order.application.detach_processes import DetachProcesses
from rs_order.application.estimate import Estimator
from rs_order.application.fill_processed import FillProcessed
from rs_order.application.fill_sub_orders import FillSubOrders
from rs_order.application.grant_requests import GrantRequests
from rs_order.application.links import Links
from rs_order.application.mails.plan import RemindStep
from rs_order.application.mails.send import SendMailStep
from rs_order.application.module_configuration import ExportConfiguration, ImportConfiguration
from rs_order.application.notify_failures import NotifyFailures
from rs_order.application.policies import SlotLimits, remote_retries, storage_retries
from rs_order.application.read_page import PageReader
from rs_order.application.reconcile import (
    MendOrder,
    RebuildPageStep,
    RebuildSteps,
    ReconcileRounds,
    ReconcileStep,
    Recount,
    RecountStep,
)
from rs_order.application.retire_orders import DeleteFiles, ExpireOrder
from rs_order.application.schedule_sub_orders import ScheduleSubOrders
from rs_order.application.settle_downloads import SettleDownloads
from rs_order.application.settlement import Settlement
from rs_order.application.start_processing import StartProcessing
from rs_order.application.step import StepRegistry
from rs_order.application.steps import (
    CompleteOrderStep,
    DeleteFilesStep,
    ExpireOrderStep,
    GrantRequestsStep,
    ScheduleStep,
    StartProcessingStep,
    StopSubOrdersStep,
)
from rs_order.application.tenant_settings import ManageSettings
from rs_order.application.tidy_inbox import PurgeInboxStep, TidyInbox
from rs_order.application.wake_tenant import ResumeTenantStep, WakeTenant
from rs_order.bootstrap.database import Database
from rs_order.bootstrap.mails import Mails
from rs_order.bootstrap.platform_clients import PlatformClients
from rs_order.bootstrap.tokens import order_tokens
from rs_order.broker.publications import EVENTS
from rs_order.ports.outbox import MessageKind
from rs_order.settings import PREFIX, Settings, SettingsError
from rs_order.store.unit_of_work import Store


def copied_to_notifier(settings: Settings) -> dict[MessageKind, str]:
    """Which messages rs-notifier gets a copy of, with the class each copy names; projects' messages only.

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


class Application:
    """The use cases, wired."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        clients: PlatformClients,
        committed: Callable[[], None],
    ) -> None:
        clock = database.clock
        uows = Store(database.pool, committed, copied_to_notifier(settings))
        limits = SlotLimits(settings.max_storage_files_jobs_per_user, settings.jobs_pool_size)
        retries = remote_retries(settings.remote_patience)
        storage_policy = storage_retries(
            first=timedelta(minutes=settings.storage_reask_minutes),
            silence=timedelta(hours=settings.storage_silence_hours),
        )
        self.users = clients.users
        self.links = links = Links(
            clients.projects,
            database.tenants,
            prefix=settings.prefix_path,
            fallback=settings.public_url,
        )
        datasets = CatalogDatasets(clients.catalog)
        process_limit = ProcessLimit(clients.processes)
        changes = BasketChanges(uows)
        self.baskets = BasketUseCases(
            add=AddToBasket(
                changes,
                datasets,
                process_limit,
                clock,
                max_lines=settings.basket_upload_file_max_lines,
            ),
            edit=EditBasket(uows, changes, datasets, process_limit),
        )
        estimator = Estimator(self.users, datasets, links, clock)
        self.order_tokens = order_tokens(settings, clock)
        self.mails = Mails(settings, uows, links, clients.mailer, self.order_tokens, clock=clock)
        settlement = Settlement(limits, links)
        departure = Departure(settlement)
        self.create_order = CreateOrder(uows, links, clock)
        self.apply_order = ApplyOrder(uows, estimator, links, clock)
        self.accept = AcceptRequests(uows, clock)
        self.cancel = CancelOrders(uows, departure, clock)
        self.availability = ApplyAvailability(uows, settlement, clock)
        self.results = ApplyResults(uows, settlement, clock)
        self.detach = DetachProcesses(uows)
        self.failures = NotifyFailures(uows)
        self.settle_downloads = SettleDownloads(uows, settlement, clock)
        self.tidy = TidyInbox(uows, clock, retention=timedelta(days=settings.inbox_retention_days))
        self.settings = ManageSettings(uows)
        self.export_configuration = ExportConfiguration(uows)
        self.import_configuration = ImportConfiguration(uows)
        self._grant = GrantRequests(
            uows,
            estimator,
            AnswerRequests(uows, clock, retries),
        )
        filling = FillSubOrders(clock, batch_bytes=settings.batch_bytes)
        self._complete = CompleteOrder(
            uows,
            PageReader(
                clients.catalog, clients.dam, clients.processes, page_size=settings.batch_size
            ),
            filling,
            FillProcessed(clock, filling, batch_bytes=settings.batch_bytes),
            mails=self.mails.plan,
            links=links,
            clock=clock,
            retries=retries,
        )
        self._ask = AskStorage(uows, settlement, clock, storage_policy)
        self._start_processing = StartProcessing(
            uows,
            clients.process_batches,
            settlement,
            clock=clock,
            retries=retries,
            silence=timedelta(hours=settings.processing_silence_hours),
        )
        self._give_up_results = GiveUpResults(
            uows, settlement, clock, hours=settings.processing_silence_hours
        )
        self.schedule = ScheduleSubOrders(uows, self._ask, clock, limits)
        every = timedelta(minutes=settings.reconcile_minutes)
        self.reconcile = ReconcileRounds(uows, clock, every=every)
        self.wake = WakeTenant(self.schedule, self.mails.plan, self.reconcile)
        self.connect = ConnectTenants(
            uows,
            database.tenants,
            clients.connections,
            wake=self.wake,
            clock=clock,
            backoff=retries,
            limits=limits,
        )
        self._rebuild_steps = RebuildSteps(uows, clock, limits, count_steps, every=every)
        self._recount = Recount(
            uows,
            MendOrder(uows, settlement, clock, limits=limits, count=count_drift),
            clock,
            every=every,
        )
        self._expire = ExpireOrder(uows, departure, clock)
        self._delete_files = DeleteFiles(uows, departure)
        self._move_files_in_error = MoveFilesInError(
            uows, RegroupFiles(clock, batch_bytes=settings.batch_bytes), links, clock
        )
        rights = Rights(uows, clients.users)
        self._stop_sub_orders = StopSubOrders(uows, settlement, clock)
        self.actions = OrderActions(
            PauseOrder(uows, rights, self._stop_sub_orders, clock),
            ResumeOrder(uows, rights, links, clock),
            DeleteOrder(uows, rights, departure, clock),
            RemoveOrder(uows, rights, clock),
            RestartOrder(uows, rights, clock),
            RetryOrder(uows, rights, clock),
        )
        self.steps = self._registered()

    def _registered(self) -> StepRegistry:
        steps = StepRegistry()
        steps.on(GrantRequestsStep, self._grant.handle)
        steps.on(CompleteOrderStep, self._complete.handle)
        steps.on(ScheduleStep, self.schedule.handle)
        steps.on(AskAgainStep, self._ask.again)
        steps.on(StartProcessingStep, self._start_processing.handle)
        steps.on(GiveUpResultsStep, self._give_up_results.handle)
        steps.on(RetryOrderStep, self._move_files_in_error.handle)
        steps.on(ExpireOrderStep, self._expire.handle)
        steps.on(StopSubOrdersStep, self._stop_sub_orders.handle)
        steps.on(DeleteFilesStep, self._delete_files.handle)
        steps.on(PurgeInboxStep, self.tidy.handle)
        steps.on(ReconcileStep, self.reconcile.begin)
        steps.on(RebuildPageStep, self._rebuild_steps.handle)
        steps.on(RecountStep, self._recount.handle)
        steps.on(ResumeTenantStep, lambda tenant, _: self.wake.handle(tenant))
        steps.on(ConnectTenantStep, self.connect.connect)
        steps.on(ReportConnectionStep, self.connect.report)
        steps.on(FindTenantsStep, self.connect.find)
        steps.on(RemindStep, self.mails.remind.handle)
        steps.on(SendMailStep, self.mails.send.handle)
        steps.check()
        return steps
