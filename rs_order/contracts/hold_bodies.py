"""Bodies of the endpoints for holds. They are ours: the reference has no such endpoints."""

from pydantic import ConfigDict, Field

from rs_order.contracts.wire import LONGEST_REASON, Instant, Link, Long, Text, WireModel
from rs_order.domain.holds import Hold


class HoldRequest(WireModel):
    """A request to hold an order, a user, or the whole project if neither is named."""

    model_config = ConfigDict(populate_by_name=True, extra="forbid")

    tenant: Text | None = Field(None, description="Absent: the caller's project.")
    user: Text | None = Field(None, examples=["jane@example.org"])
    order_id: Long | None = Field(None, alias="orderId", examples=[12])
    reason: Text = Field(
        description=f"At most {LONGEST_REASON} characters.", examples=["tape library under repair"]
    )
    until: Instant = Field(examples=["2027-01-23T09:21:50Z"])


class HoldDto(WireModel):
    """A hold. Storage is asked for nothing new of what it holds, until its end."""

    model_config = ConfigDict(populate_by_name=True)

    id: int = Field(examples=[7])
    tenant: str = Field(examples=["project1"])
    user: str | None = Field(None, examples=["jane@example.org"])
    order_id: int | None = Field(None, alias="orderId", examples=[12])
    reason: str = Field(examples=["tape library under repair"])
    by: str = Field(examples=["admin@example.org"])
    created_at: Instant = Field(alias="createdAt")
    until: Instant

    @classmethod
    def of(cls, hold: Hold) -> "HoldDto":
        return cls(
            id=hold.id,
            tenant=hold.held.tenant,
            user=hold.held.owner,
            order_id=hold.held.order_id,
            reason=hold.reason,
            by=hold.created_by,
            created_at=hold.created_at,
            until=hold.until,
        )


class HoldPage(WireModel):
    """Holds by id. The link ``next`` leads to the following page, unless it is the last."""

    content: list[HoldDto]
    links: list[Link]
