"""What the REST side is given by the bootstrap."""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from rs_order.application.baskets import BasketUseCases
from rs_order.entrypoints.rest.roles import RoleAccess
from rs_order.entrypoints.rest.tokens import TokenVerifier
from rs_order.ports.clock import Clock
from rs_order.ports.downloads import Downloads, FileSources
from rs_order.ports.health import Health
from rs_order.ports.store import Tenants


@dataclass(frozen=True, slots=True)
class RestSettings:
    token_in_query: bool = False
    """Take ``?token=`` for the Authorization header, as the gateway does where there is one.

    Tokens in addresses end up in the logs of proxies, so it isn't done unasked.
    """


@dataclass(frozen=True, slots=True)
class RestServices:
    tenants: Tenants
    downloads: Downloads
    sources: FileSources
    baskets: BasketUseCases
    tokens: TokenVerifier
    roles: RoleAccess
    health: Health
    metrics: CollectorRegistry
    clock: Clock
    settings: RestSettings
