"""The capacity of the service: how many sub-orders of all tenants may run at the same time."""

from rs_order.core.policies import SlotLimits
from rs_order.core.shared_steps import ScheduleStep
from rs_order.store.unit_of_work import UnitOfWork


async def lock_free_capacity(uow: UnitOfWork, limits: SlotLimits) -> int:
    """Lock the capacity until the unit of work ends, and return how much of it is free."""
    await uow.capacity.lock()
    return max(0, limits.service - await uow.capacity.used())


async def wake_next_waiters(uow: UnitOfWork, limits: SlotLimits) -> None:
    """Schedule as many waiting owners as there is free capacity.

    All free capacity is counted, and not only what was just released. This makes up for an earlier
    wake-up that was lost, or that its owner didn't need.
    """
    if not limits.service:
        return
    waiters = await uow.capacity.next_waiters(await lock_free_capacity(uow, limits))
    await uow.messages.send([ScheduleStep(owner).to(tenant) for tenant, owner in waiters])
