"""Several want an order gone at once, or the settings change under it: it goes once, at its own time."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from rs_order.application.errors import ActionRefused
from rs_order.application.steps import ExpireOrderStep
from rs_order.domain.ids import OrderId
from tests.integration.workshop import JANE, TENANT, Workshop, an_actor

Ends = Callable[[Workshop, OrderId], Awaitable[str]]


async def delete(shop: Workshop, order: OrderId) -> str:
    try:
        await shop.actions.delete(JANE, order)
    except ActionRefused:
        return "refused"
    return "deleted"


async def cancel(shop: Workshop, order: OrderId) -> str:
    await shop.application.cancel.handle(TENANT, [order])
    return "cancelled"


async def expire(shop: Workshop, order: OrderId) -> str:
    await shop.do({"step": ExpireOrderStep.name, "orderId": order})
    return "expired"


async def an_order_whose_time_is_over(workshop: Workshop) -> OrderId:
    order = await workshop.order("a", "b")
    await workshop.run()
    await workshop.storage_says("a", "b")
    await workshop.rows("update orders set expires_at = $1", workshop.clock.now())
    return order


async def test_of_two_deletes_at_once_one_is_refused(workshop: Workshop) -> None:
    """As if it had come later: the order is deleted already."""
    order = await an_order_whose_time_is_over(workshop)
    answers = await asyncio.gather(*(delete(workshop, order) for _ in range(5)))
    await workshop.run()

    assert sorted(answers) == ["deleted", *["refused"] * 4]
    assert [line[1] for line in await workshop.history(order)].count("DELETED") == 1
    assert await workshop.files(order) == {}
    assert await workshop.sub_orders(order) == []


@pytest.mark.parametrize(
    "ends", [(delete, cancel), (expire, delete), (expire, cancel), (expire, expire)]
)
async def test_an_order_goes_once_whoever_wants_it_at_the_same_time(
    ends: tuple[Ends, Ends], workshop: Workshop
) -> None:
    """Each status is taken once at most, its slots are freed, and its files deleted."""
    order = await an_order_whose_time_is_over(workshop)
    await asyncio.gather(*(end(workshop, order) for end in (*ends, *reversed(ends))))
    await workshop.run()
    taken = [line[1] for line in await workshop.history(order)]

    assert taken[-1] == await workshop.status(order)
    assert taken[-1] in ("DELETED", "EXPIRED")
    assert taken.count("DELETED") <= 1
    assert taken.count("EXPIRED") <= 1
    assert await workshop.files(order) == {}
    assert await workshop.sub_orders(order) == []


async def test_a_changed_setting_is_for_what_is_decided_afterwards(workshop: Workshop) -> None:
    """An order that is complete keeps the time it was given; later orders get the new one (domain.md 4.7)."""
    before = await workshop.order("a")
    await workshop.run()
    await workshop.rows("insert into setting values ('expiration_max_duration_in_hours', '5')")
    after = await workshop.order("b")
    await workshop.run()
    times = {
        row["id"]: (row["expires_at"] - workshop.clock.now()).total_seconds() / 3600
        for row in await workshop.rows("select id, expires_at from orders")
    }

    assert times == {before: 6, after: 5}

    workshop.clock.move(hours=5)
    await workshop.run()

    assert await workshop.status(before) == "RUNNING"
    assert await workshop.status(after) == "EXPIRED"

    workshop.clock.move(hours=1)
    await workshop.run()

    assert await workshop.status(before) == "EXPIRED"


async def test_a_retry_is_decided_by_the_settings_of_its_day(workshop: Workshop) -> None:
    """Its time begins anew, so that the new setting holds; a late reminder of the old time does nothing."""
    order = await workshop.order("a")
    await workshop.run()
    await workshop.storage_says(a="tape is broken")
    await workshop.rows("insert into setting values ('expiration_max_duration_in_hours', '50')")
    workshop.clock.move(hours=4)
    await workshop.actions.retry(an_actor(), order)
    await workshop.run()
    workshop.clock.move(hours=3)
    await workshop.run()

    assert await workshop.status(order) == "RUNNING"

    workshop.clock.move(hours=47)
    await workshop.run()

    assert await workshop.status(order) == "EXPIRED"
