"""Decides who may call an endpoint: the token, the tenant, the address and the role (rest.md 2.2, 2.3)."""

import math
from dataclasses import dataclass, field
from typing import Final

from fastapi import Request

from rs_order.contracts.platform_names import (
    ADMIN,
    ADMINISTRATORS,
    EXPLOIT,
    INSTANCE_ADMIN,
    PUBLIC,
    REGISTERED_USER,
)
from rs_order.core.errors import InMaintenance
from rs_order.correlation_ids import correlation_id
from rs_order.domain.identity import Caller
from rs_order.domain.ids import Tenant
from rs_order.ports import Resource, RoleAccess
from rs_order.rest.errors import ACCESS_DENIED, IN_MAINTENANCE, HttpError
from rs_order.rest.forwarded import header_of
from rs_order.rest.middleware import facts_of
from rs_order.rest.rate_limits import RequestLimits
from rs_order.rest.resources import DISABLE_MAINTENANCE, SEARCH_ORDERS
from rs_order.rest.tokens import InvalidToken, TokenVerifier
from rs_order.store.audit import AuditActor, Door
from rs_order.store.tenants import Maintenance, Tenants


@dataclass(frozen=True, slots=True)
class Access:
    """The dependencies of the checks that every endpoint makes before it reads the body."""

    tokens: TokenVerifier
    roles: RoleAccess
    tenants: Tenants
    maintenance: Maintenance
    limits: RequestLimits = field(default_factory=RequestLimits)


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


def audit_actor(caller: Caller) -> AuditActor:
    """Return the caller of the present request as the audit names them."""
    return AuditActor(caller.email, Door.REST, caller.role, correlation_id())


_BEARER: Final = "Bearer"
_PUBLIC_EMAIL: Final = "public@regards.com"


def authenticate(request: Request, access: Access) -> Caller:
    """Return the caller that the token identifies, or a PUBLIC caller of the project in ``scope``.

    Raises:
        HttpError: 401 if the token is invalid, or if there is neither a token nor a ``scope``.
    """
    caller = _caller(request, access)
    facts_of(request.scope).update(tenant=caller.tenant, user=caller.email)
    return caller


def seconds_left(request: Request, access: Access) -> float:
    """Return how long the token of an authenticated request is still valid; without a token, for ever."""
    authorization = request.headers.get("Authorization", "")
    if not authorization.startswith(_BEARER):
        return math.inf
    return access.tokens.seconds_left(authorization.removeprefix(_BEARER).strip())


def _caller(request: Request, access: Access) -> Caller:
    authorization = header_of(request.scope, b"authorization") or ""
    if authorization.startswith(_BEARER):
        try:
            return access.tokens.verify(authorization.removeprefix(_BEARER).strip())
        except InvalidToken as error:
            raise HttpError(401, f"Authentication failed: {error}") from error
    scope = request.headers.get("scope") or request.query_params.get("scope")
    if scope:
        return Caller(Tenant(scope), _PUBLIC_EMAIL, PUBLIC)
    raise HttpError(401, "Authentication failed: no bearer token in the Authorization header")


def require_allowed_rate(
    request: Request, access: Access, caller: Caller, resource: Resource
) -> dict[str, str]:
    """Count the request. Return the header fields of the caller's rate; administrators have none.

    Raises:
        HttpError: 429 if the caller sent too many.
    """
    if is_administrator(caller):
        return {}
    return access.limits.check(request, caller, resource, peer=is_system(caller))


async def require_served_tenant(access: Access, caller: Caller) -> None:
    """Check that this deployment serves the caller's tenant.

    Raises:
        HttpError: 404 if it doesn't.
    """
    if not await is_served(access, caller.tenant):
        raise HttpError(404, f"There is no project {caller.tenant} here")


async def is_served(access: Access, tenant: str) -> bool:
    """True if this deployment serves the tenant. Unknown tenants are looked up in the database."""
    if not access.tenants.serves(tenant):
        await access.tenants.load()
    return access.tenants.serves(tenant)


async def require_allowed_address(request: Request, access: Access, caller: Caller) -> None:
    """Check that the caller's role may be used from the caller's address (rest.md 2.3, IP filter).

    Raises:
        HttpError: 401 if it may not.
        RightsUnknown: the rights of the tenant haven't been read from rs-admin yet.
    """
    await access.roles.prepare(caller.tenant)
    address = request.client.host if request.client else ""
    if not may_come_from(access.roles, caller, address):
        raise HttpError(
            401, f"Authentication failed: the role {caller.role} may not be used from {address}"
        )


async def require_no_maintenance(
    access: Access, caller: Caller, resource: Resource, verb: str
) -> None:
    """Reject changes while the caller's tenant is in maintenance (rest.md 2.6).

    Only GET and the end of the maintenance are exempt. HEAD is not.

    Raises:
        HttpError: 515 if the tenant is in maintenance.
    """
    if verb == "GET" or resource == DISABLE_MAINTENANCE:
        return
    if await access.maintenance.covers(caller.tenant):
        raise HttpError(IN_MAINTENANCE, str(InMaintenance(caller.tenant)))


def require_allowed_role(access: Access, caller: Caller, resource: Resource) -> None:
    """Check that the caller's role may use the resource.

    Raises:
        HttpError: 403 if it may not.
    """
    if not may_use(access.roles, caller, resource):
        raise HttpError(403, ACCESS_DENIED)


def require_own_tenant(caller: Caller, tenant: str) -> None:
    """Check that the caller may act on the tenant in the path (promise 7: tenants never meet).

    Raises:
        HttpError: 403 if it is another tenant than the caller's own.
    """
    if not may_reach(caller, tenant):
        raise HttpError(403, ACCESS_DENIED)
