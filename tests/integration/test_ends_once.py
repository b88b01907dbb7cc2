"""An order that is deleted, cancelled or expired several times at once ends once, at its own expiry date."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from rs_order.core.errors import ActionRejected
from rs_order.core.shared_steps import ExpireOrderStep
from rs_order.domain.ids import OrderId
from tests.integration.app_harness import JANE, TENANT, AppHarness, an_actor

Ends = Callable[[AppHarness, OrderId], Awaitable[str]]


async def delete(app: AppHarness, order: OrderId) -> str:
    try:
        await app.actions.delete(JANE, order)
    except ActionRejected:
        return "rejected"
    return "deleted"


async def cancel(app: AppHarness, order: OrderId) -> str:
    await app.application.orders.cancel.handle(TENANT, [order])
    return "cancelled"


async def expire(app: AppHarness, order: OrderId) -> str:
    await app.do({"step": ExpireOrderStep.name, "orderId": order})
    return "expired"


async def an_order_past_its_expiry_date(app: AppHarness) -> OrderId:
    order = await app.order("a", "b")
    await app.run()
    await app.storage_answers("a", "b")
    await app.rows("update orders set expires_at = $1", app.clock.now())
    return order


async def test_of_simultaneous_deletes_one_succeeds(app: AppHarness) -> None:
    """The others are rejected because the order is deleted already."""
    order = await an_order_past_its_expiry_date(app)
    answers = await asyncio.gather(*(delete(app, order) for _ in range(5)))
    await app.run()

    assert sorted(answers) == ["deleted", *["rejected"] * 4]
    assert [line[1] for line in await app.history(order)].count("DELETED") == 1
    assert await app.files(order) == {}
    assert await app.sub_orders(order) == []


@pytest.mark.parametrize(
    "ends", [(delete, cancel), (expire, delete), (expire, cancel), (expire, expire)]
)
async def test_an_order_ends_once_when_several_end_it_at_the_same_time(
    ends: tuple[Ends, Ends], app: AppHarness
) -> None:
    """It takes each final status once at most, and its sub-orders and files are deleted."""
    order = await an_order_past_its_expiry_date(app)
    await asyncio.gather(*(end(app, order) for end in (*ends, *reversed(ends))))
    await app.run()
    statuses = [line[1] for line in await app.history(order)]

    assert statuses[-1] == await app.status(order)
    assert statuses[-1] in ("DELETED", "EXPIRED")
    assert statuses.count("DELETED") <= 1
    assert statuses.count("EXPIRED") <= 1
    assert await app.files(order) == {}
    assert await app.sub_orders(order) == []


async def test_a_changed_setting_applies_to_later_completions(app: AppHarness) -> None:
    """An order that is complete keeps its expiry date (domain.md 4.7)."""
    before = await app.order("a")
    await app.run()
    await app.rows("insert into setting values ('expiration_max_duration_in_hours', '5')")
    after = await app.order("b")
    await app.run()
    times = {
        row["id"]: (row["expires_at"] - app.clock.now()).total_seconds() / 3600
        for row in await app.rows("select id, expires_at from orders")
    }

    assert times == {before: 6, after: 5}

    app.clock.move(hours=5)
    await app.run()

    assert await app.status(before) == "RUNNING"
    assert await app.status(after) == "EXPIRED"

    app.clock.move(hours=1)
    await app.run()

    assert await app.status(before) == "EXPIRED"


async def test_a_retry_takes_the_settings_of_its_day(app: AppHarness) -> None:
    """It sets a new expiry date by the new setting; the expiry step of the old date does nothing."""
    order = await app.order("a")
    await app.run()
    await app.storage_answers(a="tape is broken")
    await app.rows("insert into setting values ('expiration_max_duration_in_hours', '50')")
    app.clock.move(hours=4)
    await app.actions.retry(an_actor(), order)
    await app.run()
    app.clock.move(hours=3)
    await app.run()

    assert await app.status(order) == "RUNNING"

    app.clock.move(hours=47)
    await app.run()

    assert await app.status(order) == "EXPIRED"
