"""The endpoints for holds: INSTANCE_ADMIN holds anything, PROJECT_ADMIN what belongs to their project."""

from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Request, Response

from rs_order.contracts.hold_bodies import HoldDto, HoldPage, HoldRequest
from rs_order.contracts.platform_names import INSTANCE_ADMIN
from rs_order.contracts.share_bodies import QueueDto
from rs_order.contracts.wire import INT64, Entity, Text
from rs_order.core.errors import NotFound, UnknownHold
from rs_order.domain.holds import HeldThing
from rs_order.domain.identity import Caller
from rs_order.domain.ids import OrderId, Tenant
from rs_order.holds.holding import HoldWork
from rs_order.rest.access import Access, audit_actor, is_served, may_reach, require_own_tenant
from rs_order.rest.addresses import own_address
from rs_order.rest.answers import entity, json_answer
from rs_order.rest.resources import BEGIN_HOLD, END_HOLD, LIST_HOLDS, PREVIEW_HOLD
from rs_order.rest.routing import BAD_BODY, AuthorisedCaller, Endpoints
from rs_order.store.holds import HoldViews

PAGE_SIZE: Final = 100
LARGEST_PAGE: Final = 1000

_REJECTED: Final = {
    **BAD_BODY,
    404: "The project isn't served here, or it has no such user or order; nothing was changed",
    422: "The reason, the end or what to hold breaks a rule; nothing was changed",
}

HoldId = Annotated[int, Path(alias="holdId", ge=1, le=INT64, examples=[7])]


@dataclass(frozen=True, slots=True)
class HoldServices:
    """Begins and ends holds, and reads them."""

    work: HoldWork
    views: HoldViews


def holds_router(access: Access, holds: HoldServices) -> APIRouter:
    """Return the endpoints that list, begin and end holds."""
    endpoints = Endpoints(access, tag="holds", problems=True)
    _serve_list(endpoints, holds.views)
    _serve_begin(endpoints, access, holds.work)
    _serve_end(endpoints, access, holds)
    return endpoints.router


def _serve_list(endpoints: Endpoints, views: HoldViews) -> None:
    @endpoints.serve(LIST_HOLDS, model=HoldPage, responses={400: "A parameter can't be read"})
    async def list_holds(
        request: Request,
        caller: AuthorisedCaller,
        tenant: Annotated[Text | None, Query(description="A project.")] = None,
        size: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = PAGE_SIZE,
        after: Annotated[
            int, Query(ge=0, le=INT64, description="Id of the last hold of the page before.")
        ] = 0,
    ) -> Response:
        """Return a page of holds, the oldest first. The link `next` leads to later ones."""
        if tenant is not None:
            require_own_tenant(caller, tenant)
        elif caller.role != INSTANCE_ADMIN:
            tenant = caller.tenant
        found = await views.list(tenant, limit=size, after=after)
        links = []
        if len(found) == size:
            following = own_address(request).include_query_params(after=found[-1].id)
            links = [{"rel": "next", "href": str(following.remove_query_params("token"))}]
        content = [HoldDto.of(hold).to_wire() for hold in found]
        return json_answer(request, {"content": content, "links": links})


def _serve_begin(endpoints: Endpoints, access: Access, work: HoldWork) -> None:
    @endpoints.serve(
        BEGIN_HOLD,
        success=201,
        model=Entity[HoldDto],
        responses=_REJECTED,
    )
    async def begin_hold(
        request: Request, caller: AuthorisedCaller, wanted: HoldRequest
    ) -> Response:
        """Hold a project, a user or an order. What storage was asked for goes on."""
        held = await _held(access, caller, wanted)
        by = audit_actor(caller)
        hold = await work.begin(held, reason=wanted.reason, until=wanted.until, by=by)
        return json_answer(request, entity(HoldDto.of(hold)), 201)

    @endpoints.serve(PREVIEW_HOLD, model=QueueDto, responses=_REJECTED)
    async def preview_hold(
        request: Request, caller: AuthorisedCaller, wanted: HoldRequest
    ) -> Response:
        """Return who would start next if there were a hold. Nothing is changed."""
        held = await _held(access, caller, wanted)
        queue = await work.preview(held, reason=wanted.reason, until=wanted.until)
        tenant = None if caller.role == INSTANCE_ADMIN else caller.tenant
        return json_answer(request, QueueDto.of(queue, tenant).to_wire())


def _serve_end(endpoints: Endpoints, access: Access, holds: HoldServices) -> None:
    @endpoints.serve(
        END_HOLD,
        model=Entity[HoldDto],
        responses={
            400: "A parameter can't be read",
            404: "The caller can see no hold with this id; nothing was changed",
            422: "The reason is too long",
        },
    )
    async def end_hold(
        request: Request,
        caller: AuthorisedCaller,
        hold_id: HoldId,
        reason: Annotated[Text | None, Query(description="Why it ends now.")] = None,
    ) -> Response:
        """End a hold before its time. What it held is scheduled at once."""
        found = await holds.views.find(hold_id)
        if found is None or not may_reach(caller, found.held.tenant):
            raise UnknownHold(hold_id)
        tenant = await _reachable(access, caller, found.held.tenant)
        hold = await holds.work.end(tenant, hold_id, reason=reason, by=audit_actor(caller))
        return json_answer(request, entity(HoldDto.of(hold)))


async def _held(access: Access, caller: Caller, wanted: HoldRequest) -> HeldThing:
    """Return what a caller may hold."""
    tenant = await _reachable(access, caller, wanted.tenant or caller.tenant)
    order = None if wanted.order_id is None else OrderId(wanted.order_id)
    return HeldThing(tenant, wanted.user, order)


async def _reachable(access: Access, caller: Caller, tenant: str) -> Tenant:
    """Return a tenant that is served and that the caller may act on.

    Raises:
        HttpError: 403 if the caller may not act on it.
        NotFound: it isn't served here.
    """
    require_own_tenant(caller, tenant)
    if not await is_served(access, tenant):
        raise NotFound(f"There is no project {tenant} here")
    return Tenant(tenant)
