"""Bodies of subscriptions to events (faces.md 4.2, E-20). The reference has no such endpoints."""

from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from rs_order.contracts.wire import INT64, Instant, Long, Text, WireModel
from rs_order.domain.events import types_of
from rs_order.domain.subscriptions import Subscription, SubscriptionScope

LONGEST_LABEL = 100
MOST_TYPES = 50


def _known_types(types: list[str]) -> list[str]:
    types_of(types)
    return types


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
Label = Annotated[Text, Field(max_length=LONGEST_LABEL, examples=["notebook server"])]
Position = Annotated[
    str,
    Field(
        description="Of the last event that was handled, in the log of the project.",
        examples=["4711"],
    ),
]


class SubscriptionRequest(WireModel):
    """The events that a client wants to read, and later acknowledge."""

    model_config = ConfigDict(populate_by_name=True, extra="forbid")

    kind: Literal["pull"] = "pull"
    scope: SubscriptionScope = Field(
        SubscriptionScope.MINE,
        description="The orders: the caller's, the one of `orderId`, or all of the project.",
    )
    order_id: Long | None = Field(None, alias="orderId", examples=[12])
    types: Types | None = None
    label: Label | None = None

    @model_validator(mode="after")
    def _order_with_its_scope(self) -> "SubscriptionRequest":
        if (self.order_id is not None) != (self.scope is SubscriptionScope.ORDER):
            raise ValueError("orderId belongs to the scope order, and only to it")
        return self


class SubscriptionChange(WireModel):
    """What replaces types and label of a subscription. An absent member removes the old value."""

    model_config = ConfigDict(extra="forbid")

    types: Types | None = None
    label: Label | None = None


class AcknowledgeRequest(WireModel):
    """The last event that was handled."""

    model_config = ConfigDict(extra="forbid")

    position: Annotated[int, Field(ge=0, le=INT64, examples=[4711])]


class SubscriptionDto(WireModel):
    """A subscription, and how far its client has come."""

    model_config = ConfigDict(populate_by_name=True)

    id: str = Field(examples=["5e0c7a52-6f0e-4a5b-8f39-3b1f6f6a8d10"])
    kind: Literal["pull"]
    owner: str = Field(examples=["jane@example.org"])
    scope: SubscriptionScope
    order_id: int | None = Field(None, alias="orderId", examples=[12])
    types: list[str] | None = Field(None, examples=[["order.*", "suborder.ready"]])
    label: str | None = Field(None, examples=["notebook server"])
    position: Position
    created: Instant

    @classmethod
    def of(cls, subscription: Subscription) -> "SubscriptionDto":
        return cls(
            id=str(subscription.id),
            kind="pull",
            owner=subscription.owner,
            scope=subscription.scope,
            order_id=subscription.order_id,
            types=None if subscription.types is None else list(subscription.types),
            label=subscription.label,
            position=str(subscription.position),
            created=subscription.created_at,
        )


class SubscriptionList(WireModel):
    """Subscriptions, the newest first."""

    subscriptions: list[SubscriptionDto]
