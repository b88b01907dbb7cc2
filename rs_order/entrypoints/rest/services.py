"""What the REST side is given by the bootstrap."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from prometheus_client import CollectorRegistry

from rs_order.application.act import OrderActions
from rs_order.application.apply_order import ApplyOrder
from rs_order.application.baskets import BasketUseCases
from rs_order.application.create_order import CreateOrder
from rs_order.application.download import Metalinks
from rs_order.application.links import Links
from rs_order.application.maintenance import SwitchMaintenance
from rs_order.application.module_configuration import ExportConfiguration, ImportConfiguration
from rs_order.application.settle_downloads import Settle
from rs_order.application.tenant_settings import ManageSettings
from rs_order.entrypoints.rest.forwarded import Network
from rs_order.entrypoints.rest.tokens import TokenVerifier
from rs_order.ports.clock import Clock
from rs_order.ports.directory import Users
from rs_order.ports.downloads import Downloads, FileSources
from rs_order.ports.health import Health
from rs_order.ports.order_tokens import OrderTokens
from rs_order.ports.roles import RoleAccess
from rs_order.store.file_views import FileViews
from rs_order.store.order_views import OrderViews
from rs_order.store.pool import DataSource
from rs_order.store.tenants import Tenants


@dataclass(frozen=True, slots=True)
class RestSettings:
    token_in_query: bool = False
    """Take ``?token=`` for the Authorization header, as the gateway does where there is one.

    Tokens in addresses end up in the logs of proxies, so it isn't done unasked.
    """
    cross_origins: tuple[str, ...] = ()
    """Hosts or origins whose pages may call the service; none: all may (rest.md 2.5)."""
    trusted_proxies: Sequence[Network] = ()
    """Networks of the proxies whose forwarded headers are believed (``ForwardedHeaders``)."""


@dataclass(frozen=True, slots=True)
class PlatformServices:
    """What administrators of the platform find in every microservice (rest.md 11)."""

    settings: ManageSettings
    export_configuration: ExportConfiguration
    import_configuration: ImportConfiguration
    maintenance: SwitchMaintenance
    data_source: DataSource


@dataclass(frozen=True, slots=True)
class RestServices:
    tenants: Tenants
    create_order: CreateOrder
    apply_order: ApplyOrder
    orders: OrderViews
    files: FileViews
    users: Users
    links: Links
    actions: OrderActions
    downloads: Downloads
    settle_downloads: Settle
    sources: FileSources
    metalinks: Metalinks
    order_tokens: OrderTokens
    baskets: BasketUseCases
    tokens: TokenVerifier
    roles: RoleAccess
    platform: PlatformServices
    health: Health
    metrics: CollectorRegistry
    clock: Clock
    settings: RestSettings


def some_services(**given: Any) -> RestServices:
    """Only the services given, for whoever calls few endpoints, or none to describe them all."""
    platform = PlatformServices(**_absent(PlatformServices))
    settings = RestSettings()
    return RestServices(
        **{**_absent(RestServices), "platform": platform, "settings": settings, **given}
    )


def _absent(kind: Any) -> dict[str, Any]:
    return dict.fromkeys(field.name for field in fields(kind))
