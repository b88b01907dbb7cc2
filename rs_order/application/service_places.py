"""Places of the service: how many sub-orders of all tenants may run at once, and whose turn it is."""

from rs_order.application.policies import SlotLimits
from rs_order.application.steps import ScheduleStep
from rs_order.store.unit_of_work import UnitOfWork


async def hold_free_places(uow: UnitOfWork, limits: SlotLimits) -> int:
    """How many are free; nobody else takes or gives any until the unit of work ends."""
    await uow.limits.lock()
    return max(0, limits.service - await uow.limits.running())


async def hand_on_places(uow: UnitOfWork, limits: SlotLimits) -> None:
    """Give a turn to as many users as places are free.

    Counted anew each time, and not only what has just become free: a turn that was lost, or given to
    somebody who didn't need it, is made up for by the next one.
    """
    if not limits.service:
        return
    turn = await uow.limits.next_users(await hold_free_places(uow, limits))
    await uow.messages.send([ScheduleStep(owner).to(tenant) for tenant, owner in turn])
