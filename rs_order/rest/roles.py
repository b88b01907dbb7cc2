"""What a role may do (rest.md 2.3)."""

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

__all__ = [
    "DefaultRoles",
    "RoleAccess",
    "is_administrator",
    "is_system",
    "may_come_from",
    "may_see_orders_of",
    "may_use",
]

_SYSTEM_PREFIXES: Final = ("ROLE_SYS_", "SYS_")
_HIERARCHY: Final = (PUBLIC, REGISTERED_USER, EXPLOIT, ADMIN)


class DefaultRoles:
    """Implements ``RoleAccess`` where rs-admin isn't asked: the declared role and those above it.

    A project's own role counts as REGISTERED_USER: it inherits from a native one, and only rs-admin
    knows from which.
    """

    async def prepare(self, tenant: Tenant) -> None:
        """There is nothing to wait for."""

    def allows(self, tenant: Tenant, role: str, resource: Resource) -> bool:  # noqa: ARG002 - the same for every tenant
        if resource.default_role not in _HIERARCHY:
            return False
        rank = _HIERARCHY.index(role if role in _HIERARCHY else REGISTERED_USER)
        return rank >= _HIERARCHY.index(resource.default_role)

    def admits(self, tenant: Tenant, role: str, address: str) -> bool:  # noqa: ARG002 - from anywhere
        return True


def may_use(access: RoleAccess, caller: Caller, resource: Resource) -> bool:
    """The five rules of rest.md 2.3."""
    return (
        is_system(caller)
        or is_administrator(caller)
        or resource.default_role == PUBLIC
        or access.allows(caller.tenant, caller.role, resource)
    )


def may_come_from(access: RoleAccess, caller: Caller, address: str) -> bool:
    """The IP filter of rest.md 2.3: two kinds of role are exempt."""
    exempt = is_system(caller) or caller.role == INSTANCE_ADMIN
    return exempt or access.admits(caller.tenant, caller.role, address)


def may_see_orders_of(access: RoleAccess, caller: Caller, owner: str) -> bool:
    """Whose orders a caller may read (decisions.md, Ownership; W14)."""
    return caller.email == owner or may_use(access, caller, SEARCH_ORDERS)


def may_read_order_of(caller: Caller, owner: str) -> bool:
    """Whose order, and whose available files, a caller may read one by one (rest.md 2.4)."""
    return caller.email == owner or is_administrator(caller)


def may_reach(caller: Caller, tenant: str) -> bool:
    """Whether a caller may act on a tenant that a path names: on his own, or, above tenants, on any."""
    return caller.tenant == tenant or caller.role == INSTANCE_ADMIN or is_system(caller)


def is_system(caller: Caller) -> bool:
    return caller.role.startswith(_SYSTEM_PREFIXES)


def is_administrator(caller: Caller) -> bool:
    return caller.role in ADMINISTRATORS
