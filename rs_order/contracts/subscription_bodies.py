"""Bodies of subscriptions to events (faces.md 4.2, 4.3, E-20). The reference has no such endpoints."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from rs_order.contracts.wire import INT64, Instant, Long, Text, WireModel
from rs_order.domain.events import THRESHOLDS, types_of
from rs_order.domain.subscriptions import (
    FailedAttempt,
    Subscription,
    SubscriptionScope,
    Webhook,
)
from rs_order.domain.webhooks import (
    LONGEST_URL,
    DeliveryState,
    Disabled,
    WebhookMode,
    WebhookState,
)

LONGEST_LABEL = 100
MOST_TYPES = 50

SubscriptionKind = Literal["pull", "webhook"]


def _known_types(types: list[str]) -> list[str]:
    types_of(types)
    return types


def _known_thresholds(thresholds: list[int]) -> list[int]:
    if unknown := sorted(set(thresholds) - set(THRESHOLDS)):
        raise ValueError(f"there is no threshold {unknown[0]}; there are {THRESHOLDS}")
    return thresholds


Types = Annotated[
    list[Annotated[str, Field(max_length=LONGEST_LABEL)]],
    Field(
        min_length=1,
        max_length=MOST_TYPES,
        description="Only these types, without prefix; a trailing `*` stands for any end. Absent: all.",
        examples=[["order.*", "suborder.ready"]],
    ),
    AfterValidator(_known_types),
]
Thresholds = Annotated[
    list[int],
    Field(
        max_length=len(THRESHOLDS),
        description="Of a webhook: only these thresholds of `order.progress`. Absent: all.",
        examples=[[75]],
    ),
    AfterValidator(_known_thresholds),
]
Label = Annotated[Text, Field(max_length=LONGEST_LABEL, examples=["notebook server"])]
Url = Annotated[
    Text,
    Field(
        max_length=LONGEST_URL,
        description="Of a webhook: where the events are sent, by HTTPS.",
        examples=["https://hooks.example.org/rs"],
    ),
]
Position = Annotated[
    str,
    Field(
        description="In the log of the project, of the last event that was handled; of a webhook, up to "
        "which all are delivered or dead.",
        examples=["4711"],
    ),
]


class SubscriptionRequest(WireModel):
    """The events that a client wants to read and acknowledge, or that are sent to a webhook."""

    model_config = ConfigDict(populate_by_name=True, extra="forbid")

    kind: SubscriptionKind = "pull"
    scope: SubscriptionScope = Field(
        SubscriptionScope.MINE,
        description="The orders: the caller's, the one of `orderId`, or all of the project.",
    )
    order_id: Long | None = Field(None, alias="orderId", examples=[12])
    types: Types | None = None
    label: Label | None = None
    url: Url | None = None
    mode: WebhookMode | None = Field(
        None,
        description="Of a webhook: the attributes of an event are in the body (`structured`), or in headers "
        "(`binary`).",
    )
    thresholds: Thresholds | None = None

    @model_validator(mode="after")
    def _order_with_its_scope(self) -> "SubscriptionRequest":
        if (self.order_id is not None) != (self.scope is SubscriptionScope.ORDER):
            raise ValueError("orderId belongs to the scope order, and only to it")
        return self

    @model_validator(mode="after")
    def _members_of_webhooks(self) -> "SubscriptionRequest":
        if (self.url is not None) != (self.kind == "webhook"):
            raise ValueError("url belongs to the kind webhook, and only to it")
        if self.kind != "webhook" and (self.mode is not None or self.thresholds is not None):
            raise ValueError("mode and thresholds belong to the kind webhook")
        return self


class NotifyRequest(WireModel):
    """A webhook that comes with a new order, and gets the events of it alone."""

    model_config = ConfigDict(extra="forbid")

    url: Url
    types: Types | None = None
    label: Label | None = None
    mode: WebhookMode = Field(
        WebhookMode.STRUCTURED,
        description="The attributes of an event are in the body (`structured`), or in headers (`binary`).",
    )
    thresholds: Thresholds | None = None


class NotifyDto(WireModel):
    """The webhook that came with an order."""

    id: UUID = Field(description="Of the subscription.")
    secret: str | None = Field(
        None,
        description="Of the signatures. It is shown only once: a repetition of the request hasn't it.",
        examples=["whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="],
    )


class SubscriptionChange(WireModel):
    """What replaces members of a subscription. Absent types, label or thresholds remove the old value."""

    model_config = ConfigDict(populate_by_name=True, extra="forbid")

    types: Types | None = None
    label: Label | None = None
    thresholds: Thresholds | None = None
    url: Url | None = None
    enabled: bool | None = Field(
        None,
        description="Of a webhook: `false` stops it, `true` starts it again. Absent: as it was.",
    )
    replay_from: Annotated[int, Field(ge=1, le=INT64)] | None = Field(
        None,
        alias="replayFrom",
        description="With `enabled`: the position to go on from. Absent: the first that wasn't delivered.",
        examples=[4711],
    )


class AcknowledgeRequest(WireModel):
    """The last event that was handled."""

    model_config = ConfigDict(extra="forbid")

    position: Annotated[int, Field(ge=0, le=INT64, examples=[4711])]


class FailureDto(WireModel):
    """An attempt that failed."""

    at: Instant
    status: int | None = Field(None, description="Absent: there was no response.", examples=[503])
    answer: str = Field(
        description="The beginning of the response, or why there is none.", examples=["try later"]
    )

    @classmethod
    def of(cls, failure: FailedAttempt) -> "FailureDto":
        return cls(at=failure.at, status=failure.status, answer=failure.answer)


class SubscriptionDto(WireModel):
    """A subscription, and how far its client or its receiver has come."""

    model_config = ConfigDict(populate_by_name=True)

    id: str = Field(examples=["5e0c7a52-6f0e-4a5b-8f39-3b1f6f6a8d10"])
    kind: SubscriptionKind
    owner: str = Field(examples=["jane@example.org"])
    scope: SubscriptionScope
    order_id: int | None = Field(None, alias="orderId", examples=[12])
    types: list[str] | None = Field(None, examples=[["order.*", "suborder.ready"]])
    label: str | None = Field(None, examples=["notebook server"])
    position: Position
    created: Instant
    url: str | None = Field(None, examples=["https://hooks.example.org/rs"])
    mode: WebhookMode | None = None
    thresholds: list[int] | None = Field(None, examples=[[75]])
    state: WebhookState | None = Field(None, description="Of a webhook.")
    disabled_because: Disabled | None = Field(None, alias="disabledBecause")
    allowed_rate: int | None = Field(
        None, alias="allowedRate", description="Requests in a minute, as the receiver asked."
    )
    last_success: Instant | None = Field(None, alias="lastSuccess")
    last_failure: FailureDto | None = Field(None, alias="lastFailure")
    backlog: int | None = Field(None, description="Events that wait.", examples=[12])
    dead: int | None = Field(None, description="Events whose attempts all failed.", examples=[0])
    secret: str | None = Field(
        None,
        description="The key of the signatures. Only the answer to the creation of a webhook has it.",
        examples=["whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="],
    )

    @classmethod
    def of(cls, subscription: Subscription, secret: str | None = None) -> "SubscriptionDto":
        return cls(
            id=str(subscription.id),
            kind="pull" if subscription.webhook is None else "webhook",
            owner=subscription.owner,
            scope=subscription.scope,
            order_id=subscription.order_id,
            types=None if subscription.types is None else list(subscription.types),
            label=subscription.label,
            position=str(subscription.position),
            created=subscription.created_at,
            secret=secret,
            **({} if subscription.webhook is None else _members_of(subscription.webhook)),
        )


def _members_of(webhook: Webhook) -> dict[str, object]:
    failure = webhook.last_failure
    return {
        "url": webhook.url,
        "mode": webhook.mode,
        "thresholds": None if webhook.thresholds is None else list(webhook.thresholds),
        "state": webhook.state,
        "disabled_because": webhook.disabled_because,
        "allowed_rate": webhook.allowed_rate,
        "last_success": webhook.last_success,
        "last_failure": None if failure is None else FailureDto.of(failure),
        "backlog": webhook.backlog,
        "dead": webhook.dead,
    }


class SubscriptionList(WireModel):
    """Subscriptions, the newest first."""

    subscriptions: list[SubscriptionDto]


class WebhookTestDto(WireModel):
    """What came back to the test event of a webhook."""

    delivered: bool
    status: int | None = Field(None, description="Absent: there was no response.", examples=[204])
    answer: str = Field(
        description="The beginning of the response, or why there is none.", examples=["thanks"]
    )


class SecretDto(WireModel):
    """The new secret of a webhook. It is shown once."""

    model_config = ConfigDict(populate_by_name=True)

    secret: str = Field(examples=["whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="])
    old_secret_until: Instant | None = Field(
        None,
        alias="oldSecretUntil",
        description="Until then each request has a second signature, by the secret before.",
    )


class ReplayRequest(WireModel):
    """The events that a webhook gets again, from a position or a time on."""

    model_config = ConfigDict(populate_by_name=True, extra="forbid")

    from_position: Annotated[int, Field(ge=1, le=INT64)] | None = Field(
        None, alias="fromPosition", examples=[4711]
    )
    since: Instant | None = None
    until: Instant | None = None
    types: Types | None = None
    only_dead: bool = Field(
        False, alias="onlyDead", description="Only events whose attempts all failed."
    )

    @model_validator(mode="after")
    def _has_a_beginning(self) -> "ReplayRequest":
        if (self.from_position is None) == (self.since is None):
            raise ValueError("fromPosition or since is needed, and not both")
        return self


class ReplayDto(WireModel):
    """What is sent again."""

    events: int = Field(examples=[132])
    next: str | None = Field(
        None,
        description="The position to go on from, because there may be more. Absent: these were all.",
        examples=["14712"],
    )


class DeliveryDto(WireModel):
    """An event for a webhook, and the last attempt to deliver it."""

    model_config = ConfigDict(populate_by_name=True)

    position: Position
    event_id: str = Field(alias="eventId", examples=["0192f3c1-7e1a-7c3a-9d0a-5a4b7c1d2e3f"])
    type: str = Field(description="Without prefix.", examples=["suborder.ready"])
    order_id: int = Field(alias="orderId", examples=[12])
    state: DeliveryState
    due: Instant | None = Field(
        None,
        description="When it is tried. Absent: it isn't, or an earlier event of the order waits.",
    )
    attempts: int = Field(examples=[1])
    replay: bool
    delivery: str | None = Field(
        None, description="The header `rs-order-delivery` of the last attempt."
    )
    attempted: Instant | None = None
    status: int | None = Field(None, examples=[503])
    answer: str | None = Field(None, examples=["try later"])


class DeliveryList(WireModel):
    """Deliveries, the newest first."""

    deliveries: list[DeliveryDto]
    token: str | None = Field(
        None, description="The `token` of the next page. Absent: there is none.", examples=["4611"]
    )
