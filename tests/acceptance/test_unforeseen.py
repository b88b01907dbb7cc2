"""Errors that nobody foresaw, of the database here: a dead letter to be replayed, and nobody else suffers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from tests.acceptance.platform import TENANT, Platform
from tests.acceptance.shared_platform import EVE_01, new_user, put_in_queue, state_of, until_rows

STEPS = "rs-order.steps"
REMOTE_STEPS = "rs-order.remote-steps"


@asynccontextmanager
async def failing(here: Platform, change: str, when: str) -> AsyncIterator[None]:
    """Until the end of the block a change (``insert on data_file``, say) of some rows is refused."""
    event, _, table = change.partition(" on ")
    await here.execute(
        "create function public.fail() returns trigger language plpgsql as"
        " $$ begin raise 'nobody foresaw this'; end $$;"
        f" create trigger failing before {event} on order_{TENANT}.{table}"
        f" for each row when ({when}) execute function public.fail()"
    )
    try:
        yield
    finally:
        await here.execute("drop function public.fail() cascade")


async def test_w3_an_unforeseen_error_of_a_completion_is_replayed(here: Platform) -> None:
    """The order doesn't stay PENDING unseen: the step is a dead letter with its reason, and goes on."""
    async with failing(here, "insert on data_file", "true"):
        correlation_id = await here.peer.order(EVE_01, user=new_user(here))
        order_id = (await here.peer.until(correlation_id, "GRANTED")).body["orderId"]
        letter = await here.peer.dead_letter(f"{REMOTE_STEPS}.DLQ")

    assert letter.headers["rs-order.reason"] == "unexpected-batch-failure"
    assert "nobody foresaw this" in str(letter.headers)
    assert await state_of(here, order_id) == "PENDING"

    await put_in_queue(here, REMOTE_STEPS, letter.body, letter.headers)
    await here.peer.until_final(correlation_id)

    assert here.peer.statuses(correlation_id) == ["GRANTED", "SUBORDER_DONE", "DONE"]


async def test_w23_an_order_that_cannot_expire_holds_up_no_other(here: Platform) -> None:
    """Each expiry is a step of its own; the one that fails is a dead letter, and is made up for."""
    here.sandbox.faults.silence = True
    poison, other = [await _running(here) for _ in range(2)]
    try:
        async with failing(
            here, "update on orders", f"new.status = 'EXPIRED' and new.id = {poison}"
        ):
            here.clock.ahead = timedelta(hours=6.1)
            await until_rows(here, "select from orders where id = $1 and status = 'EXPIRED'", other)
            letter = await here.peer.dead_letter(f"{STEPS}.DLQ")

            assert await state_of(here, poison) == "RUNNING"

        await put_in_queue(here, STEPS, letter.body, letter.headers)
        await until_rows(here, "select from orders where id = $1 and status = 'EXPIRED'", poison)
    finally:
        here.clock.ahead = timedelta()


async def _running(here: Platform) -> int:
    granted = await here.peer.until(await here.peer.order(EVE_01, user=new_user(here)), "GRANTED")
    order_id = int(granted.body["orderId"])
    await until_rows(here, "select from orders where id = $1 and status = 'RUNNING'", order_id)
    return order_id
