"""Identifies the caller of a request and rejects callers that may not send it (rest.md 2)."""

from typing import Final

from fastapi import Request

from rs_order.contracts.platform_names import PUBLIC
from rs_order.domain.identity import Caller
from rs_order.domain.ids import Tenant
from rs_order.ports import Resource
from rs_order.rest.access import Access
from rs_order.rest.errors import ACCESS_DENIED, HttpError
from rs_order.rest.middleware import facts_of
from rs_order.rest.resources import DISABLE_MAINTENANCE
from rs_order.rest.roles import may_come_from, may_reach, may_use
from rs_order.rest.tokens import InvalidToken

IN_MAINTENANCE: Final = 515
"""The status of a change that is rejected because its project is in maintenance."""
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


def _caller(request: Request, access: Access) -> Caller:
    authorization = request.headers.get("Authorization", "")
    if authorization.startswith(_BEARER):
        try:
            return access.tokens.verify(authorization.removeprefix(_BEARER).strip())
        except InvalidToken as error:
            raise HttpError(401, f"Authentication failed: {error}") from error
    scope = request.headers.get("scope") or request.query_params.get("scope")
    if scope:
        return Caller(Tenant(scope), _PUBLIC_EMAIL, PUBLIC)
    raise HttpError(401, "Authentication failed: no bearer token in the Authorization header")


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
        raise HttpError(IN_MAINTENANCE, f"Tenant {caller.tenant} in maintenance!")


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
