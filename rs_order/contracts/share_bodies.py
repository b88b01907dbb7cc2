"""Bodies of the endpoints for shares and the queue. They are ours: the reference has no such endpoints."""

from pydantic import ConfigDict, Field

from rs_order.contracts.wire import LONGEST_REASON, Instant, Long, Text, WireModel
from rs_order.domain.shares import (
    HEAVIEST,
    LIGHTEST,
    Amount,
    CapacityQueue,
    LimitKind,
    Limits,
    Share,
    ShareKind,
    Waiter,
)


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


class AmountDto(WireModel):
    """Sub-orders, files and bytes that storage is asked for; in a limit, 0 means none."""

    model_config = ConfigDict(populate_by_name=True)

    sub_orders: int = Field(alias="subOrders", examples=[20])
    files: int = Field(examples=[10_000])
    bytes: int = Field(examples=[2_000_000_000_000])

    @classmethod
    def of(cls, amount: Amount) -> "AmountDto":
        return cls(sub_orders=amount.sub_orders, files=amount.files, bytes=amount.bytes)


class LimitRequest(WireModel):
    """The limits of a project, or of each of its users; 0: none."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    tenant: Text | None = Field(None, description="Absent: the caller's project.")
    kind: LimitKind = Field(description="`user`: of each user of the project.")
    sub_orders: Long = Field(0, alias="subOrders", examples=[20])
    files: Long = Field(0, examples=[10_000])
    bytes: Long = Field(0, examples=[2_000_000_000_000])
    reason: Text = Field(
        description=f"At most {LONGEST_REASON} characters.", examples=["a campaign"]
    )

    @property
    def limit(self) -> Amount:
        return Amount(self.sub_orders, self.files, self.bytes)


class LimitsDto(WireModel):
    """The limits that concern a project, and what storage was asked for and has not settled for it."""

    model_config = ConfigDict(populate_by_name=True)

    tenant: str = Field(examples=["project1"])
    of_service: AmountDto = Field(alias="ofService")
    of_tenant: AmountDto = Field(alias="ofTenant")
    of_user: AmountDto = Field(alias="ofUser", description="Of each user.")
    in_flight: AmountDto | None = Field(
        None, alias="inFlight", description="Absent while nothing is limited."
    )

    @classmethod
    def of(cls, limits: Limits) -> "LimitsDto":
        return cls(
            tenant=limits.tenant,
            of_service=AmountDto.of(limits.of_service),
            of_tenant=AmountDto.of(limits.of_tenant),
            of_user=AmountDto.of(limits.of_user),
            in_flight=None if limits.in_flight is None else AmountDto.of(limits.in_flight),
        )


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
