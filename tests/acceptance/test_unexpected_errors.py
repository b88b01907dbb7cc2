"""Unexpected errors, caused in the database: a dead letter to be replayed; other orders are unaffected."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from tests.acceptance.platform import TENANT, Platform
from tests.acceptance.shared_platform import EVE_01, new_user, put_in_queue, state_of, until_rows

STEPS = "rs-order.steps"
REMOTE_STEPS = "rs-order.remote-steps"


@asynccontextmanager
async def failing(platform: Platform, change: str, when: str) -> AsyncIterator[None]:
    """Let a change of some rows fail in this block.

    Args:
        platform: the deployment.
        change: for example ``insert on data_file``.
        when: selects the rows.
    """
    event, _, table = change.partition(" on ")
    await platform.execute(
        "create function public.fail() returns trigger language plpgsql as"
        " $$ begin raise 'an unexpected error'; end $$;"
        f" create trigger failing before {event} on order_{TENANT}.{table}"
        f" for each row when ({when}) execute function public.fail()"
    )
    try:
        yield
    finally:
        await platform.execute("drop function public.fail() cascade")


async def test_w3_an_unexpected_error_of_a_completion_is_replayed(platform: Platform) -> None:
    """The step becomes a dead letter with its reason; after its replay the order continues."""
    async with failing(platform, "insert on data_file", "true"):
        correlation_id = await platform.peer.order(EVE_01, user=new_user(platform))
        order_id = (await platform.peer.until(correlation_id, "GRANTED")).body["orderId"]
        dead_letter = await platform.peer.dead_letter(f"{REMOTE_STEPS}.DLQ")

    assert dead_letter.headers["rs-order.reason"] == "unexpected-batch-failure"
    assert "an unexpected error" in str(dead_letter.headers)
    assert await state_of(platform, order_id) == "PENDING"

    await put_in_queue(platform, REMOTE_STEPS, dead_letter.body, dead_letter.headers)
    await platform.peer.until_final(correlation_id)

    assert platform.peer.statuses(correlation_id) == ["GRANTED", "SUBORDER_DONE", "DONE"]


async def test_w23_an_order_that_cannot_expire_delays_no_other(platform: Platform) -> None:
    """Each expiry is a separate step; the one that fails becomes a dead letter and is replayed."""
    platform.sandbox.faults.silence = True
    broken, other = [await _running(platform) for _ in range(2)]
    try:
        async with failing(
            platform, "update on orders", f"new.status = 'EXPIRED' and new.id = {broken}"
        ):
            platform.clock.ahead = timedelta(hours=6.1)
            await until_rows(
                platform, "select from orders where id = $1 and status = 'EXPIRED'", other
            )
            dead_letter = await platform.peer.dead_letter(f"{STEPS}.DLQ")

            assert await state_of(platform, broken) == "RUNNING"

        await put_in_queue(platform, STEPS, dead_letter.body, dead_letter.headers)
        await until_rows(
            platform, "select from orders where id = $1 and status = 'EXPIRED'", broken
        )
    finally:
        platform.clock.ahead = timedelta()


async def _running(platform: Platform) -> int:
    granted = await platform.peer.until(
        await platform.peer.order(EVE_01, user=new_user(platform)), "GRANTED"
    )
    order_id = int(granted.body["orderId"])
    await until_rows(platform, "select from orders where id = $1 and status = 'RUNNING'", order_id)
    return order_id
