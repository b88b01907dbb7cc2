"""The rights of roles (rest.md 2.3)."""

from typing import Final

from rs_order.contracts.platform_names import (
    ADMIN,
    ADMINISTRATORS,
    EXPLOIT,
    INSTANCE_ADMIN,
    PUBLIC,
    REGISTERED_USER,
)
from rs_order.domain.identity import Caller
from rs_order.domain.ids import Tenant
from rs_order.ports import Resource, RoleAccess
from rs_order.rest.resources import SEARCH_ORDERS

_SYSTEM_PREFIXES: Final = ("ROLE_SYS_", "SYS_")
_HIERARCHY: Final = (PUBLIC, REGISTERED_USER, EXPLOIT, ADMIN)


class DefaultRoles:
    """Implements ``RoleAccess`` without rs-admin: allows a resource's default role and the roles above it.

    A custom role of a project has the rights of REGISTERED_USER, because only rs-admin knows from
    which native role it inherits.
    """

    async def prepare(self, tenant: Tenant) -> None:
        """Do nothing: the rights of the native roles are fixed."""

    def allows(self, tenant: Tenant, role: str, resource: Resource) -> bool:  # noqa: ARG002 - the same for every tenant
        if resource.default_role not in _HIERARCHY:
            return False
        rank = _HIERARCHY.index(role if role in _HIERARCHY else REGISTERED_USER)
        return rank >= _HIERARCHY.index(resource.default_role)

    def admits(self, tenant: Tenant, role: str, address: str) -> bool:  # noqa: ARG002 - from anywhere
        return True


def may_use(access: RoleAccess, caller: Caller, resource: Resource) -> bool:
    """True if the caller's role may use the resource, by the five rules of rest.md 2.3."""
    return (
        is_system(caller)
        or is_administrator(caller)
        or resource.default_role == PUBLIC
        or access.allows(caller.tenant, caller.role, resource)
    )


def may_come_from(access: RoleAccess, caller: Caller, address: str) -> bool:
    """True if the caller's role may be used from the address (rest.md 2.3, IP filter).

    System roles and INSTANCE_ADMIN are exempt.
    """
    exempt = is_system(caller) or caller.role == INSTANCE_ADMIN
    return exempt or access.admits(caller.tenant, caller.role, address)


def may_see_orders_of(access: RoleAccess, caller: Caller, owner: str) -> bool:
    """True if the caller may see the owner's orders (decisions.md, Ownership; W14)."""
    return caller.email == owner or may_use(access, caller, SEARCH_ORDERS)


def may_read_order_of(caller: Caller, owner: str) -> bool:
    """True if the caller may read one of the owner's orders and its available files (rest.md 2.4)."""
    return caller.email == owner or is_administrator(caller)


def may_reach(caller: Caller, tenant: str) -> bool:
    """True if the caller may act on the tenant that a path names.

    INSTANCE_ADMIN and system roles may act on any tenant, all others on their own.
    """
    return caller.tenant == tenant or caller.role == INSTANCE_ADMIN or is_system(caller)


def is_system(caller: Caller) -> bool:
    return caller.role.startswith(_SYSTEM_PREFIXES)


def is_administrator(caller: Caller) -> bool:
    return caller.role in ADMINISTRATORS
