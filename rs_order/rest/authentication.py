"""From a request to who makes it (rest.md 2.1)."""

from typing import Final

from fastapi import Request

from rs_order.contracts.role_names import PUBLIC
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
_BEARER: Final = "Bearer"
_PUBLIC_EMAIL: Final = "public@regards.com"


async def admitted(request: Request, access: Access, caller: Caller) -> None:
    """Look at where the caller is, once his project's rights are known.

    Raises:
        HttpError: 401 when his role may not be used from his address (rest.md 2.3, IP filter).
        RightsUnknown: rs-admin hasn't said yet.
    """
    await access.roles.prepare(caller.tenant)
    address = request.client.host if request.client else ""
    if not may_come_from(access.roles, caller, address):
        raise HttpError(
            401, f"Authentication failed: the role {caller.role} may not be used from {address}"
        )


def authorised(access: Access, caller: Caller, resource: Resource) -> Caller:
    """The caller, when his role may use the resource.

    Raises:
        HttpError: 403 for a role that isn't allowed.
    """
    if not may_use(access.roles, caller, resource):
        raise HttpError(403, ACCESS_DENIED)
    return caller


def of_own_tenant(caller: Caller, tenant: str) -> None:
    """Let a caller act on a tenant that the path names.

    Raises:
        HttpError: 403 for another tenant than his own (promise 7: tenants never meet).
    """
    if not may_reach(caller, tenant):
        raise HttpError(403, ACCESS_DENIED)


async def out_of_maintenance(access: Access, caller: Caller, resource: Resource, verb: str) -> None:
    """Refuse changes while the caller's tenant is in maintenance (rest.md 2.6).

    Only GET is exempt, and what ends the maintenance; HEAD is not.

    Raises:
        HttpError: 515.
    """
    if verb == "GET" or resource == DISABLE_MAINTENANCE:
        return
    if await access.maintenance.covers(caller.tenant):
        raise HttpError(IN_MAINTENANCE, f"Tenant {caller.tenant} in maintenance!")


async def of_served_tenant(access: Access, caller: Caller) -> None:
    """Look at the caller's tenant before anything is asked of it.

    Raises:
        HttpError: 404 for a tenant that this deployment doesn't serve.
    """
    if not await is_served(access, caller.tenant):
        raise HttpError(404, f"There is no project {caller.tenant} here")


async def is_served(access: Access, tenant: str) -> bool:
    """Whether this deployment serves a tenant; one it doesn't know may have come just now."""
    if not access.tenants.serves(tenant):
        await access.tenants.load()
    return access.tenants.serves(tenant)


def authenticated(request: Request, access: Access) -> Caller:
    """The caller: of the bearer token, else the public of the project named by ``scope``.

    Raises:
        HttpError: 401 without a token that can be trusted.
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
