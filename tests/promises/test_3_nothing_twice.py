"""Promise 3: nothing twice. Every message comes twice, and the effect is that of one."""

import asyncpg

from rs_order.sandbox.faults import Faults
from tests.acceptance.platform import Platform
from tests.promises.checks import assert_done_once
from tests.promises.process import NOTHING_LEFT_TO_SEND, instance, until

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


async def test_promise_3_nothing_twice_when_every_message_comes_twice(here: Platform) -> None:
    """Requests, steps, restore requests, responses and storage's events: all of them doubled."""
    here.sandbox.faults.become(Faults(nearline_seconds=0.05, duplicates=2))
    async with instance(here):
        connection = await asyncpg.connect(here.database_url)
        await connection.execute(_SEND_TWICE)
        await connection.close()
        correlation_id = await here.peer.order("*", correlation_id="twice")
        await here.peer.order("*", correlation_id="twice")
        await here.peer.until_final(correlation_id)
        await until(here.database_url, NOTHING_LEFT_TO_SEND)
        await assert_done_once(here, correlation_id)

        assert len(here.peer.responses(correlation_id)) >= 2 * len(await here.rows(_RESPONSES))
        assert [row["asks"] for row in await here.rows("select asks from sub_order")] == [1, 1, 1]


_RESPONSES = "select from order_response"


async def test_promise_3_nothing_twice_when_a_request_is_published_again_later(
    here: Platform,
) -> None:
    """decisions.md, Repeated request: the same answers, with their first ids; no second order."""
    async with instance(here):
        correlation_id = await here.peer.order("*", correlation_id="again")
        await here.peer.until_final(correlation_id)
        await until(here.database_url, NOTHING_LEFT_TO_SEND)
        first = [one.message_id for one in here.peer.responses(correlation_id)]
        await here.peer.order("*", correlation_id="again")
        await here.peer.until(correlation_id, "DONE", 2)

        assert [one.message_id for one in here.peer.responses(correlation_id)] == first * 2
        await assert_done_once(here, correlation_id)
