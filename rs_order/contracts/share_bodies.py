"""Bodies of the endpoints for shares and the queue. They are ours: the reference has no such endpoints."""

from pydantic import ConfigDict, Field

from rs_order.contracts.wire import LONGEST_REASON, Instant, Text, WireModel
from rs_order.domain.shares import HEAVIEST, LIGHTEST, CapacityQueue, Share, ShareKind, Waiter


class WeightRequest(WireModel):
    """A weight of a user, of a role, or of the project if neither is named."""

    model_config = ConfigDict(extra="forbid")

    tenant: Text | None = Field(None, description="Absent: the caller's project.")
    user: Text | None = Field(None, examples=["jane@example.org"])
    role: Text | None = Field(None, description="Its weight is the default of its users.")
    weight: float | None = Field(
        None,
        allow_inf_nan=False,
        description=f"From {LIGHTEST} to {HEAVIEST:.0f}; absent: the default.",
        examples=[2.0],
    )
    reason: Text = Field(
        description=f"At most {LONGEST_REASON} characters.", examples=["a campaign"]
    )


class ShareDto(WireModel):
    """The weight and the recent use of a project or user, or the weight of a role."""

    model_config = ConfigDict(populate_by_name=True)

    kind: ShareKind
    name: str = Field(examples=["jane@example.org"])
    weight: float | None = Field(
        None, description="Absent: the default, that of the role or 1.", examples=[2.0]
    )
    used_bytes: int | None = Field(
        None,
        alias="usedBytes",
        description="Asked of storage, halved with each half-life.",
        examples=[1_500_000_000],
    )

    @classmethod
    def of(cls, share: Share) -> "ShareDto":
        used = None if share.used_bytes is None else round(share.used_bytes)
        return cls(kind=share.kind, name=share.name, weight=share.weight, used_bytes=used)


class SharesDto(WireModel):
    """The weights and recent uses of a project, those who used most first."""

    tenant: str = Field(examples=["project1"])
    shares: list[ShareDto]


class WaiterDto(WireModel):
    """A user who waits for capacity. Project and user are absent if the caller may not see them."""

    position: int = Field(examples=[1])
    tenant: str | None = Field(None, examples=["project1"])
    user: str | None = Field(None, examples=["jane@example.org"])
    rank: Instant | None = None

    @classmethod
    def of(cls, position: int, waiter: Waiter, *, visible: bool) -> "WaiterDto":
        if not visible:
            return cls(position=position)
        return cls(position=position, tenant=waiter.tenant, user=waiter.owner, rank=waiter.rank)


class QueueDto(WireModel):
    """The capacity of the service, and the users who start next."""

    limit: int = Field(
        description="Sub-orders that may run; 0: no limit, so that nobody waits.", examples=[100]
    )
    used: int = Field(examples=[100])
    promised: int = Field(
        description="Sub-orders of users who were woken and start at once.", examples=[0]
    )
    next: list[WaiterDto]

    @classmethod
    def of(cls, queue: CapacityQueue, tenant: str | None) -> "QueueDto":
        """Return the queue. ``tenant``: users of other tenants have no name; None: all have."""
        waiters = [
            WaiterDto.of(number, one, visible=tenant in (None, one.tenant))
            for number, one in enumerate(queue.next, 1)
        ]
        return cls(limit=queue.limit, used=queue.used, promised=queue.promised, next=waiters)
