"""The composition root: the only place that knows which class stands behind which port."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path

import httpx
import structlog
from prometheus_client import REGISTRY

from rs_order.adapters.amqp.batch_consumer import BatchConsumer
from rs_order.adapters.amqp.connection import Session, SupervisedConnection
from rs_order.adapters.amqp.messages import Messages
from rs_order.adapters.amqp.publisher import Publisher
from rs_order.adapters.amqp.relay import Relay
from rs_order.adapters.amqp.topology import Elements, Topology, Vhost, topology
from rs_order.adapters.amqp.vhosts import create_missing_vhosts
from rs_order.adapters.health import ServiceHealth
from rs_order.adapters.postgres.downloads import PostgresDownloads
from rs_order.adapters.postgres.driver import Pool
from rs_order.adapters.postgres.migrate import migrate_platform, migrate_tenant
from rs_order.adapters.postgres.outbox import PostgresOutbox
from rs_order.adapters.postgres.pool import open_pool
from rs_order.adapters.postgres.schema_names import InvalidTenantNameError
from rs_order.adapters.postgres.tenants import PostgresTenants
from rs_order.adapters.postgres.unit_of_work import PostgresStore
from rs_order.adapters.regards.admin import RegardsUsers
from rs_order.adapters.regards.admin_instance import RegardsProjects
from rs_order.adapters.regards.catalog import RegardsCatalog
from rs_order.adapters.regards.dam import RegardsDatasetFiles
from rs_order.adapters.regards.external import ExternalAccess, ExternalFiles
from rs_order.adapters.regards.http import CallLimits, RemoteService, new_client
from rs_order.adapters.regards.sources import RegardsFileSources
from rs_order.adapters.regards.storage import StoredFiles
from rs_order.adapters.regards.tokens import TokenMinter
from rs_order.adapters.regards.unconfigured import NoCatalog, NoUsers
from rs_order.adapters.system_clock import SystemClock
from rs_order.application.accept_requests import AcceptRequests
from rs_order.application.answer_requests import AnswerRequests
from rs_order.application.apply_availability import ApplyAvailability
from rs_order.application.ask_storage import AskStorage
from rs_order.application.cancel_orders import CancelOrders, Departure
from rs_order.application.complete_order import CompleteOrder, Place
from rs_order.application.estimate import Estimator
from rs_order.application.fill_sub_orders import FillSubOrders
from rs_order.application.grant_requests import GrantRequests
from rs_order.application.links import Links
from rs_order.application.notify_failures import NotifyFailures
from rs_order.application.policies import RemotePatience, SlotLimits, StoragePatience
from rs_order.application.read_page import PageReader
from rs_order.application.retire_orders import DeleteFiles, ExpireOrder
from rs_order.application.schedule_sub_orders import ScheduleSubOrders
from rs_order.application.settle_downloads import SettleDownloads
from rs_order.application.settlement import Settlement
from rs_order.application.steps import Step, StepName
from rs_order.application.tidy_inbox import TidyInbox
from rs_order.contracts.order_request import OrderCancelRequest, OrderRequest
from rs_order.contracts.storage import FileReferenceEvent
from rs_order.domain.ids import OrderId, RequestId, SubOrderId
from rs_order.entrypoints.amqp.batches import Batches
from rs_order.entrypoints.amqp.handlers import (
    CancelRequestHandler,
    FileReferenceHandler,
    OrderRequestHandler,
    drop,
    invalid_cancel_request,
    invalid_order_request,
)
from rs_order.entrypoints.amqp.step_handler import StepHandler, Work
from rs_order.entrypoints.rest.app import create_app
from rs_order.entrypoints.rest.roles import DefaultRoles
from rs_order.entrypoints.rest.server import run_rest
from rs_order.entrypoints.rest.services import RestServices, RestSettings
from rs_order.entrypoints.rest.tokens import TokenVerifier
from rs_order.ports.catalog import Catalog
from rs_order.ports.clock import Clock
from rs_order.ports.directory import Users
from rs_order.settings import PREFIX, Settings, SettingsError

FILE_EVENT_BATCH = 1000
STEPS_AT_ONCE = 8

log = structlog.get_logger(__name__)


class Role(StrEnum):
    """Which part of the work a process takes."""

    ALL = "all"
    WORKER = "worker"
    """Consumers and relay; of REST only health and metrics."""
    API = "api"
    """REST, and the relay for what it commits itself."""


@dataclass(slots=True)
class Store:
    """The database side of a process."""

    pool: Pool
    tenants: PostgresTenants
    clock: Clock


@asynccontextmanager
async def open_store(settings: Settings, clock: Clock | None = None) -> AsyncIterator[Store]:
    """The pool, with the platform schema up to date and every tenant known and up to date."""
    pool = await open_pool(
        settings.database_url.get_secret_value(),
        size=settings.database_pool_size,
        statement_cache=settings.database_statement_cache,
    )
    async with pool:
        await migrate_platform(pool)
        tenants = PostgresTenants(pool)
        await tenants.load()
        for tenant in tenants.names():
            await migrate_tenant(pool, tenant)
        for name in settings.tenants:
            await _add_configured(tenants, name)
        yield Store(pool, tenants, clock or SystemClock())


async def _add_configured(tenants: PostgresTenants, name: str) -> None:
    try:
        await tenants.add(name)
    except InvalidTenantNameError as error:
        raise SettingsError(f"{PREFIX}TENANTS: {error}") from error


def _token_verifier(settings: Settings) -> TokenVerifier:
    for algorithm, key in settings.token_keys.items():
        try:
            TokenVerifier({algorithm: key})
        except ValueError as error:
            raise SettingsError(f"{PREFIX}JWT_KEY_{algorithm}: {error}") from error
    return TokenVerifier(settings.token_keys)


class Remote:
    """The REGARDS services, as far as their addresses are set."""

    def __init__(
        self, settings: Settings, client: httpx.AsyncClient, files: httpx.AsyncClient
    ) -> None:
        self._settings = settings
        self._client = client
        self._files = files
        self.tokens = TokenMinter(settings.jwt_key_hs512.get_secret_value())

    def _service(self, name: str, url: str) -> RemoteService:
        return RemoteService(name, url, self._client)

    @property
    def catalog(self) -> Catalog:
        url = self._settings.catalog_url
        return RegardsCatalog(self._service("rs-catalog", url), self.tokens) if url else NoCatalog()

    @property
    def dam(self) -> RegardsDatasetFiles | None:
        url = self._settings.dam_url
        return RegardsDatasetFiles(self._service("rs-dam", url), self.tokens) if url else None

    @property
    def users(self) -> Users:
        settings = self._settings
        if settings.admin_url is None:
            return NoUsers()
        return RegardsUsers(
            self._service("rs-admin", settings.admin_url),
            self.tokens,
            admin_seconds=settings.cache_isadmin_ttl,
            admins_cached=settings.cache_isadmin_size,
        )

    @property
    def projects(self) -> RegardsProjects | None:
        url = self._settings.admin_instance_url
        if url is None:
            return None
        return RegardsProjects(self._service("rs-admin-instance", url), self.tokens)

    @property
    def stored_files(self) -> StoredFiles:
        return StoredFiles(
            self._files,
            self.tokens,
            storage_url=self._settings.storage_url or "http://rs-storage.invalid",
            dam_url=self._settings.dam_url or "http://rs-dam.invalid",
        )

    @property
    def external_files(self) -> ExternalFiles:
        settings = self._settings
        host, port = settings.http_proxy_host, settings.http_proxy_port
        return ExternalFiles(
            ExternalAccess(
                folders=tuple(Path(folder) for folder in settings.file_url_folders),
                proxy=f"http://{host}:{port}" if host else None,
                direct_hosts=tuple(settings.http_proxy_noproxy),
            )
        )


class Application:
    """The use cases, wired."""

    def __init__(
        self, settings: Settings, store: Store, remote: Remote, committed: Callable[[], None]
    ) -> None:
        clock = store.clock
        uows = PostgresStore(store.pool, committed)
        limits = SlotLimits(settings.max_storage_files_jobs_per_user, settings.jobs_pool_size)
        remote_patience = RemotePatience(settings.remote_patience)
        storage_patience = StoragePatience(
            first_pause=timedelta(minutes=settings.storage_reask_minutes),
            silence=timedelta(hours=settings.storage_silence_hours),
        )
        links = Links(
            remote.projects,
            store.tenants,
            prefix=settings.prefix_path,
            fallback=settings.public_url,
        )
        settlement = Settlement(limits)
        departure = Departure(settlement)
        self.accept = AcceptRequests(uows, clock)
        self.cancel = CancelOrders(uows, departure, clock)
        self.availability = ApplyAvailability(uows, settlement, links, clock)
        self.failures = NotifyFailures(uows)
        self.settle_downloads = SettleDownloads(uows, settlement, links, clock)
        self.tidy = TidyInbox(uows, clock, retention=timedelta(days=settings.inbox_retention_days))
        self._grant = GrantRequests(
            uows,
            Estimator(remote.users, remote.catalog, links, clock),
            AnswerRequests(uows, clock, remote_patience),
        )
        self._complete = CompleteOrder(
            uows,
            PageReader(remote.catalog, remote.dam, page_size=settings.batch_size),
            FillSubOrders(clock, bucket_bytes=settings.bucket_bytes),
            links=links,
            clock=clock,
            patience=remote_patience,
        )
        self._ask = AskStorage(uows, settlement, links, clock, storage_patience)
        self.schedule = ScheduleSubOrders(uows, self._ask, clock, limits)
        self._expire = ExpireOrder(uows, departure, clock)
        self._delete_files = DeleteFiles(uows)

    @property
    def works(self) -> dict[StepName, Work]:
        """What each step calls."""
        return {
            StepName.GRANT_REQUESTS: self._do_grant,
            StepName.COMPLETE_ORDER: self._do_complete,
            StepName.SCHEDULE: self._do_schedule,
            StepName.ASK_AGAIN: self._do_ask_again,
            StepName.EXPIRE_ORDER: self._do_expire,
            StepName.DELETE_FILES: self._do_delete_files,
            StepName.TIDY: self._do_tidy,
        }

    async def _do_grant(self, step: Step) -> None:
        await self._grant.handle(
            step.tenant, [RequestId(id_) for id_ in step.arguments["requests"]]
        )

    async def _do_complete(self, step: Step) -> None:
        arguments = step.arguments
        await self._complete.handle(
            Place(
                step.tenant,
                OrderId(arguments["orderId"]),
                arguments["selection"],
                arguments["page"],
            )
        )

    async def _do_schedule(self, step: Step) -> None:
        await self.schedule.handle(step.tenant, step.arguments["owner"])

    async def _do_ask_again(self, step: Step) -> None:
        arguments = step.arguments
        await self._ask.again(
            step.tenant,
            OrderId(arguments["orderId"]),
            SubOrderId(arguments["subOrderId"]),
            arguments["asks"],
        )

    async def _do_expire(self, step: Step) -> None:
        await self._expire.handle(step.tenant, OrderId(step.arguments["orderId"]))

    async def _do_delete_files(self, step: Step) -> None:
        await self._delete_files.handle(step.tenant, OrderId(step.arguments["orderId"]))

    async def _do_tidy(self, step: Step) -> None:
        await self.tidy.handle(step.tenant, step.arguments["round"])


def names_on_the_broker(settings: Settings) -> Topology:
    """Everything of ours on the broker, by the names this deployment uses."""
    return topology(
        settings.amqp_management_namespace,
        settings.amqp_microservice_type_identifier,
        instance_identifier=settings.amqp_microservice_instance_identifier,
    )


def consumers(
    settings: Settings, names: Topology, application: Application, tenants: PostgresTenants
) -> dict[Vhost, list[BatchConsumer]]:
    """One consumer per queue, and what its messages are handed to."""
    requests = Batches(
        OrderRequest,
        OrderRequestHandler(application.accept),
        tenants,
        application.failures,
        invalid=invalid_order_request,
    )
    cancels = Batches(
        OrderCancelRequest,
        CancelRequestHandler(application.cancel),
        tenants,
        application.failures,
        invalid=invalid_cancel_request,
    )
    references = Batches(
        FileReferenceEvent,
        FileReferenceHandler(application.availability),
        tenants,
        application.failures,
        for_everybody=True,
    )
    unused = [
        names.file_reference_updates,
        names.processing_results,
        names.process_rights,
        *(event.queue for event in names.security_events),
    ]
    return {
        Vhost.MULTITENANT: [
            BatchConsumer(names.order_requests, requests, size=settings.request_bulk_size),
            BatchConsumer(names.order_cancels, cancels, size=settings.cancel_request_bulk_size),
            BatchConsumer(names.file_references, references, size=FILE_EVENT_BATCH),
            BatchConsumer(
                names.steps,
                StepHandler(application.works, tenants),
                size=1,
                concurrency=STEPS_AT_ONCE,
            ),
            *(BatchConsumer(queue, drop) for queue in unused),
        ],
        Vhost.INSTANCE: [BatchConsumer(event.queue, drop) for event in names.tenant_events],
    }


async def serve(
    settings: Settings,
    role: Role,
    stop: asyncio.Event,
    *,
    on_ready: Callable[[int], None] = lambda _: None,
    clock: Clock | None = None,
) -> None:
    """Serve until ``stop`` is set, then finish what is held and return.

    Args:
        settings: everything an operator can set.
        role: which part of the work to take.
        stop: set by whoever owns the signals.
        on_ready: told the port of the REST side once it answers.
        clock: another than the machine's, for tests.
    """
    tokens = _token_verifier(settings)
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_store(settings, clock))
        client = await stack.enter_async_context(new_client())
        files = await stack.enter_async_context(new_client(CallLimits(connections=None)))
        remote = Remote(settings, client, files)
        external = remote.external_files
        stack.push_async_callback(external.aclose)
        names = names_on_the_broker(settings)
        await _provision_vhosts(settings)

        outbox = PostgresOutbox(store.pool, store.clock)
        publishers = {vhost: Publisher() for vhost in Vhost}
        messages = Messages(
            step_queue=names.steps.name,
            request_queue=names.order_requests,
            namespace=settings.amqp_management_namespace,
            instance_name=settings.instance_name,
        )
        relay = Relay(outbox, messages, publishers)
        application = Application(settings, store, remote, relay.nudge)
        for tenant in store.tenants.names():
            await application.schedule.wake(tenant)

        works = role is not Role.API
        consuming = consumers(settings, names, application, store.tenants) if works else {}
        incoming = [
            _connection(settings, vhost, names.elements(vhost), consuming[vhost])
            for vhost in consuming
        ]
        outgoing = [
            _connection(settings, vhost, names.elements(vhost).exchanges_only, [publishers[vhost]])
            for vhost in Vhost
        ]
        app = create_app(
            RestServices(
                downloads=PostgresDownloads(
                    store.pool, store.tenants, application.settle_downloads.handle
                ),
                sources=RegardsFileSources(remote.stored_files, external),
                tokens=tokens,
                roles=DefaultRoles(),
                health=ServiceHealth(
                    store.pool,
                    outbox,
                    [*incoming, *outgoing],
                    [consumer for some in consuming.values() for consumer in some],
                ),
                metrics=REGISTRY,
                clock=store.clock,
                settings=RestSettings(token_in_query=settings.token_in_query),
            ),
            only_actuator=role is Role.WORKER,
        )
        async with asyncio.TaskGroup() as tasks:
            for connection in (*incoming, *outgoing):
                tasks.create_task(connection.run())
            tasks.create_task(relay.run())
            rest_stop = asyncio.Event()
            tasks.create_task(
                run_rest(
                    app, settings.http_host, settings.http_port, stop=rest_stop, on_ready=on_ready
                )
            )
            await stop.wait()
            log.info("service-stopping")
            rest_stop.set()
            await asyncio.gather(*(connection.stop() for connection in incoming))
            await relay.stop()
            await asyncio.gather(*(connection.stop() for connection in outgoing))
        log.info("service-stopped")


def _connection(
    settings: Settings, vhost: Vhost, elements: Elements, sessions: Sequence[Session]
) -> SupervisedConnection:
    vhosts = {
        Vhost.MULTITENANT: settings.amqp_vhost,
        Vhost.INSTANCE: settings.amqp_instance_vhost,
    }
    return SupervisedConnection(
        settings.amqp_url.get_secret_value(), vhosts[vhost], elements, sessions
    )


async def _provision_vhosts(settings: Settings) -> None:
    if settings.amqp_management_url is not None:
        await create_missing_vhosts(
            settings.amqp_management_url.get_secret_value(),
            settings.amqp_url.get_secret_value(),
            [settings.amqp_vhost, settings.amqp_instance_vhost],
        )
