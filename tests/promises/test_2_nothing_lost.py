"""Promise 2: nothing lost. A process is killed at each point where something could be."""

from rs_order.sandbox.faults import Faults
from tests.acceptance.platform import Platform
from tests.promises.checks import assert_done_once
from tests.promises.conftest import PAGE
from tests.promises.process import (
    A_LOCK_IS_WAITED_FOR,
    GATE,
    NOTHING_LEFT_TO_SEND,
    held,
    instance,
    stop_before_page,
    until,
)
from tests.support.proxy import tcp_proxy

STEPS_OF_THE_REQUEST = """
    select from rs_order.outbox where due_at is null and body::json ->> 'step' = 'grant-requests'
"""


async def test_promise_2_nothing_lost_when_killed_before_the_commit(here: Platform) -> None:
    """The request is written but not committed: the broker still has it, and gives it again."""
    async with (
        instance(here) as first,
        held(here.database_url, "lock table order_request in share mode"),
    ):
        correlation_id = await here.peer.order("*")
        await until(here.database_url, A_LOCK_IS_WAITED_FOR)
        await first.kill()

    assert await here.rows("select from order_request") == []

    async with instance(here):
        await here.peer.until_final(correlation_id)
        await until(here.database_url, NOTHING_LEFT_TO_SEND)
        await assert_done_once(here, correlation_id)


async def test_promise_2_nothing_lost_when_killed_between_commit_and_publish(
    here: Platform,
) -> None:
    """All partitions of the outbox are locked, so nothing committed is published before the kill."""
    locks = "select pg_advisory_xact_lock(7226, n) from generate_series(0, 15) as n"
    async with instance(here) as first, held(here.database_url, locks):
        correlation_id = await here.peer.order("*")
        await until(here.database_url, "exists (select from order_request)")
        await first.kill()

    assert here.peer.responses(correlation_id) == []
    assert len(await here.rows(STEPS_OF_THE_REQUEST)) == 1

    async with instance(here):
        await here.peer.until_final(correlation_id)
        await until(here.database_url, NOTHING_LEFT_TO_SEND)
        await assert_done_once(here, correlation_id)


async def test_promise_2_nothing_lost_when_killed_between_publish_and_confirm(
    here: Platform,
) -> None:
    """The broker takes GRANTED and nobody hears of it; the next process says it again, as the same."""
    async with (
        tcp_proxy(here.settings.amqp_url.get_secret_value()) as proxy,
        instance(here, amqp_url=proxy.url) as first,
    ):
        async with held(here.database_url, "lock table orders in access exclusive mode"):
            correlation_id = await here.peer.order("*")
            await until(here.database_url, A_LOCK_IS_WAITED_FOR)
            proxy.pause(requests=False)
        await here.peer.until(correlation_id, "GRANTED")
        await first.kill()

    granted = here.peer.responses(correlation_id)[0].message_id

    assert len(await here.rows("select from rs_order.outbox where due_at is null")) > 0

    async with instance(here):
        await here.peer.until_final(correlation_id)
        await until(here.database_url, NOTHING_LEFT_TO_SEND)
        await assert_done_once(here, correlation_id)
        doubles = [
            one.message_id for one in here.peer.responses(correlation_id) if one.status == "GRANTED"
        ]

        assert doubles == [granted, granted]


async def test_w3_promise_2_nothing_lost_when_killed_in_the_middle_of_a_completion(
    here: Platform,
) -> None:
    """The first page is committed, the second is written and not committed when the process dies."""
    async with instance(here) as first:
        await stop_before_page(here.database_url, 2)
        async with held(here.database_url, f"select pg_advisory_xact_lock({GATE})"):
            correlation_id = await here.peer.order("*")
            await until(here.database_url, A_LOCK_IS_WAITED_FOR)
            await first.kill()
    (cursor,) = await here.rows("select page, products from completion")

    assert dict(cursor) == {"page": 1, "products": PAGE}
    assert len(await here.rows("select from data_file")) == PAGE

    async with instance(here):
        await here.peer.until_final(correlation_id)
        await until(here.database_url, NOTHING_LEFT_TO_SEND)
        await assert_done_once(here, correlation_id)


async def test_promise_2_nothing_lost_when_killed_during_a_storage_wait(here: Platform) -> None:
    """Storage is asked and silent; the answers come when nobody listens, and are still there."""
    here.sandbox.faults.become(Faults(nearline_seconds=0.05, silence=True))
    async with instance(here) as first:
        correlation_id = await here.peer.order("*")
        await until(here.database_url, "count(*) = 3 from sub_order where state = 'RUNNING'")
        await until(here.database_url, NOTHING_LEFT_TO_SEND)
        await here.sandbox.wait_for_restore(3)
        await first.kill()

    here.sandbox.faults.silence = False
    here.sandbox.restores.release()

    async with instance(here):
        await here.peer.until_final(correlation_id)
        await until(here.database_url, NOTHING_LEFT_TO_SEND)
        await assert_done_once(here, correlation_id)
