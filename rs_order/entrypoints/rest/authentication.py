"""From a request to who makes it (rest.md 2.1)."""

from typing import Final

from fastapi import Request

from rs_order.domain.ids import Tenant
from rs_order.entrypoints.rest.errors import ACCESS_DENIED, Refused
from rs_order.entrypoints.rest.request_log import facts_of
from rs_order.entrypoints.rest.roles import PUBLIC, Resource, may_use
from rs_order.entrypoints.rest.services import RestServices
from rs_order.entrypoints.rest.tokens import InvalidToken, Principal

_BEARER: Final = "Bearer"
_PUBLIC_EMAIL: Final = "public@regards.com"


def authorised(request: Request, services: RestServices, resource: Resource) -> Principal:
    """The caller, when his role may use the resource.

    Raises:
        Refused: 401 without a token that can be trusted, 403 for a role that isn't allowed.
    """
    principal = authenticated(request, services)
    if not may_use(services.roles, principal, resource):
        raise Refused(403, ACCESS_DENIED)
    return principal


def authenticated(request: Request, services: RestServices) -> Principal:
    """The caller: of the bearer token, else the public of the project named by ``scope``."""
    principal = _principal(request, services)
    facts_of(request.scope).update(tenant=principal.tenant, user=principal.email)
    return principal


def _principal(request: Request, services: RestServices) -> Principal:
    authorization = request.headers.get("Authorization", "")
    if authorization.startswith(_BEARER):
        try:
            return services.tokens.verify(authorization.removeprefix(_BEARER).strip())
        except InvalidToken as error:
            raise Refused(401, f"Authentication failed: {error}") from error
    scope = request.headers.get("scope") or request.query_params.get("scope")
    if scope:
        return Principal(Tenant(scope), _PUBLIC_EMAIL, PUBLIC)
    raise Refused(401, "Authentication failed: no bearer token in the Authorization header")
