"""Promise 3: nothing twice. Every message arrives twice and has its effect once."""

import asyncio

import asyncpg
import httpx
import pytest

from rs_order.sandbox.faults import Faults
from tests.acceptance.platform import Platform
from tests.promises.checks import assert_done_once
from tests.promises.process import ALL_MESSAGES_SENT, LOCK_IS_WAITED_FOR, Instance, instance, until

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


KEYED = {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}
COMMIT_LOCK = 4712
"""The advisory lock that a commit waits for."""
_WAIT_IN_COMMIT = f"""
create function order_project1.wait_in_commit() returns trigger language plpgsql as
    $$ begin
        perform set_config('lock_timeout', '0', true);
        perform pg_advisory_xact_lock({COMMIT_LOCK});
        return null;
    end $$;
create constraint trigger wait_in_commit after insert on order_project1.orders
    deferrable initially deferred for each row execute function order_project1.wait_in_commit()
"""


async def order_once(platform: Platform, process: Instance) -> httpx.Response:
    """Order the basket of an administrator with a key."""
    (ready,) = [line for line in process.lines if line.startswith("rs-order is ready on")]
    address = ready.split()[4]
    token = platform.sandbox.token("jane@example.org", "INSTANCE_ADMIN", "project1")
    async with httpx.AsyncClient(base_url=address, trust_env=False, timeout=60) as client:
        headers = {"Authorization": f"Bearer {token}", **KEYED}
        return await client.post("/user/orders", json={}, headers=headers)


async def test_promise_3_nothing_twice_when_a_process_dies_between_commit_and_answer(
    platform: Platform,
) -> None:
    """faces.md I: the server goes on with a commit whose client was killed. The retry gets the 201 (I-5)."""
    async with instance(platform) as killed:
        await platform.rows("insert into basket (owner) values ('jane@example.org')")
        await platform.execute(_WAIT_IN_COMMIT)
        waiting = await asyncpg.connect(platform.database_url)
        await waiting.execute("select pg_advisory_lock($1)", COMMIT_LOCK)
        lost = asyncio.create_task(order_once(platform, killed))
        await until(platform.database_url, LOCK_IS_WAITED_FOR)
        await killed.kill()
        with pytest.raises(httpx.TransportError):
            await lost
    await waiting.close()
    await until(platform.database_url, "exists (select from orders)")
    async with instance(platform) as another:
        again = await order_once(platform, another)
    orders = await platform.rows("select id from orders")

    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (201, "true")
    assert [row["id"] for row in orders] == [again.json()["content"]["id"]]
