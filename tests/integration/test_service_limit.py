"""The limit of the service (``regards.jobs.pool.size``): released capacity always wakes the next waiter."""

import asyncio
from datetime import timedelta

from rs_order.core.links import Links
from rs_order.core.policies import SlotLimits
from rs_order.core.settlement import Settlement
from rs_order.domain.ids import SubOrderId
from rs_order.domain.shares import Amount
from rs_order.store.pool import Pool
from rs_order.store.tenants import Tenants
from rs_order.store.unit_of_work import Store
from tests.integration.conftest import OTHER, TENANT
from tests.support.clock import NOW
from tests.support.polling import until_waiting_for_locks


def limited_settlement(pool: Pool) -> Settlement:
    links = Links(None, Tenants(pool), prefix="/api/v1", fallback="http://localhost")
    return Settlement(SlotLimits(per_user=2, service=1), links)


async def scheduled_owners(pool: Pool) -> list[tuple[str, str]]:
    found = await pool.fetch(
        "select tenant, body::json ->> 'owner' as owner from rs_order.outbox"
        " where body::json ->> 'step' = 'schedule' order by id"
    )
    return [(row["tenant"], row["owner"]) for row in found]


async def test_capacity_released_while_another_user_queues_is_not_lost(
    store: Store, pool: Pool
) -> None:
    """Promise 5: whoever finds no capacity is found by whoever releases some, in any interleaving."""
    async with store.unit_of_work(TENANT) as uow:
        await uow.capacity.acquire("first", {SubOrderId(1): Amount(1)})

    async def release() -> None:
        async with store.unit_of_work(TENANT) as uow:
            await limited_settlement(pool).release_capacity(uow, [SubOrderId(1)])

    async with store.unit_of_work(OTHER) as uow:
        await uow.capacity.lock()

        assert await uow.capacity.used() == 1

        releasing = asyncio.create_task(release())
        blocked = asyncio.create_task(until_waiting_for_locks(pool))
        await asyncio.wait({releasing, blocked}, return_when=asyncio.FIRST_COMPLETED)
        blocked.cancel()
        await uow.capacity.wait("second", NOW)
    await releasing

    assert await scheduled_owners(pool) == [(OTHER, "second")]


async def test_w43_the_user_with_the_fewest_running_sub_orders_is_next(
    store: Store, pool: Pool
) -> None:
    """decisions.md, Which sub-order starts next: then the lowest rank, over all tenants."""
    async with store.unit_of_work(TENANT) as uow:
        await uow.capacity.acquire("busy", {SubOrderId(1): Amount(1), SubOrderId(2): Amount(1)})
        await uow.capacity.acquire("idle", {SubOrderId(3): Amount(1)})
        await uow.capacity.wait("busy", NOW)
        await uow.capacity.wait("late", NOW + timedelta(hours=2))
    async with store.unit_of_work(OTHER) as uow:
        await uow.capacity.wait("early", NOW + timedelta(hours=1))
        waiters = [await uow.capacity.next_waiters(1) for _ in range(4)]

    assert waiters == [[(OTHER, "early")], [(TENANT, "late")], [(TENANT, "busy")], []]
