"""The endpoints of subscriptions (faces.md 4.2, E-20)."""

from dataclasses import dataclass
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response

from rs_order.contracts.event_bodies import EVENTS, EventDto
from rs_order.contracts.subscription_bodies import (
    AcknowledgeRequest,
    SubscriptionChange,
    SubscriptionDto,
    SubscriptionList,
    SubscriptionRequest,
)
from rs_order.core.errors import UnknownSubscription
from rs_order.domain.events import types_of
from rs_order.domain.identity import Caller
from rs_order.domain.ids import OrderId
from rs_order.domain.subscriptions import Subscription, SubscriptionScope
from rs_order.events.feed import EventFeed
from rs_order.events.reading import LogReader, events_answer
from rs_order.events.subscriptions import ManageSubscriptions, WantedEvents
from rs_order.rest.access import Access, is_administrator, is_system
from rs_order.rest.addresses import base_address, expand
from rs_order.rest.answers import json_answer
from rs_order.rest.conditional import preferred_wait
from rs_order.rest.errors import ACCESS_DENIED, HttpError
from rs_order.rest.keyed_requests import KeyedAnswers
from rs_order.rest.resources import (
    ACKNOWLEDGE_EVENTS,
    ADD_SUBSCRIPTION,
    CHANGE_SUBSCRIPTION,
    GET_SUBSCRIPTION,
    LIST_SUBSCRIBED_EVENTS,
    LIST_SUBSCRIPTIONS,
    REMOVE_SUBSCRIPTION,
)
from rs_order.rest.routing import BAD_BODY, AuthorisedCaller, Endpoints
from rs_order.store.events import EventFilter, EventLog
from rs_order.store.subscriptions import SubscriptionViews

PAGE_SIZE: Final = 100
LARGEST_PAGE: Final = 1000

SubscriptionId = Annotated[
    UUID, Path(alias="subscriptionId", examples=["5e0c7a52-6f0e-4a5b-8f39-3b1f6f6a8d10"])
]
_UNKNOWN: Final = {
    400: "A parameter can't be read (`malformed-request`)",
    404: "The caller has no such subscription (`unknown-subscription`), or the project isn't served",
}


@dataclass(frozen=True, slots=True)
class SubscriptionServices:
    """Manages subscriptions, and reads the events they are about."""

    manage: ManageSubscriptions
    views: SubscriptionViews
    log: EventLog
    feed: EventFeed
    keyed: KeyedAnswers


def subscriptions_router(access: Access, services: SubscriptionServices) -> APIRouter:
    endpoints = Endpoints(access, tag="events", problems=True, keyed=services.keyed)
    _serve_adding(endpoints, services)
    _serve_reading(endpoints, services)
    _serve_changes(endpoints, services)
    _serve_events(endpoints, services)
    return endpoints.router


def _serve_adding(endpoints: Endpoints, services: SubscriptionServices) -> None:
    @endpoints.serve(
        ADD_SUBSCRIPTION,
        success=201,
        model=SubscriptionDto,
        responses={
            **BAD_BODY,
            404: "The caller has no such order, or the project isn't served; nothing was changed",
            409: "The caller or the project has too many subscriptions (`too-many-subscriptions`)",
        },
        creates=True,
    )
    async def add_subscription(
        request: Request, caller: AuthorisedCaller, wanted: SubscriptionRequest
    ) -> Response:
        """Subscribe to events. The first one is the next that happens.

        The scope `tenant` is for administrators and services.
        """
        if wanted.scope is SubscriptionScope.TENANT:
            _require_all_orders(caller)
        events = WantedEvents(
            wanted.scope,
            None if wanted.order_id is None else OrderId(wanted.order_id),
            wanted.types,
            wanted.label,
        )
        added = await services.manage.add(caller, events, any_order=_reads_all(caller))
        answer = json_answer(request, SubscriptionDto.of(added).to_wire(), 201)
        path = expand(GET_SUBSCRIPTION.template, {"subscriptionId": str(added.id)})
        answer.headers["Location"] = base_address(request) + path
        return answer


def _serve_reading(endpoints: Endpoints, services: SubscriptionServices) -> None:
    @endpoints.serve(LIST_SUBSCRIPTIONS, model=SubscriptionList)
    async def list_subscriptions(request: Request, caller: AuthorisedCaller) -> Response:
        """The caller's subscriptions; administrators get those of the project. The newest comes first."""
        owner = None if is_administrator(caller) else caller.email
        found = await services.views.list(caller.tenant, owner)
        content = SubscriptionList(subscriptions=[SubscriptionDto.of(one) for one in found])
        return json_answer(request, content.to_wire())

    @endpoints.serve(GET_SUBSCRIPTION, model=SubscriptionDto, responses=_UNKNOWN)
    async def get_subscription(
        request: Request, caller: AuthorisedCaller, subscription_id: SubscriptionId
    ) -> Response:
        """A subscription, and the position up to which its events were acknowledged."""
        found = await _subscription(services, caller, subscription_id)
        return json_answer(request, SubscriptionDto.of(found).to_wire())


def _serve_changes(endpoints: Endpoints, services: SubscriptionServices) -> None:
    @endpoints.serve(CHANGE_SUBSCRIPTION, model=SubscriptionDto, responses={**_UNKNOWN, **BAD_BODY})
    async def change_subscription(
        request: Request,
        caller: AuthorisedCaller,
        subscription_id: SubscriptionId,
        wanted: SubscriptionChange,
    ) -> Response:
        """Replace the types and the label. The position stays."""
        found = await _subscription(services, caller, subscription_id)
        changed = await services.manage.change(
            caller, found.id, types=wanted.types, label=wanted.label
        )
        return json_answer(request, SubscriptionDto.of(changed).to_wire())

    @endpoints.serve(REMOVE_SUBSCRIPTION, success=204, responses=_UNKNOWN)
    async def remove_subscription(
        caller: AuthorisedCaller, subscription_id: SubscriptionId
    ) -> Response:
        """End a subscription. The events stay in the log."""
        found = await _subscription(services, caller, subscription_id)
        await services.manage.remove(caller, found.id)
        return Response(status_code=204)


def _serve_events(endpoints: Endpoints, services: SubscriptionServices) -> None:
    @endpoints.serve(
        LIST_SUBSCRIBED_EVENTS,
        model=list[EventDto],
        media_type=EVENTS,
        responses={
            **_UNKNOWN,
            410: "Events that weren't acknowledged are deleted (`position-gone`)",
        },
    )
    async def list_subscribed_events(
        request: Request,
        caller: AuthorisedCaller,
        subscription_id: SubscriptionId,
        limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = PAGE_SIZE,
    ) -> Response:
        """The events that aren't acknowledged yet, the oldest first.

        `rs-order-position` has the position to acknowledge when they are handled. With `Prefer: wait=45` the
        response comes as soon as there is an event, and after 45 s without one.
        """
        found = await _subscription(services, caller, subscription_id)
        reader = LogReader(
            services.log, services.feed, caller.tenant, _filter(caller, found), limit
        )
        return events_answer(*await reader.read_or_wait(found.position, preferred_wait(request)))

    @endpoints.serve(
        ACKNOWLEDGE_EVENTS,
        model=SubscriptionDto,
        responses={
            **_UNKNOWN,
            **BAD_BODY,
            422: "The log has no such position (`invalid-input`); nothing was changed",
        },
    )
    async def acknowledge_events(
        request: Request,
        caller: AuthorisedCaller,
        subscription_id: SubscriptionId,
        wanted: AcknowledgeRequest,
    ) -> Response:
        """Acknowledge the events up to a position. One that was acknowledged before changes nothing."""
        found = await _subscription(services, caller, subscription_id)
        moved = await services.manage.acknowledge(caller, found.id, wanted.position)
        return json_answer(request, SubscriptionDto.of(moved).to_wire())


async def _subscription(
    services: SubscriptionServices, caller: Caller, subscription_id: UUID
) -> Subscription:
    """Return a subscription of the caller, or of anybody in the project for an administrator.

    Raises:
        UnknownSubscription: the caller has none with this id.
    """
    found = await services.views.find(caller.tenant, subscription_id)
    if found is None or (found.owner != caller.email and not is_administrator(caller)):
        raise UnknownSubscription(subscription_id)
    return found


def _filter(caller: Caller, subscription: Subscription) -> EventFilter:
    """Return the events of a subscription. What the caller may read is decided at each request.

    Raises:
        HttpError: 403 if the caller may no longer read the orders of others.
    """
    owner: str | None = subscription.owner
    if subscription.scope is SubscriptionScope.TENANT:
        _require_all_orders(caller)
        owner = None
    elif subscription.scope is SubscriptionScope.ORDER and _reads_all(caller):
        owner = None
    types = subscription.types
    return EventFilter(
        owner=owner,
        order_id=subscription.order_id,
        types=None if types is None else types_of(types),
    )


def _require_all_orders(caller: Caller) -> None:
    """Check that the caller may read the events of all orders of the project.

    Raises:
        HttpError: 403 if not.
    """
    if not _reads_all(caller):
        raise HttpError(403, ACCESS_DENIED)


def _reads_all(caller: Caller) -> bool:
    return is_administrator(caller) or is_system(caller)
