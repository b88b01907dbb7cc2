"""The dependencies of access control."""

from dataclasses import dataclass

from rs_order.ports import RoleAccess
from rs_order.rest.tokens import TokenVerifier
from rs_order.store.tenants import Maintenance, Tenants


@dataclass(frozen=True, slots=True)
class Access:
    """The dependencies of the checks that every endpoint makes before it reads the body."""

    tokens: TokenVerifier
    roles: RoleAccess
    tenants: Tenants
    maintenance: Maintenance
