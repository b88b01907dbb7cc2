"""Promise 3: nothing twice. Every message arrives twice and has its effect once."""

import asyncpg

from rs_order.sandbox.faults import Faults
from tests.acceptance.platform import Platform
from tests.promises.checks import assert_done_once
from tests.promises.process import ALL_MESSAGES_SENT, instance, until

_SEND_TWICE = """
create function rs_order.send_twice() returns trigger language plpgsql as $$
begin
    insert into rs_order.outbox (partition, kind, tenant, stream, body, correlation_id, message_id, due_at)
    values (new.partition, new.kind, new.tenant, new.stream, new.body, new.correlation_id, new.message_id,
            new.due_at);
    return null;
end $$;
create trigger send_twice after insert on rs_order.outbox
    for each row when (pg_trigger_depth() = 0) execute function rs_order.send_twice()
"""


async def test_promise_3_nothing_twice_when_every_message_comes_twice(platform: Platform) -> None:
    """Requests, steps, restore requests, responses and storage's events are all sent twice."""
    platform.sandbox.faults.become(Faults(nearline_seconds=0.05, duplicates=2))
    async with instance(platform):
        connection = await asyncpg.connect(platform.database_url)
        await connection.execute(_SEND_TWICE)
        await connection.close()
        correlation_id = await platform.peer.order("*", correlation_id="twice")
        await platform.peer.order("*", correlation_id="twice")
        await platform.peer.until_final(correlation_id)
        await until(platform.database_url, ALL_MESSAGES_SENT)
        await assert_done_once(platform, correlation_id)

        assert len(platform.peer.responses(correlation_id)) >= 2 * len(
            await platform.rows(_RESPONSES)
        )
        assert [row["asks"] for row in await platform.rows("select asks from sub_order")] == [
            1,
            1,
            1,
        ]


_RESPONSES = "select from order_response"


async def test_promise_3_nothing_twice_when_a_request_is_published_again_later(
    platform: Platform,
) -> None:
    """decisions.md, Repeated request: the same responses with their first ids, and no second order."""
    async with instance(platform):
        correlation_id = await platform.peer.order("*", correlation_id="again")
        await platform.peer.until_final(correlation_id)
        await until(platform.database_url, ALL_MESSAGES_SENT)
        first = [one.message_id for one in platform.peer.responses(correlation_id)]
        await platform.peer.order("*", correlation_id="again")
        await platform.peer.until(correlation_id, "DONE", 2)

        assert [one.message_id for one in platform.peer.responses(correlation_id)] == first * 2
        await assert_done_once(platform, correlation_id)
