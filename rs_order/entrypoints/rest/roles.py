"""What a role may do (rest.md 2.3)."""

from dataclasses import dataclass
from typing import Final, Protocol

from rs_order.domain.ids import Tenant
from rs_order.entrypoints.rest.tokens import Principal

PUBLIC: Final = "PUBLIC"
REGISTERED_USER: Final = "REGISTERED_USER"
EXPLOIT: Final = "EXPLOIT"

_ADMINISTRATORS: Final = frozenset({"PROJECT_ADMIN", "INSTANCE_ADMIN"})
_SYSTEM_PREFIXES: Final = ("ROLE_SYS_", "SYS_")
_HIERARCHY: Final = (PUBLIC, REGISTERED_USER, EXPLOIT, "ADMIN")


@dataclass(frozen=True, slots=True)
class Resource:
    """An endpoint as rs-admin knows it; templates are a contract with the interface."""

    verb: str
    template: str
    default_role: str


SEARCH_ORDERS: Final = Resource("POST", "/orders/search", EXPLOIT)
DOWNLOAD_ORDER: Final = Resource("GET", "/user/orders/{orderId}/download", REGISTERED_USER)


class RoleAccess(Protocol):
    """Which roles may use an endpoint, beside those that may use all (rest.md 2.3, rule 5)."""

    def allows(self, tenant: Tenant, role: str, resource: Resource) -> bool: ...


class DefaultRoles:
    """Implements ``RoleAccess`` where rs-admin isn't asked: the declared role and those above it.

    A project's own role counts as REGISTERED_USER: it inherits from a native one, and only rs-admin
    knows from which.
    """

    def allows(self, tenant: Tenant, role: str, resource: Resource) -> bool:  # noqa: ARG002 - the same for every tenant
        rank = _HIERARCHY.index(role if role in _HIERARCHY else REGISTERED_USER)
        return rank >= _HIERARCHY.index(resource.default_role)


def may_use(access: RoleAccess, principal: Principal, resource: Resource) -> bool:
    """The five rules of rest.md 2.3."""
    return (
        is_system(principal)
        or is_administrator(principal)
        or resource.default_role == PUBLIC
        or access.allows(principal.tenant, principal.role, resource)
    )


def may_see_orders_of(access: RoleAccess, principal: Principal, owner: str) -> bool:
    """Whose orders a caller may read (decisions.md, Ownership; W14)."""
    return principal.email == owner or may_use(access, principal, SEARCH_ORDERS)


def is_system(principal: Principal) -> bool:
    return principal.role.startswith(_SYSTEM_PREFIXES)


def is_administrator(principal: Principal) -> bool:
    return principal.role in _ADMINISTRATORS
