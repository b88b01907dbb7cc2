"""Finished work leaves no rows (W41), and the inbox is purged after its retention."""

from datetime import timedelta
from typing import Any

from rs_order.core.shared_steps import AskAgainStep, ExpireOrderStep
from rs_order.requests.retention import PurgeInboxStep
from rs_order.store.pool import Pool
from tests.integration.app_harness import AppHarness
from tests.integration.conftest import TENANT
from tests.support.clock import NOW
from tests.support.rows import in_tenant

_WORK = """
select (select count(*) from completion) as completions, (select count(*) from retry) as retries,
       (select count(*) from mail) as mails, (select count(*) from rs_order.running_sub_order) as running,
       (select count(*) from rs_order.waiting_user) as queue
"""
NOTHING = {"completions": 0, "retries": 0, "mails": 0, "running": 0, "queue": 0}


async def test_w41_a_finished_order_leaves_no_work(app: AppHarness) -> None:
    """Only two delayed steps remain. Once they are due, the order expires, and none is left."""
    order = await app.order("a", "b")
    await app.run()
    await app.storage_answers("a", "b")
    await app.run()

    assert await app.status(order) == "DONE"
    assert await app.rows(_WORK) == [NOTHING]
    assert await _steps_of(app) == {AskAgainStep.name, ExpireOrderStep.name}

    app.clock.move(days=30)
    await app.run()

    assert await app.status(order) == "EXPIRED"
    assert await _steps_of(app) == set()
    assert await app.files(order) == {}
    assert await app.sub_orders(order) == []
    assert await app.rows(_WORK) == [NOTHING]


async def test_an_expired_order_leaves_no_archive(app: AppHarness) -> None:
    """Its archives are deleted with its files."""
    order = await app.order("a")
    await app.run()
    await app.storage_answers("a")
    await app.run()
    await app.rows(
        "with made as (insert into archive (order_id, format, created_at, length, directory, entries, files,"
        " bytes, content, tag) values ($1, 'zip', $2, 9, 9, 1, 1, 1, '', '') returning id),"
        " notice as (insert into archive_notice select id, 0, '', '[]' from made),"
        " checkpoint as (insert into archive_checkpoint select id, 1, 1, 1 from made)"
        " insert into archive_page select id, 0, 0, 0, '[]', '{}' from made",
        order,
        NOW,
    )

    app.clock.move(days=30)
    await app.run()

    assert await app.rows("select id from archive") == []
    assert await app.rows("select archive_id from archive_page") == []
    assert await app.rows("select archive_id from archive_notice") == []
    assert await app.rows("select archive_id from archive_checkpoint") == []


async def test_w41_answered_requests_are_purged(app: AppHarness) -> None:
    """Requests and responses are deleted after seven days; a request without an answer always stays."""
    for days, state in ((8, "DENIED"), (8, "RECEIVED"), (6, "DENIED")):
        await app.rows(
            "insert into order_request (correlation_id, fingerprint, body, state, received_at)"
            " values ($1::text, decode(md5($1), 'hex'), '{}', $2, $3)",
            f"{days} {state}",
            state,
            NOW - timedelta(days=days),
        )
        await app.rows(
            "insert into order_response (message_id, correlation_id, body, created_at)"
            " values (gen_random_uuid(), $1, '{}', $2)",
            f"{days}",
            NOW - timedelta(days=days),
        )
    await app.do({"step": PurgeInboxStep.name, "round": 1})

    assert await _ids(app, "order_request") == ["6 DENIED", "8 RECEIVED"]
    assert await _ids(app, "order_response") == ["6"]


async def test_w41_a_request_that_is_being_replayed_is_not_purged(
    app: AppHarness, pool: Pool
) -> None:
    """A dead letter of an old request is replayed while the inbox is purged."""
    await app.rows(
        "insert into order_request (correlation_id, fingerprint, body, state, received_at)"
        " values ('old', '', '{}', 'FAILED', $1)",
        NOW - timedelta(days=8),
    )
    async with in_tenant(pool, TENANT) as replay:
        await replay.execute("update order_request set state = 'RECEIVED'")
        await app.do({"step": PurgeInboxStep.name, "round": 1})

    assert await _ids(app, "order_request") == ["old"]


async def test_w41_keyed_requests_are_purged_with_the_inbox(app: AppHarness) -> None:
    """Answered or not: after the retention, their repetition is a new request (faces.md I-8)."""
    for key, days in (("old", 8), ("abandoned", 8), ("new", 6)):
        await app.rows(
            "insert into keyed_request (owner, endpoint, key, fingerprint, created_at, claimed_at)"
            " values ('jane', 'POST /orders', $1, '', $2, $2)",
            key,
            NOW - timedelta(days=days),
        )
    await app.rows(
        "update keyed_request set status = 201, headers = '{}', body = '' where key <> 'abandoned'"
    )
    await app.do({"step": PurgeInboxStep.name, "round": 1})

    assert await app.rows("select key from keyed_request") == [{"key": "new"}]


async def test_w41_the_inbox_is_purged_every_hour(app: AppHarness) -> None:
    """A run writes the step of the next one in its commit. The same run again writes nothing."""
    for _ in range(2):
        await app.do({"step": PurgeInboxStep.name, "round": 1})
    runs = await app.rows("select body::json ->> 'round' as round, due_at from rs_order.outbox")

    assert runs == [{"round": "2", "due_at": NOW + timedelta(hours=1)}]


async def _steps_of(app: AppHarness) -> set[str]:
    """Return the names of the steps of orders, without the periodic steps of the tenant."""
    return {step["step"] for step in await app.steps() if "orderId" in step}


async def _ids(app: AppHarness, table: str) -> list[Any]:
    found = await app.rows(f"select correlation_id from {table} order by correlation_id")  # noqa: S608
    return [row["correlation_id"] for row in found]
