"""What the REST side is given by the bootstrap."""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from rs_order.application.act import OrderActions
from rs_order.application.apply_order import ApplyOrder
from rs_order.application.create_order import CreateOrder
from rs_order.application.download import Metalinks
from rs_order.application.links import Links
from rs_order.entrypoints.rest.roles import RoleAccess
from rs_order.entrypoints.rest.tokens import TokenVerifier
from rs_order.ports.clock import Clock
from rs_order.ports.directory import Users
from rs_order.ports.downloads import Downloads, FileSources
from rs_order.ports.health import Health
from rs_order.ports.order_tokens import OrderTokens
from rs_order.ports.store import Tenants
from rs_order.ports.views import FileViews, OrderViews


@dataclass(frozen=True, slots=True)
class RestSettings:
    token_in_query: bool = False
    """Take ``?token=`` for the Authorization header, as the gateway does where there is one.

    Tokens in addresses end up in the logs of proxies, so it isn't done unasked.
    """


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
    sources: FileSources
    metalinks: Metalinks
    order_tokens: OrderTokens
    tokens: TokenVerifier
    roles: RoleAccess
    health: Health
    metrics: CollectorRegistry
    clock: Clock
    settings: RestSettings
