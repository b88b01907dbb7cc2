"""The progress of an order: why it isn't further, and who can change it (faces.md 10.1)."""

from enum import StrEnum

from pydantic import ConfigDict, Field

from rs_order.contracts.wire import Instant, Link, WireModel
from rs_order.domain.estimates import Silence
from rs_order.domain.reasons import ReasonActor, ReasonCode, TurnScope
from rs_order.domain.states import OrderStatus, SubOrderKind, SubOrderState


class FurtherReasonDto(WireModel):
    """A reason that holds a part of an order."""

    model_config = ConfigDict(populate_by_name=True)

    code: ReasonCode
    text: str = Field(examples=["Files that storage is bringing back: 315."])
    since: Instant | None = None
    sub_orders: int | None = Field(None, alias="subOrders", examples=[5])


class ReasonDto(FurtherReasonDto):
    """The reason of an order or sub-order."""

    actor: ReasonActor | None = Field(None, description="Who can change it.")
    your_turn: bool = Field(alias="yourTurn", description="Only the owner can change it.")
    next_check: Instant | None = Field(None, alias="nextCheck")


class AheadDto(WireModel):
    """The owner's sub-orders that come before."""

    model_config = ConfigDict(populate_by_name=True)

    sub_orders: int = Field(alias="subOrders", examples=[2])
    files: int = Field(examples=[630])
    bytes: int = Field(examples=[198000000])


class TurnDto(WireModel):
    """Who starts before the owner, while the capacity of the service is used up. It names nobody."""

    model_config = ConfigDict(populate_by_name=True)

    scope: TurnScope = Field(description="Users of the same project, or of other projects.")
    sub_orders: int = Field(
        alias="subOrders", description="Of others, that start before.", examples=[3]
    )
    files: int = Field(description="That these ask of storage.", examples=[120])
    bytes: int = Field(description="That these ask of storage.", examples=[314_572_800])
    weight: float = Field(description="Of the owner.", examples=[1.0])
    used_bytes: int = Field(
        alias="usedBytes",
        description="Asked of storage for the owner lately, halved with each half-life.",
        examples=[1_500_000_000],
    )


class Basis(StrEnum):
    """What expected times are learnt from."""

    OBSERVED_RESTORES = "observed-restores"


class Assumption(StrEnum):
    """What must happen for expected times to come true."""

    YOUR_DOWNLOADS = "your-downloads"
    """The owner downloads what is ready at once, so that the next sub-orders start."""


class ExpectedDto(WireModel):
    """The times between which the last file is expected, rounded outward."""

    earliest: Instant
    latest: Instant
    level: float = Field(
        description="The share of the last ranges that came true, as it was measured.",
        examples=[0.85],
    )
    samples: int = Field(
        description="The number of ranges that it was measured from.", examples=[214]
    )
    basis: Basis = Basis.OBSERVED_RESTORES
    assumes: list[Assumption] = Field(description="What must happen for it to come true.")


class SubOrderCountsDto(WireModel):
    """The number of sub-orders by state."""

    total: int = Field(examples=[8])
    ready: int = Field(description="They wait for their start.", examples=[5])
    running: int = Field(description="Storage brings their files back.", examples=[2])
    processing: int = Field(examples=[0])
    waiting: int = Field(description="They wait for their download.", examples=[1])
    ended: int = Field(examples=[0])


class AttemptsDto(WireModel):
    """The requests to storage."""

    model_config = ConfigDict(populate_by_name=True)

    asks: int = Field(description="The most requests for one sub-order.", examples=[1])
    first_asked: Instant | None = Field(None, alias="firstAsked")


class ProgressDto(WireModel):
    """How far an order is, and why it isn't further."""

    model_config = ConfigDict(populate_by_name=True)

    order_id: int = Field(alias="orderId", examples=[12])
    status: OrderStatus
    percent: int = Field(ge=0, le=100, examples=[37])
    computed_at: Instant = Field(alias="computedAt")
    reason: ReasonDto
    also: list[FurtherReasonDto] = Field(description="At most 5 reasons that hold other parts.")
    ahead: AheadDto | None = None
    turn: TurnDto | None = Field(None, description="Only with the reason `others-first`.")
    expected: ExpectedDto | None = Field(
        None, description="When the last file is expected; null if no time is known."
    )
    why: Silence | None = Field(None, description="Why no time is known.")
    sub_orders: SubOrderCountsDto = Field(alias="subOrders")
    attempts: AttemptsDto


class SubOrderProgressDto(WireModel):
    """How far a sub-order is."""

    model_config = ConfigDict(populate_by_name=True)

    sub_order_id: int = Field(alias="subOrderId", examples=[31])
    kind: SubOrderKind
    state: SubOrderState
    files: int = Field(examples=[630])
    pending_files: int = Field(alias="pendingFiles", examples=[315])
    available_files: int = Field(alias="availableFiles", examples=[315])
    failed_files: int = Field(alias="failedFiles", examples=[0])
    percent: int = Field(ge=0, le=100, examples=[50])
    reason: ReasonDto | None = None
    expected: ExpectedDto | None = Field(
        None, description="When its last file is expected, once storage was asked."
    )
    why: Silence | None = Field(None, description="Why no time is known.")
    attempts: AttemptsDto


class SubOrderProgressPage(WireModel):
    """Sub-orders of an order, newest first."""

    content: list[SubOrderProgressDto]
    links: list[Link] = Field(description="`next` leads to further ones.")
