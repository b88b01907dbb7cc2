"""The queue for capacity as operators see it, as it is or as it would be (waiting.md T3)."""

from typing import Final

from rs_order.core.policies import SlotLimits
from rs_order.domain.shares import CapacityQueue
from rs_order.store.unit_of_work import UnitOfWork

SHOWN: Final = 10
"""The owners that the queue shows."""


async def capacity_queue(uow: UnitOfWork, limits: SlotLimits) -> CapacityQueue:
    """Return the capacity of the service and the owners of any tenant who start next."""
    claims = await uow.capacity.counted_claims(owner="")
    if claims is None:
        return CapacityQueue(limits.service, await uow.capacity.used(), 0, [])
    waiters = await uow.capacity.first_waiters(SHOWN)
    return CapacityQueue(limits.service, claims.used, claims.promised, waiters)
