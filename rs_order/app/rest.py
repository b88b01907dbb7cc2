"""Builds the REST application: its routers, with the dependencies of each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from functools import partial
from typing import Any

from fastapi import APIRouter, FastAPI

from rs_order.actions.routes import OrderActions, actions_router
from rs_order.app.application import Application
from rs_order.app.asyncapi import asyncapi
from rs_order.app.features import order_items
from rs_order.app.shared_parts import SharedParts
from rs_order.audit.routes import audit_router
from rs_order.baskets.routes import BasketUseCases, baskets_router
from rs_order.console.letter_routes import LetterReads
from rs_order.console.live import MOST_OF_A_USER, Live
from rs_order.console.new_order_routes import NewOrders
from rs_order.console.order_routes import OrderReads
from rs_order.console.overview_routes import OverviewReads
from rs_order.console.project_routes import ProjectReads
from rs_order.console.queue_routes import QueueReads
from rs_order.console.quote_orders import OrderQuoteOnce
from rs_order.console.routes import ConsoleServices, console_router
from rs_order.console.sessions import Sessions
from rs_order.console.settings_routes import SettingReads
from rs_order.console.standing_routes import StandingReads
from rs_order.dead_letters.routes import DeadLetterServices, dead_letters_router
from rs_order.domain.ids import Tenant
from rs_order.domain.settings import ZipMode
from rs_order.downloads.archive_download import ArchiveDeliveries
from rs_order.downloads.archive_of_order import archive_of_order_router
from rs_order.downloads.archive_routes import ArchiveServices, archives_router
from rs_order.downloads.file_routes import file_downloads_router
from rs_order.downloads.list_routes import lists_router
from rs_order.downloads.order_lists import OrderLists
from rs_order.downloads.readings import Readings
from rs_order.downloads.routes import DownloadServices, metalinks_router
from rs_order.downloads.zip_routes import zips_router
from rs_order.events.routes import EventServices, events_router
from rs_order.events.stream import OpenStreams
from rs_order.holds.routes import HoldServices, holds_router
from rs_order.orders.file_lists import FileListServices, file_lists_router
from rs_order.orders.routes import OrderServices, orders_router
from rs_order.orders.search import order_search_router
from rs_order.ports import Health
from rs_order.progress.calibration_routes import CalibrationServices, calibration_router
from rs_order.progress.routes import progress_router
from rs_order.quotes.routes import QuoteServices, quotes_router
from rs_order.regards.http import CALLS
from rs_order.rest.access import Access, DefaultRoles
from rs_order.rest.actuator import Metrics, actuator_router
from rs_order.rest.keyed_requests import KeyedAnswers
from rs_order.rest.openapi import api_docs_router
from rs_order.rest.problem_routes import problems_router
from rs_order.rest.rate_limits import DownloadsAtOnce, RequestLimits
from rs_order.rest.rest_app import RestSettings, create_rest_app
from rs_order.rest.security import security_router
from rs_order.rest.tokens import TokenVerifier
from rs_order.settings import Settings
from rs_order.shares.limits import ManageLimits
from rs_order.shares.routes import shares_router
from rs_order.shares.weights import ManageShares
from rs_order.stac.descriptions import Descriptions
from rs_order.stac.eodag_provider import EodagServices, eodag_router
from rs_order.stac.finding import FindProducts, ListProducts
from rs_order.stac.item_routes import items_router
from rs_order.stac.order_routes import item_orders_router
from rs_order.stac.routes import stac_router
from rs_order.stac.services import StacServices
from rs_order.store.archives import Archives
from rs_order.store.audit import Audit
from rs_order.store.backlog import Backlog
from rs_order.store.downloads import StoredDownloads
from rs_order.store.estimates import Estimates
from rs_order.store.file_views import FileViews
from rs_order.store.holds import HoldViews
from rs_order.store.instances import Identity, Instances
from rs_order.store.order_pages import OrderPages
from rs_order.store.order_views import OrderViews
from rs_order.store.pool import Pool
from rs_order.store.projects import Projects
from rs_order.store.stac import StacViews
from rs_order.store.standing import StandingStill
from rs_order.store.subscriptions import SubscriptionViews
from rs_order.store.tenants import DataSource, Maintenance
from rs_order.store.webhooks import WebhookViews
from rs_order.store.wrong_passwords import WrongPasswords
from rs_order.subscriptions.manage import ManageSubscriptions
from rs_order.subscriptions.routes import SubscriptionServices, subscriptions_router
from rs_order.subscriptions.webhooks import ManageWebhooks
from rs_order.tenants.data_source import data_source_router
from rs_order.tenants.maintenance import SwitchMaintenance, maintenance_router
from rs_order.tenants.module_configuration import ExportConfiguration, ImportConfiguration
from rs_order.tenants.module_routes import modules_router
from rs_order.tenants.tenant_settings import ManageSettings, settings_router


@dataclass(frozen=True, slots=True)
class TenantServices:
    """Dependencies of the endpoints that every microservice of the platform has (rest.md 11)."""

    settings: ManageSettings
    export_configuration: ExportConfiguration
    import_configuration: ImportConfiguration
    maintenance: SwitchMaintenance
    data_source: DataSource


@dataclass(frozen=True, slots=True)
class RestServices:
    """The dependencies of the routers."""

    access: Access
    archives: ArchiveServices
    actions: OrderActions
    audit: Audit
    baskets: BasketUseCases
    calibration: CalibrationServices
    console: ConsoleServices
    dead_letters: DeadLetterServices
    downloads: DownloadServices
    eodag: EodagServices
    events: EventServices
    files: FileListServices
    health: Health
    holds: HoldServices
    limits: ManageLimits
    messages: Callable[[], dict[str, Any]]
    """Returns the AsyncAPI document."""
    metrics: Metrics
    orders: OrderServices
    quotes: QuoteServices
    shares: ManageShares
    stac: StacServices
    subscriptions: SubscriptionServices
    tenants: TenantServices
    settings: RestSettings


def create_app(services: RestServices, *, only_actuator: bool = False) -> FastAPI:
    """Return the application.

    Args:
        services: the dependencies of the routers.
        only_actuator: serve only health and metrics, for a process without REST.
    """

    def routers(app: FastAPI) -> Sequence[APIRouter]:
        actuator = actuator_router(services.health, services.metrics)
        if only_actuator:
            return [actuator]
        return [
            actuator,
            *_order_routers(services),
            *_tenant_routers(services),
            problems_router(services.access),
            security_router(services.access),
            console_router(services.access, services.console),
            api_docs_router(app, services.messages),
        ]

    return create_rest_app(routers, services.settings)


def _order_routers(services: RestServices) -> list[APIRouter]:
    access, orders, downloads = services.access, services.orders, services.downloads
    return [
        # First, because "/user/orders/{orderId}/download" also matches with "metalink" as the order's id.
        metalinks_router(access, downloads),
        lists_router(access, downloads),
        baskets_router(access, services.baskets),
        orders_router(access, orders),
        progress_router(access, orders.waiting),
        calibration_router(access, services.calibration),
        quotes_router(access, services.quotes),
        events_router(access, services.events),
        subscriptions_router(access, services.subscriptions),
        actions_router(access, services.actions, orders.views, orders.keyed),
        order_search_router(access, orders.views, orders.waiting, orders.users),
        file_lists_router(access, services.files),
        zips_router(access, downloads, services.archives),
        archives_router(access, services.archives),
        archive_of_order_router(access, services.archives),
        stac_router(access, services.stac),
        items_router(access, services.stac),
        item_orders_router(access, services.stac),
        eodag_router(access, services.eodag),
        file_downloads_router(access, downloads),
    ]


def _tenant_routers(services: RestServices) -> list[APIRouter]:
    access, tenants = services.access, services.tenants
    return [
        settings_router(access, tenants.settings),
        maintenance_router(access, tenants.maintenance),
        modules_router(
            access, tenants.export_configuration, tenants.import_configuration, services.health
        ),
        data_source_router(access, tenants.data_source),
        audit_router(access, services.audit),
        dead_letters_router(access, services.dead_letters),
        holds_router(access, services.holds),
        shares_router(access, services.shares, services.limits),
    ]


def absent_services(**given: Any) -> RestServices:
    """Return services that are None except for the given ones, to describe endpoints or call a few."""
    absent = {
        "access": _absent(Access),
        "archives": _absent(ArchiveServices),
        "calibration": _absent(CalibrationServices),
        "console": _absent_console(),
        "dead_letters": _absent(DeadLetterServices),
        "downloads": _absent(DownloadServices),
        "eodag": _absent(EodagServices),
        "events": _absent(EventServices),
        "files": _absent(FileListServices),
        "holds": _absent(HoldServices),
        "messages": asyncapi,
        "orders": _absent(OrderServices),
        "quotes": _absent(QuoteServices),
        "stac": _absent(StacServices),
        "subscriptions": _absent(SubscriptionServices),
        "tenants": _absent(TenantServices),
        "settings": RestSettings(),
    }
    none: dict[str, Any] = dict.fromkeys(field.name for field in fields(RestServices))
    return RestServices(**{**none, **absent, **given})


def _absent_console() -> ConsoleServices:
    none: dict[str, Any] = dict.fromkeys(field.name for field in fields(ConsoleServices))
    return ConsoleServices(
        **{
            **none,
            "orders": _absent(OrderReads),
            "actions": _absent(OrderActions),
            "queue": _absent(QueueReads),
            "letters": _absent(LetterReads, letters=_absent(DeadLetterServices)),
        }
    )


def _absent(kind: Any, **given: Any) -> Any:
    return kind(**{**dict.fromkeys(field.name for field in fields(kind)), **given})


def rest_services(
    application: Application,
    pool: Pool,
    tokens: TokenVerifier,
    *,
    health: Health,
    metrics: Metrics,
    readings: Readings,
    webhooks: ManageWebhooks,
    me: Identity,
) -> RestServices:
    """Return the services of a process.

    Args:
        application: its use cases.
        pool: its connections to the database.
        tokens: checks bearer tokens.
        health: the state of what it depends on.
        metrics: what Prometheus reads.
        readings: the files that are being downloaded; the caller closes them.
        webhooks: manages webhooks.
        me: this process.
    """
    shared, maintenance, views = application.shared, Maintenance(pool), OrderViews(pool)
    downloads = _download_services(application, pool, readings)
    keyed = KeyedAnswers(shared.store, shared.clock)
    archives = _archive_services(application, pool, downloads, keyed)
    return RestServices(
        access=_access(shared, tokens, maintenance),
        archives=archives,
        actions=application.actions,
        audit=Audit(pool),
        baskets=application.baskets,
        calibration=CalibrationServices(Estimates(pool), shared.clock),
        console=_console_services(application, pool, tokens, health, archives, me=me),
        dead_letters=application.dead_letters,
        downloads=downloads,
        eodag=EodagServices(
            shared.store, shared.settings.catalog_stac_url, shared.settings.token_url
        ),
        events=EventServices(shared.events.log, shared.events.feed, OpenStreams()),
        files=FileListServices(views, FileViews(pool), shared.links),
        health=health,
        holds=HoldServices(application.holds, HoldViews(pool)),
        limits=application.limits,
        messages=partial(
            asyncapi,
            shared.settings.amqp_management_namespace,
            shared.settings.amqp_microservice_type_identifier,
        ),
        metrics=metrics,
        orders=OrderServices(
            application.orders.create,
            application.orders.apply,
            application.orders.order_quote,
            views,
            shared.waiting,
            shared.clients.users,
            keyed,
            webhooks,
        ),
        quotes=_quote_services(application, keyed),
        shares=application.shares,
        stac=_stac_services(shared, pool, keyed, webhooks),
        subscriptions=SubscriptionServices(
            ManageSubscriptions(shared.store, shared.clock),
            webhooks,
            SubscriptionViews(pool),
            WebhookViews(pool),
            shared.events.log,
            shared.events.feed,
            keyed,
        ),
        tenants=_tenant_services(application, pool, maintenance),
        settings=_rest_settings(shared.settings),
    )


def _console_services(
    application: Application,
    pool: Pool,
    tokens: TokenVerifier,
    health: Health,
    archives: ArchiveServices,
    *,
    me: Identity,
) -> ConsoleServices:
    shared = application.shared
    orders = OrderReads(OrderPages(pool), shared.waiting)
    live = Live(shared.events.feed, OpenStreams(MOST_OF_A_USER))
    silent_after = timedelta(minutes=shared.settings.storage_reask_minutes)
    return ConsoleServices(
        sessions=Sessions(tokens, proxy_token=shared.settings.console_proxy_token),
        wrong=WrongPasswords(pool, shared.clock),
        authentication=shared.clients.authentication,
        clock=shared.clock,
        orders=orders,
        new_orders=NewOrders(
            shared.store,
            application.quotes.make,
            OrderQuoteOnce(shared.store, application.orders.order_quote, shared.clock),
        ),
        views=OrderViews(pool),
        actions=application.actions,
        archives=archives,
        letters=LetterReads(application.dead_letters, Audit(pool)),
        queue=QueueReads(
            application.shares,
            application.limits,
            HoldServices(application.holds, HoldViews(pool)),
        ),
        settings=SettingReads(
            application.tenants.settings, application.tenants.import_configuration, Audit(pool)
        ),
        live=live,
        standing=StandingReads(
            StandingStill(pool, silent_after=silent_after), orders, application.actions, live
        ),
        projects=ProjectReads(Projects(pool), SwitchMaintenance(Maintenance(pool), shared.clock)),
        overview=OverviewReads(
            health=health,
            calls=CALLS.services,
            me=me,
            instances=Instances(pool),
            throughput=shared.throughput,
            tenants=shared.tenants,
            maintenance=Maintenance(pool),
            backlog=Backlog(
                pool,
                processing_silence=timedelta(hours=shared.settings.processing_silence_hours),
            ),
            pages=OrderPages(pool),
            letters=application.dead_letters.acts,
        ),
    )


def _access(shared: SharedParts, tokens: TokenVerifier, maintenance: Maintenance) -> Access:
    return Access(
        tokens,
        shared.clients.roles or DefaultRoles(),
        shared.tenants,
        maintenance,
        RequestLimits(
            per_user=shared.settings.user_requests_per_second,
            per_peer=shared.settings.peer_requests_per_second,
        ),
    )


def _download_services(
    application: Application, pool: Pool, readings: Readings
) -> DownloadServices:
    shared, downloads = application.shared, StoredDownloads(pool)

    async def zip_mode(tenant: Tenant) -> ZipMode:
        async with shared.store.unit_of_work(tenant) as uow:
            return (await uow.settings()).zip_mode

    return DownloadServices(
        orders=downloads,
        settle=application.settle_downloads.handle,
        sources=shared.clients.file_sources,
        readings=readings,
        lists=OrderLists(downloads, shared.order_tokens, shared.links),
        order_tokens=shared.order_tokens,
        clock=shared.clock,
        pause=shared.waiting.pause,
        zip_mode=zip_mode,
        at_once=DownloadsAtOnce(shared.settings.user_downloads_at_once),
    )


def _archive_services(
    application: Application, pool: Pool, downloads: DownloadServices, keyed: KeyedAnswers
) -> ArchiveServices:
    shared, archives = application.shared, Archives(pool)
    stored = application.archives
    return ArchiveServices(
        orders=downloads.orders,
        archives=archives,
        make=stored.make,
        deliveries=ArchiveDeliveries(
            archives,
            stored.failures,
            stored.read,
            downloads.settle,
            downloads.readings,
            shared.clock,
        ),
        order_tokens=shared.order_tokens,
        clock=shared.clock,
        at_once=downloads.at_once,
        keyed=keyed,
    )


def _stac_services(
    shared: SharedParts, pool: Pool, keyed: KeyedAnswers, webhooks: ManageWebhooks
) -> StacServices:
    views = StacViews(pool)
    return StacServices(
        order_items(shared, pool),
        views,
        FindProducts(views, ListProducts(shared.store, views)),
        Descriptions(shared.clients.catalog_items),
        shared.waiting,
        shared.order_tokens,
        keyed,
        webhooks,
        shared.settings.catalog_stac_url,
    )


def _quote_services(application: Application, keyed: KeyedAnswers) -> QuoteServices:
    quotes, shared = application.quotes, application.shared
    return QuoteServices(quotes.begin, quotes.make, shared.store, shared.clock, keyed)


def _tenant_services(
    application: Application, pool: Pool, maintenance: Maintenance
) -> TenantServices:
    tenants = application.tenants
    return TenantServices(
        settings=tenants.settings,
        export_configuration=tenants.export_configuration,
        import_configuration=tenants.import_configuration,
        maintenance=SwitchMaintenance(maintenance, application.shared.clock),
        data_source=DataSource(pool),
    )


def _rest_settings(settings: Settings) -> RestSettings:
    return RestSettings(
        token_in_query=settings.token_in_query,
        cross_origins=tuple(settings.cors_requests_authorized_clients_addresses),
        trusted_proxies=settings.trusted_networks,
    )
