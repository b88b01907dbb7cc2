"""Holds: an operator stops new requests to storage for a tenant, a user or an order (waiting.md T3)."""

from dataclasses import dataclass
from datetime import datetime

from rs_order.domain.ids import OrderId, Tenant


@dataclass(frozen=True, slots=True)
class HeldThing:
    """The object of a hold: an order, a user, or the whole tenant."""

    tenant: Tenant
    owner: str | None = None
    order_id: OrderId | None = None
    """Never with an owner."""

    def __str__(self) -> str:
        if self.order_id is not None:
            return f"order {self.order_id} of {self.tenant}"
        return f"{self.owner} in {self.tenant}" if self.owner is not None else self.tenant


@dataclass(frozen=True, slots=True)
class Hold:
    """A hold that lasts until its end, unless an operator ends it before."""

    id: int
    held: HeldThing
    reason: str
    created_by: str
    created_at: datetime
    until: datetime
