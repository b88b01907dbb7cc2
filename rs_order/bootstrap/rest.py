"""What the endpoints call."""

from prometheus_client import REGISTRY

from rs_order.application.download import Metalinks
from rs_order.application.maintenance import SwitchMaintenance
from rs_order.bootstrap.application import Application
from rs_order.entrypoints.rest.roles import DefaultRoles
from rs_order.entrypoints.rest.services import PlatformServices, RestServices, RestSettings
from rs_order.entrypoints.rest.tokens import TokenVerifier
from rs_order.ports.health import Health
from rs_order.settings import Settings
from rs_order.store.downloads import StoredDownloads
from rs_order.store.file_views import FileViews
from rs_order.store.order_views import OrderViews
from rs_order.store.pool import DataSource, Pool
from rs_order.store.tenants import Maintenance


def rest_services(
    application: Application, pool: Pool, tokens: TokenVerifier, health: Health
) -> RestServices:
    core = application.core
    downloads = StoredDownloads(pool)
    return RestServices(
        tenants=core.tenants,
        create_order=application.orders.create,
        apply_order=application.orders.apply,
        orders=OrderViews(pool),
        files=FileViews(pool),
        users=core.clients.users,
        links=core.links,
        actions=application.actions,
        downloads=downloads,
        settle_downloads=application.settle_downloads.handle,
        baskets=application.baskets,
        sources=core.clients.file_sources,
        metalinks=Metalinks(downloads, core.order_tokens, core.links),
        order_tokens=core.order_tokens,
        tokens=tokens,
        platform=_platform_services(application, pool),
        roles=core.clients.roles or DefaultRoles(),
        health=health,
        metrics=REGISTRY,
        clock=core.clock,
        settings=_rest_settings(core.settings),
    )


def _platform_services(application: Application, pool: Pool) -> PlatformServices:
    tenants = application.tenants
    return PlatformServices(
        settings=tenants.settings,
        export_configuration=tenants.export_configuration,
        import_configuration=tenants.import_configuration,
        maintenance=SwitchMaintenance(Maintenance(pool), application.core.clock),
        data_source=DataSource(pool),
    )


def _rest_settings(settings: Settings) -> RestSettings:
    return RestSettings(
        token_in_query=settings.token_in_query,
        cross_origins=tuple(settings.cors_requests_authorized_clients_addresses),
        trusted_proxies=settings.trusted_networks,
    )
