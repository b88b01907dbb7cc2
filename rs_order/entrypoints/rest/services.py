"""What the REST side is given by the bootstrap."""

from collections.abc import Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from rs_order.entrypoints.rest.remote_address import Network
from rs_order.entrypoints.rest.tokens import TokenVerifier
from rs_order.ports.clock import Clock
from rs_order.ports.downloads import Downloads, FileSources
from rs_order.ports.health import Health
from rs_order.ports.roles import RoleAccess
from rs_order.ports.store import Tenants


@dataclass(frozen=True, slots=True)
class RestSettings:
    token_in_query: bool = False
    """Take ``?token=`` for the Authorization header, as the gateway does where there is one.

    Tokens in addresses end up in the logs of proxies, so it isn't done unasked.
    """
    trusted_proxies: Sequence[Network] = ()
    """Whose word on where a request comes from is believed (``remote_address``)."""


@dataclass(frozen=True, slots=True)
class RestServices:
    tenants: Tenants
    downloads: Downloads
    sources: FileSources
    tokens: TokenVerifier
    roles: RoleAccess
    health: Health
    metrics: CollectorRegistry
    clock: Clock
    settings: RestSettings
