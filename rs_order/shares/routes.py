"""The endpoints for the queue, shares and limits: INSTANCE_ADMIN sees all, PROJECT_ADMIN their project."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from rs_order.contracts.platform_names import INSTANCE_ADMIN
from rs_order.contracts.share_bodies import (
    LimitRequest,
    LimitsDto,
    QueueDto,
    ShareDto,
    SharesDto,
    WeightRequest,
)
from rs_order.contracts.wire import Text
from rs_order.core.errors import NotFound
from rs_order.domain.identity import Caller
from rs_order.domain.ids import Tenant
from rs_order.domain.shares import CapacityQueue, LimitKind, ShareKind
from rs_order.rest.access import Access, audit_actor, is_served, require_own_tenant
from rs_order.rest.answers import json_answer
from rs_order.rest.errors import ACCESS_DENIED, HttpError
from rs_order.rest.resources import (
    CHANGE_LIMIT,
    CHANGE_SHARE,
    LIST_LIMITS,
    LIST_SHARES,
    PREVIEW_LIMIT,
    PREVIEW_SHARE,
    SHOW_QUEUE,
)
from rs_order.rest.routing import BAD_BODY, AuthorisedCaller, Endpoints
from rs_order.shares.limits import ManageLimits, NewLimit
from rs_order.shares.weights import ManageShares, NewWeight

_UNKNOWN = {404: "The project isn't served here; nothing was changed"}
_REJECTED = {**BAD_BODY, **_UNKNOWN, 422: "The weight or the reason breaks a rule"}
_REJECTED_LIMIT = {**BAD_BODY, **_UNKNOWN, 422: "The limit or the reason breaks a rule"}


def shares_router(access: Access, shares: ManageShares, limits: ManageLimits) -> APIRouter:
    """Return the endpoints that show the queue, and show, change and preview weights and limits."""
    endpoints = Endpoints(access, tag="shares", problems=True)
    _serve_shares(endpoints, access, shares)
    _serve_limits(endpoints, access, shares, limits)
    return endpoints.router


def _serve_shares(endpoints: Endpoints, access: Access, shares: ManageShares) -> None:

    @endpoints.serve(SHOW_QUEUE, model=QueueDto)
    async def show_queue(request: Request, caller: AuthorisedCaller) -> Response:
        """Return the capacity of the service and who starts next; users of other projects have no name."""
        return _queue(request, caller, await shares.queue())

    @endpoints.serve(LIST_SHARES, model=SharesDto, responses=_UNKNOWN)
    async def list_shares(
        request: Request,
        caller: AuthorisedCaller,
        tenant: Annotated[Text | None, Query(description="Absent: the caller's project.")] = None,
    ) -> Response:
        """Return the weights and recent uses of a project."""
        of = await _reachable(access, caller, tenant)
        found = [ShareDto.of(share) for share in await shares.list(of)]
        return json_answer(request, SharesDto(tenant=of, shares=found).to_wire())

    @endpoints.serve(CHANGE_SHARE, model=QueueDto, responses=_REJECTED)
    async def change_share(
        request: Request, caller: AuthorisedCaller, wanted: WeightRequest
    ) -> Response:
        """Set a weight. The response is the queue with it."""
        new = await _new_weight(access, caller, wanted)
        await shares.change(new, reason=wanted.reason, by=audit_actor(caller))
        return _queue(request, caller, await shares.queue())

    @endpoints.serve(PREVIEW_SHARE, model=QueueDto, responses=_REJECTED)
    async def preview_share(
        request: Request, caller: AuthorisedCaller, wanted: WeightRequest
    ) -> Response:
        """Return the queue as it would be with a weight. Nothing is changed."""
        new = await _new_weight(access, caller, wanted)
        return _queue(request, caller, await shares.preview(new))


def _serve_limits(
    endpoints: Endpoints, access: Access, shares: ManageShares, limits: ManageLimits
) -> None:
    @endpoints.serve(LIST_LIMITS, model=LimitsDto, responses=_UNKNOWN)
    async def list_limits(
        request: Request,
        caller: AuthorisedCaller,
        tenant: Annotated[Text | None, Query(description="Absent: the caller's project.")] = None,
    ) -> Response:
        """Return the limits of what is in flight at storage that concern a project."""
        found = await limits.show(await _reachable(access, caller, tenant))
        return json_answer(request, LimitsDto.of(found).to_wire())

    @endpoints.serve(CHANGE_LIMIT, model=QueueDto, responses=_REJECTED_LIMIT)
    async def change_limit(
        request: Request, caller: AuthorisedCaller, wanted: LimitRequest
    ) -> Response:
        """Set the limits of a project, or of each of its users. The response is the queue with them."""
        new = await _new_limit(access, caller, wanted)
        await limits.change(new, reason=wanted.reason, by=audit_actor(caller))
        return _queue(request, caller, await shares.queue())

    @endpoints.serve(PREVIEW_LIMIT, model=QueueDto, responses=_REJECTED_LIMIT)
    async def preview_limit(
        request: Request, caller: AuthorisedCaller, wanted: LimitRequest
    ) -> Response:
        """Return the queue as it would be with limits. Nothing is changed."""
        new = await _new_limit(access, caller, wanted)
        return _queue(request, caller, await limits.preview(new))


async def _new_limit(access: Access, caller: Caller, wanted: LimitRequest) -> NewLimit:
    """Return the limit that a caller may set.

    Raises:
        HttpError: 403 if the caller may not: only INSTANCE_ADMIN sets the limits of a project.
    """
    tenant = await _reachable(access, caller, wanted.tenant)
    if wanted.kind is LimitKind.TENANT and caller.role != INSTANCE_ADMIN:
        raise HttpError(403, ACCESS_DENIED)
    return NewLimit.of(tenant, wanted.kind, wanted.limit)


async def _new_weight(access: Access, caller: Caller, wanted: WeightRequest) -> NewWeight:
    """Return the weight that a caller may set.

    Raises:
        HttpError: 403 if the caller may not: only INSTANCE_ADMIN sets the weight of a project.
    """
    tenant = await _reachable(access, caller, wanted.tenant)
    new = NewWeight.of(tenant, user=wanted.user, role=wanted.role, weight=wanted.weight)
    if new.kind is ShareKind.TENANT and caller.role != INSTANCE_ADMIN:
        raise HttpError(403, ACCESS_DENIED)
    return new


async def _reachable(access: Access, caller: Caller, tenant: str | None) -> Tenant:
    """Return a tenant that is served and that the caller may act on; None: the caller's.

    Raises:
        HttpError: 403 if the caller may not act on it.
        NotFound: it isn't served here.
    """
    name = caller.tenant if tenant is None else tenant
    require_own_tenant(caller, name)
    if not await is_served(access, name):
        raise NotFound(f"There is no project {name} here")
    return Tenant(name)


def _queue(request: Request, caller: Caller, queue: CapacityQueue) -> Response:
    tenant = None if caller.role == INSTANCE_ADMIN else caller.tenant
    return json_answer(request, QueueDto.of(queue, tenant).to_wire())
