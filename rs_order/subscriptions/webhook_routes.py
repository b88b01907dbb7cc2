"""The endpoints that only webhooks have (faces.md 4.2, E-14, E-19)."""

from datetime import timedelta
from typing import Annotated, Final
from uuid import UUID

from fastapi import Path, Query, Request, Response

from rs_order.contracts.subscription_bodies import (
    DeliveryDto,
    DeliveryList,
    ReplayDto,
    ReplayRequest,
    SecretDto,
    WebhookTestDto,
)
from rs_order.contracts.wire import INT64
from rs_order.core.errors import NoWebhook, UnknownSubscription
from rs_order.domain.events import types_of
from rs_order.domain.identity import Caller
from rs_order.domain.subscriptions import Subscription
from rs_order.domain.webhooks import LONGEST_OVERLAP, DeliveryState, Outcome, outcome_of
from rs_order.rest.access import is_administrator
from rs_order.rest.addresses import base_address, expand
from rs_order.rest.answers import json_answer
from rs_order.rest.problems import RETRY_SECONDS
from rs_order.rest.resources import (
    CHANGE_SECRET,
    LIST_DELIVERIES,
    REPLAY_EVENTS,
    TEST_WEBHOOK,
)
from rs_order.rest.routing import BAD_BODY, AuthorisedCaller, Endpoints
from rs_order.store.subscriptions import SubscriptionViews
from rs_order.store.webhooks import Delivery, WantedReplay, WebhookViews
from rs_order.subscriptions.verification import answer_of
from rs_order.subscriptions.webhooks import ManageWebhooks

PAGE_SIZE: Final = 100
LARGEST_PAGE: Final = 1000

SubscriptionId = Annotated[
    UUID, Path(alias="subscriptionId", examples=["5e0c7a52-6f0e-4a5b-8f39-3b1f6f6a8d10"])
]
UNKNOWN: Final = {
    400: "A parameter can't be read (`malformed-request`)",
    404: "The caller has no such subscription (`unknown-subscription`), or the project isn't served",
}
REJECTED_WEBHOOK: Final = (
    "This deployment has no webhooks (`webhooks-off`), nothing may be sent to the URL "
    "(`address-not-allowed`), the receiver didn't agree (`webhook-not-verified`), or the subscription is no "
    "webhook (`other-kind`)"
)


def serve_webhooks(
    endpoints: Endpoints,
    webhooks: ManageWebhooks,
    views: SubscriptionViews,
    deliveries: WebhookViews,
) -> None:
    """Add the endpoints."""

    @endpoints.serve(
        TEST_WEBHOOK, model=WebhookTestDto, responses={**UNKNOWN, 422: REJECTED_WEBHOOK}
    )
    async def test_webhook(
        request: Request, caller: AuthorisedCaller, subscription_id: SubscriptionId
    ) -> Response:
        """Send an event `webhook.test` now, and return what came back.

        A webhook whose receiver hasn't agreed yet gets events if this one is answered with 2xx.
        """
        found = await _webhook_of(views, caller, subscription_id)
        received = await webhooks.test(caller.tenant, found.id)
        result = WebhookTestDto(
            delivered=outcome_of(received.status) is Outcome.DELIVERED,
            status=received.status,
            answer=answer_of(received),
        )
        return json_answer(request, result.to_wire())

    @endpoints.serve(CHANGE_SECRET, model=SecretDto, responses={**UNKNOWN, 422: REJECTED_WEBHOOK})
    async def change_secret(
        request: Request,
        caller: AuthorisedCaller,
        subscription_id: SubscriptionId,
        overlap: Annotated[
            timedelta,
            Query(
                ge=timedelta(),
                le=LONGEST_OVERLAP,
                description="How long requests are signed with the present secret, too.",
                examples=["PT24H"],
            ),
        ] = timedelta(hours=24),
    ) -> Response:
        """Return a new secret. It is shown only once."""
        found = await _webhook_of(views, caller, subscription_id)
        secret, until = await webhooks.rotate(caller.tenant, found.id, overlap)
        answer = SecretDto(secret=secret.shown(), old_secret_until=until)
        return json_answer(request, answer.to_wire())

    @endpoints.serve(
        REPLAY_EVENTS,
        success=202,
        model=ReplayDto,
        responses={**UNKNOWN, **BAD_BODY, 422: "The subscription is no webhook (`other-kind`)"},
    )
    async def replay_events(
        request: Request,
        caller: AuthorisedCaller,
        subscription_id: SubscriptionId,
        wanted: ReplayRequest,
    ) -> Response:
        """Send events again, with the same ids and bodies, and with `rs-order-replay: true`."""
        found = await _webhook_of(views, caller, subscription_id)
        replay = WantedReplay(
            from_position=wanted.from_position or 1,
            since=wanted.since,
            until=wanted.until,
            types=None if wanted.types is None else types_of(wanted.types),
            only_dead=wanted.only_dead,
        )
        replayed = await webhooks.replay(caller.tenant, found.id, replay)
        following = None if replayed.next is None else str(replayed.next)
        content = ReplayDto(events=replayed.events, next=following)
        answer = json_answer(request, content.to_wire(), 202)
        path = expand(LIST_DELIVERIES.template, {"subscriptionId": str(found.id)})
        answer.headers["Location"] = base_address(request) + path
        answer.headers["Retry-After"] = str(RETRY_SECONDS)
        return answer

    @endpoints.serve(
        LIST_DELIVERIES,
        model=DeliveryList,
        responses={**UNKNOWN, 422: "The subscription is no webhook (`other-kind`)"},
    )
    async def list_deliveries(
        request: Request,
        caller: AuthorisedCaller,
        subscription_id: SubscriptionId,
        *,
        state: DeliveryState | None = None,
        limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = PAGE_SIZE,
        token: Annotated[
            int | None, Query(ge=0, le=INT64, description="That of the page before.")
        ] = None,
    ) -> Response:
        """The events for a webhook, the newest first, each with the last attempt to deliver it."""
        found = await _webhook_of(views, caller, subscription_id)
        rows = await deliveries.deliveries(
            caller.tenant, found.id, state=state, before=token, limit=limit
        )
        page = DeliveryList(
            deliveries=[_shown(one) for one in rows],
            token=str(rows[-1].position) if len(rows) == limit else None,
        )
        return json_answer(request, page.to_wire())


async def subscription_of(
    views: SubscriptionViews, caller: Caller, subscription_id: UUID
) -> Subscription:
    """Return a subscription of the caller, or of anybody in the project for an administrator.

    Raises:
        UnknownSubscription: the caller has none with this id.
    """
    found = await views.find(caller.tenant, subscription_id)
    if found is None or (found.owner != caller.email and not is_administrator(caller)):
        raise UnknownSubscription(subscription_id)
    return found


async def _webhook_of(
    views: SubscriptionViews, caller: Caller, subscription_id: UUID
) -> Subscription:
    """Return a webhook of the caller, as `subscription_of`.

    Raises:
        UnknownSubscription: the caller has none with this id.
        NoWebhook: it is no webhook.
    """
    found = await subscription_of(views, caller, subscription_id)
    if found.webhook is None:
        raise NoWebhook(found.id, is_webhook=False)
    return found


def _shown(delivery: Delivery) -> DeliveryDto:
    return DeliveryDto(
        position=str(delivery.position),
        event_id=str(delivery.event_id),
        type=delivery.type,
        order_id=delivery.order_id,
        state=delivery.state,
        due=delivery.due_at,
        attempts=delivery.attempts,
        replay=delivery.is_replay,
        delivery=None if delivery.attempt_id is None else str(delivery.attempt_id),
        attempted=delivery.attempted_at,
        status=delivery.status,
        answer=delivery.answer,
    )
