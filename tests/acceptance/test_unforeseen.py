"""Errors that nobody foresaw, of the database here: a dead letter to be replayed, and nobody else suffers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from tests.acceptance.platform import TENANT, Platform
from tests.acceptance.shared_platform import EVE_01, new_user, put_in_queue, state_of, until_rows

STEPS = "rs-order.steps"
REMOTE_STEPS = "rs-order.remote-steps"


@asynccontextmanager
async def failing(platform: Platform, change: str, when: str) -> AsyncIterator[None]:
    """Until the end of the block a change (``insert on data_file``, say) of some rows is refused."""
    event, _, table = change.partition(" on ")
    await platform.execute(
        "create function public.fail() returns trigger language plpgsql as"
        " $$ begin raise 'nobody foresaw this'; end $$;"
        f" create trigger failing before {event} on order_{TENANT}.{table}"
        f" for each row when ({when}) execute function public.fail()"
    )
    try:
        yield
    finally:
        await platform.execute("drop function public.fail() cascade")


async def test_w3_an_unforeseen_error_of_a_completion_is_replayed(platform: Platform) -> None:
    """The order doesn't stay PENDING unseen: the step is a dead letter with its reason, and goes on."""
    async with failing(platform, "insert on data_file", "true"):
        correlation_id = await platform.peer.order(EVE_01, user=new_user(platform))
        order_id = (await platform.peer.until(correlation_id, "GRANTED")).body["orderId"]
        letter = await platform.peer.dead_letter(f"{REMOTE_STEPS}.DLQ")

    assert letter.headers["rs-order.reason"] == "unexpected-batch-failure"
    assert "nobody foresaw this" in str(letter.headers)
    assert await state_of(platform, order_id) == "PENDING"

    await put_in_queue(platform, REMOTE_STEPS, letter.body, letter.headers)
    await platform.peer.until_final(correlation_id)

    assert platform.peer.statuses(correlation_id) == ["GRANTED", "SUBORDER_DONE", "DONE"]


async def test_w23_an_order_that_cannot_expire_holds_up_no_other(platform: Platform) -> None:
    """Each expiry is a step of its own; the one that fails is a dead letter, and is made up for."""
    platform.sandbox.faults.silence = True
    poison, other = [await _running(platform) for _ in range(2)]
    try:
        async with failing(
            platform, "update on orders", f"new.status = 'EXPIRED' and new.id = {poison}"
        ):
            platform.clock.ahead = timedelta(hours=6.1)
            await until_rows(
                platform, "select from orders where id = $1 and status = 'EXPIRED'", other
            )
            letter = await platform.peer.dead_letter(f"{STEPS}.DLQ")

            assert await state_of(platform, poison) == "RUNNING"

        await put_in_queue(platform, STEPS, letter.body, letter.headers)
        await until_rows(
            platform, "select from orders where id = $1 and status = 'EXPIRED'", poison
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
