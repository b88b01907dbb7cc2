"""The endpoints of subscriptions of both kinds (faces.md 4.2, E-20)."""

from dataclasses import dataclass
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from rs_order.contracts.event_bodies import EVENTS, EventDto
from rs_order.contracts.subscription_bodies import (
    AcknowledgeRequest,
    SubscriptionChange,
    SubscriptionDto,
    SubscriptionList,
    SubscriptionRequest,
)
from rs_order.core.errors import NoWebhook
from rs_order.domain.events import types_of
from rs_order.domain.identity import Caller
from rs_order.domain.ids import OrderId
from rs_order.domain.subscriptions import Subscription, SubscriptionScope
from rs_order.domain.webhooks import WebhookMode, WebhookSecret
from rs_order.events.feed import EventFeed
from rs_order.events.reading import LogReader, events_answer
from rs_order.rest.access import Access, is_administrator, is_system
from rs_order.rest.addresses import base_address, expand
from rs_order.rest.answers import json_answer
from rs_order.rest.conditional import preferred_wait
from rs_order.rest.errors import ACCESS_DENIED, HttpError
from rs_order.rest.keyed_requests import AnswerWithSecret, KeyedAnswers
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
from rs_order.store.webhooks import WebhookViews
from rs_order.subscriptions.manage import ManageSubscriptions, WantedEvents
from rs_order.subscriptions.webhook_routes import (
    LARGEST_PAGE,
    PAGE_SIZE,
    REJECTED_WEBHOOK,
    UNKNOWN,
    SubscriptionId,
    serve_webhooks,
    subscription_of,
)
from rs_order.subscriptions.webhooks import ManageWebhooks, Rights, WantedWebhook, WebhookChange

Verification = Annotated[
    Literal["now"] | None,
    Query(
        description="Ask the receiver of a webhook now, and change nothing if it doesn't agree. Absent: it "
        "is asked soon, and once an hour for a day.",
    ),
]


@dataclass(frozen=True, slots=True)
class SubscriptionServices:
    """Manages subscriptions, and reads the events and deliveries they are about."""

    manage: ManageSubscriptions
    webhooks: ManageWebhooks
    views: SubscriptionViews
    deliveries: WebhookViews
    log: EventLog
    feed: EventFeed
    keyed: KeyedAnswers


def subscriptions_router(access: Access, services: SubscriptionServices) -> APIRouter:
    endpoints = Endpoints(access, tag="events", problems=True, keyed=services.keyed)
    _serve_adding(endpoints, services)
    _serve_reading(endpoints, services)
    _serve_changes(endpoints, services)
    _serve_events(endpoints, services)
    serve_webhooks(endpoints, services.webhooks, services.views, services.deliveries)
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
            422: REJECTED_WEBHOOK,
        },
        creates=True,
    )
    async def add_subscription(
        request: Request,
        caller: AuthorisedCaller,
        wanted: SubscriptionRequest,
        verify: Verification = None,
    ) -> Response:
        """Subscribe to events. The first one is the next that happens.

        The scope `tenant` is for administrators and services. A webhook gets events when its receiver has
        agreed: it answers OPTIONS with `WebHook-Allowed-Origin`, or a test event with 2xx. The answer has the
        secret of its signatures, which is shown only once.
        """
        if wanted.scope is SubscriptionScope.TENANT:
            _require_all_orders(caller)
        events = WantedEvents(
            wanted.scope,
            None if wanted.order_id is None else OrderId(wanted.order_id),
            wanted.types,
            wanted.label,
        )
        if wanted.url is None:
            added = await services.manage.add(caller, events, any_order=_reads_all(caller))
            return _created(request, SubscriptionDto.of(added))
        webhook = WantedWebhook(
            events, wanted.thresholds, wanted.url, wanted.mode or WebhookMode.STRUCTURED
        )
        rights = Rights(any_order=_reads_all(caller), any_host=_reads_all(caller))
        added_id, secret = await services.webhooks.add(
            caller, webhook, rights, verify_now=verify == "now"
        )
        found = await subscription_of(services.views, caller, added_id)
        return _created(request, SubscriptionDto.of(found), secret)


def _created(
    request: Request, made: SubscriptionDto, secret: WebhookSecret | None = None
) -> Response:
    """Return the answer about a new subscription. The secret isn't kept for a repetition of the request."""
    answer = json_answer(request, made.to_wire(), 201)
    if secret is not None:
        shown = json_answer(request, {**made.to_wire(), "secret": secret.shown()}, 201)
        answer = AnswerWithSecret(shown, kept=answer)
    path = expand(GET_SUBSCRIPTION.template, {"subscriptionId": made.id})
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

    @endpoints.serve(GET_SUBSCRIPTION, model=SubscriptionDto, responses=UNKNOWN)
    async def get_subscription(
        request: Request, caller: AuthorisedCaller, subscription_id: SubscriptionId
    ) -> Response:
        """A subscription, and the position up to which its events were acknowledged or delivered."""
        found = await subscription_of(services.views, caller, subscription_id)
        return json_answer(request, SubscriptionDto.of(found).to_wire())


def _serve_changes(endpoints: Endpoints, services: SubscriptionServices) -> None:
    @endpoints.serve(
        CHANGE_SUBSCRIPTION,
        model=SubscriptionDto,
        responses={**UNKNOWN, **BAD_BODY, 422: REJECTED_WEBHOOK},
    )
    async def change_subscription(
        request: Request,
        caller: AuthorisedCaller,
        subscription_id: SubscriptionId,
        wanted: SubscriptionChange,
        verify: Verification = None,
    ) -> Response:
        """Replace the types and the label, and of a webhook also the thresholds. The position stays.

        A webhook with a new `url`, and one that is enabled again, gets events when its receiver has agreed.
        """
        found = await subscription_of(services.views, caller, subscription_id)
        if found.webhook is None:
            _require_no_members_of_webhooks(found, wanted)
            changed = await services.manage.change(
                caller, found.id, types=wanted.types, label=wanted.label
            )
            return json_answer(request, SubscriptionDto.of(changed).to_wire())
        change = WebhookChange(
            types=wanted.types,
            label=wanted.label,
            thresholds=wanted.thresholds,
            url=wanted.url,
            enabled=wanted.enabled,
            replay_from=wanted.replay_from,
        )
        await services.webhooks.change(
            caller, found, change, any_host=_reads_all(caller), verify_now=verify == "now"
        )
        found = await subscription_of(services.views, caller, subscription_id)
        return json_answer(request, SubscriptionDto.of(found).to_wire())

    @endpoints.serve(REMOVE_SUBSCRIPTION, success=204, responses=UNKNOWN)
    async def remove_subscription(
        caller: AuthorisedCaller, subscription_id: SubscriptionId
    ) -> Response:
        """End a subscription. The events stay in the log."""
        found = await subscription_of(services.views, caller, subscription_id)
        await services.manage.remove(caller, found.id)
        return Response(status_code=204)


def _serve_events(endpoints: Endpoints, services: SubscriptionServices) -> None:
    @endpoints.serve(
        LIST_SUBSCRIBED_EVENTS,
        model=list[EventDto],
        media_type=EVENTS,
        responses={
            **UNKNOWN,
            410: "Events that weren't acknowledged are deleted (`position-gone`)",
            422: "The subscription is a webhook (`other-kind`)",
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
        found = await _pulled(services, caller, subscription_id)
        reader = LogReader(
            services.log, services.feed, caller.tenant, _filter(caller, found), limit
        )
        return events_answer(*await reader.read_or_wait(found.position, preferred_wait(request)))

    @endpoints.serve(
        ACKNOWLEDGE_EVENTS,
        model=SubscriptionDto,
        responses={
            **UNKNOWN,
            **BAD_BODY,
            422: "The log has no such position (`invalid-input`), or the subscription is a webhook "
            "(`other-kind`); nothing was changed",
        },
    )
    async def acknowledge_events(
        request: Request,
        caller: AuthorisedCaller,
        subscription_id: SubscriptionId,
        wanted: AcknowledgeRequest,
    ) -> Response:
        """Acknowledge the events up to a position. One that was acknowledged before changes nothing."""
        found = await _pulled(services, caller, subscription_id)
        moved = await services.manage.acknowledge(caller, found.id, wanted.position)
        return json_answer(request, SubscriptionDto.of(moved).to_wire())


async def _pulled(
    services: SubscriptionServices, caller: Caller, subscription_id: UUID
) -> Subscription:
    """Return a subscription whose client reads its events.

    Raises:
        UnknownSubscription: as of `subscription_of`.
        NoWebhook: it is a webhook.
    """
    found = await subscription_of(services.views, caller, subscription_id)
    if found.webhook is not None:
        raise NoWebhook(found.id, is_webhook=True)
    return found


def _require_no_members_of_webhooks(found: Subscription, wanted: SubscriptionChange) -> None:
    if (wanted.url, wanted.thresholds, wanted.enabled, wanted.replay_from) != (None,) * 4:
        raise NoWebhook(found.id, is_webhook=False)


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
