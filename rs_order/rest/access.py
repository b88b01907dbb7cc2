"""What the endpoints need to decide who may call them."""

from dataclasses import dataclass

from rs_order.ports import RoleAccess
from rs_order.rest.tokens import TokenVerifier
from rs_order.store.tenants import Maintenance, Tenants


@dataclass(frozen=True, slots=True)
class Access:
    """What decides whether a request is let in: every endpoint asks it before it reads the body."""

    tokens: TokenVerifier
    roles: RoleAccess
    tenants: Tenants
    maintenance: Maintenance
