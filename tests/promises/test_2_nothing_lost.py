"""Promise 2: nothing lost. A process is killed at each point where data could be lost."""

from rs_order.sandbox.faults import Faults
from tests.acceptance.platform import Platform
from tests.promises.checks import assert_done_once
from tests.promises.conftest import PAGE
from tests.promises.process import (
    ALL_MESSAGES_SENT,
    LOCK_IS_WAITED_FOR,
    PAGE_LOCK,
    instance,
    locked,
    stop_before_page,
    until,
)
from tests.support.proxy import tcp_proxy

STEP_OR_RESPONSE = """
    select from rs_order.outbox
    where kind = 'ORDER_RESPONSE' or body::json ->> 'step' = 'grant-requests'
"""
"""The process does the step at once, so the request may have its response when it is killed."""


async def test_promise_2_nothing_lost_when_killed_before_the_commit(platform: Platform) -> None:
    """The request is written but not committed: the broker delivers it again."""
    async with (
        instance(platform) as first,
        locked(platform.database_url, "lock table order_request in share mode"),
    ):
        correlation_id = await platform.peer.order("*")
        await until(platform.database_url, LOCK_IS_WAITED_FOR)
        await first.kill()

    assert await platform.rows("select from order_request") == []

    async with instance(platform):
        await platform.peer.until_final(correlation_id)
        await until(platform.database_url, ALL_MESSAGES_SENT)
        await assert_done_once(platform, correlation_id)


async def test_promise_2_nothing_lost_when_killed_between_commit_and_publish(
    platform: Platform,
) -> None:
    """All partitions of the outbox are locked, so nothing committed is published before the kill."""
    locks = "select pg_advisory_xact_lock(7226, n) from generate_series(0, 31) as n"
    async with instance(platform) as first, locked(platform.database_url, locks):
        correlation_id = await platform.peer.order("*")
        await until(platform.database_url, "exists (select from order_request)")
        await first.kill()

    assert platform.peer.responses(correlation_id) == []
    assert len(await platform.rows(STEP_OR_RESPONSE)) >= 1

    async with instance(platform):
        await platform.peer.until_final(correlation_id)
        await until(platform.database_url, ALL_MESSAGES_SENT)
        await assert_done_once(platform, correlation_id)


async def test_promise_2_nothing_lost_when_killed_between_publish_and_confirm(
    platform: Platform,
) -> None:
    """GRANTED is published, but its confirm is lost; the next process publishes it with the same id."""
    async with (
        tcp_proxy(platform.settings.amqp_url.get_secret_value()) as proxy,
        instance(platform, amqp_url=proxy.url) as first,
    ):
        # Only the grant writes to this table; nothing else may be what waits for the lock.
        async with locked(platform.database_url, "lock table dataset_selection in exclusive mode"):
            correlation_id = await platform.peer.order("*")
            await until(platform.database_url, LOCK_IS_WAITED_FOR)
            proxy.pause(requests=False)
        await platform.peer.until(correlation_id, "GRANTED")
        await first.kill()

    granted = platform.peer.responses(correlation_id)[0].message_id

    assert len(await platform.rows("select from rs_order.outbox where due_at is null")) > 0

    async with instance(platform):
        await platform.peer.until_final(correlation_id)
        await until(platform.database_url, ALL_MESSAGES_SENT)
        await assert_done_once(platform, correlation_id)
        granted_ids = [
            one.message_id
            for one in platform.peer.responses(correlation_id)
            if one.status == "GRANTED"
        ]

        assert granted_ids == [granted, granted]


async def test_promise_2_nothing_lost_of_events_when_killed_before_they_have_positions(
    platform: Platform,
) -> None:
    """They are committed with the order, and the next process gives them their positions (faces.md E-4).

    It does so when it starts, because the order needs no more commits.
    """
    async with (
        instance(platform) as first,
        locked(platform.database_url, "select from event_log for update"),
    ):
        correlation_id = await platform.peer.order("*")
        await platform.peer.until_final(correlation_id)
        await first.kill()

    assert await platform.rows("select from event where position is not null") == []

    async with instance(platform):
        await until(
            platform.database_url,
            "bool_or(type = 'order.done') and count(*) = count(position) from event",
        )
        found = await platform.rows("select type, ordinal, position from event order by position")

    assert found[0]["type"] == "order.created"
    assert [(row["ordinal"], row["position"]) for row in found] == [
        (number, number) for number in range(1, len(found) + 1)
    ]


async def test_w3_promise_2_nothing_lost_when_killed_in_the_middle_of_a_completion(
    platform: Platform,
) -> None:
    """At the kill the first page is committed, the second written but not committed."""
    async with instance(platform) as first:
        await stop_before_page(platform.database_url, 2)
        async with locked(platform.database_url, f"select pg_advisory_xact_lock({PAGE_LOCK})"):
            correlation_id = await platform.peer.order("*")
            await until(platform.database_url, LOCK_IS_WAITED_FOR)
            await first.kill()
    (cursor,) = await platform.rows("select page, products from completion")

    assert dict(cursor) == {"page": 1, "products": PAGE}
    assert len(await platform.rows("select from data_file")) == PAGE

    async with instance(platform):
        await platform.peer.until_final(correlation_id)
        await until(platform.database_url, ALL_MESSAGES_SENT)
        await assert_done_once(platform, correlation_id)


async def test_promise_2_nothing_lost_when_killed_while_it_waits_for_storage(
    platform: Platform,
) -> None:
    """Storage answers while no process runs; its events wait in the queue."""
    platform.sandbox.faults.become(Faults(nearline_seconds=0.05, silence=True))
    async with instance(platform) as first:
        correlation_id = await platform.peer.order("*")
        await until(platform.database_url, "count(*) = 3 from sub_order where state = 'RUNNING'")
        await until(platform.database_url, ALL_MESSAGES_SENT)
        await platform.sandbox.wait_for_restore(3)
        await first.kill()

    platform.sandbox.faults.silence = False
    platform.sandbox.restores.release()

    async with instance(platform):
        await platform.peer.until_final(correlation_id)
        await until(platform.database_url, ALL_MESSAGES_SENT)
        await assert_done_once(platform, correlation_id)
