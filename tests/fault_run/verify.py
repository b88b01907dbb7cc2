"""Checks a run after its last fault: what must be true whatever happened meanwhile."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Final

import aio_pika
import asyncpg

from rs_order.demo.servers.lifecycle import VHOSTS
from rs_order.demo.servers.management_api import Management
from tests.acceptance.peer import Received
from tests.fault_run.deployment import SLOTS, Deployment
from tests.fault_run.load import Customer
from tests.fault_run.plan import TENANTS, Door, Fate
from tests.fault_run.rubbish import MARK
from tests.support.event_members import EVENT_MEMBERS
from tests.support.history import is_explained

_INVARIANTS: Final = (Path(__file__).parents[1] / "stateful" / "checks.sql").read_text()
_NOTHING_LEFT: Final = {
    "a row of the outbox is due": """
        select format('%s %s, attempt %s, due %s, retry %s',
            kind, left(body, 200), attempts, due_at, retry_at)
        from rs_order.outbox
        where due_at is null or due_at < now() - interval '15 seconds'
    """,
    "a sub-order takes capacity": """
        select format('%s %s', tenant, sub_order_id) from rs_order.running_sub_order
    """,
    "an owner waits for capacity": "select owner from rs_order.waiting_user",
}
_NOTHING_RUNS: Final = {
    "an order hasn't ended": """
        select format('order %s (%s) is %s', id, owner, status) from orders
        where status in ('PENDING', 'RUNNING', 'PAUSED')
    """,
    "a completion is left": "select format('order %s', order_id) from completion",
    "a retry is left": "select format('order %s', order_id) from retry",
    "a sub-order is at work": """
        select format('sub-order %s of order %s is %s', id, order_id, state) from sub_order
        where state in ('BUILDING', 'READY', 'RUNNING', 'PROCESSING')
    """,
    "a file is pending": """
        select format('%s of order %s', name, order_id) from data_file where state = 'PENDING' limit 5
    """,
    "a request isn't answered": "select correlation_id from order_request where state = 'RECEIVED'",
    "something of a deleted order is left": """
        select format('%s files of order %s', count(*), order_id) from data_file
        join orders on orders.id = order_id and status in ('DELETED', 'EXPIRED')
        group by order_id
    """,
}


async def unfinished(deployment: Deployment) -> list[str]:
    """Return what still has to happen before the run can be checked."""
    found = []
    async with deployment.connection() as connection:
        found += await _found(connection, _NOTHING_LEFT)
        for tenant in TENANTS:
            await connection.execute(f"set search_path to order_{tenant}")
            found += [f"{tenant}: {one}" for one in await _found(connection, _NOTHING_RUNS)]
    return found


async def _found(connection: asyncpg.Connection, queries: dict[str, str]) -> list[str]:
    return [
        f"{what}: {row[0]}"
        for what, query in queries.items()
        for row in await connection.fetch(query)
    ]


async def differences(deployment: Deployment, customers: Iterable[Customer]) -> list[str]:
    """Return everything that isn't as it should be, as a line for each."""
    found = [f"{one.plan}: {refusal}" for one in customers for refusal in one.refusals]
    for tenant in TENANTS:
        async with deployment.connection(tenant) as connection:
            found += [f"{tenant}: {one}" for one in await _invariants(connection)]
            found += await _strangers(connection, tenant)
            for customer in customers:
                if customer.plan.tenant == tenant:
                    found += [
                        f"{customer.plan}, number {customer.order_id}: {one}"
                        async for one in _of_order(connection, customer)
                    ]
    found += _foreign_restores(deployment, customers)
    found += await _dead_letters(deployment)
    return found


async def _invariants(connection: asyncpg.Connection) -> list[str]:
    """Check counters, statuses, steps and responses as the random sequences do."""
    statement = await connection.prepare(_INVARIANTS)
    now = await connection.fetchval("select now()")
    row = await statement.fetchrow(SLOTS, 0, 0, now, True, EVENT_MEMBERS)
    assert row is not None
    lines = await connection.fetch(
        "select sub_order_id is null, before, after, reason from history where data_file_id is null"
    )
    moves = [
        f"a move that isn't allowed: {tuple(line)}" for line in lines if not is_explained(*line)
    ]
    return [*json.loads(row["wrong"]), *moves]


async def _strangers(connection: asyncpg.Connection, tenant: str) -> list[str]:
    """Find rows of other tenants: each owner and each correlation id names its tenant."""
    rows = await connection.fetch(
        "select distinct owner from orders where owner not like $1", f"%@{tenant}.example.org"
    )
    rows += await connection.fetch(
        "select correlation_id from order_request where correlation_id not like $1", f"{tenant}-%"
    )
    return [f"{tenant}: a row of another tenant: {row[0]}" for row in rows]


async def _of_order(connection: asyncpg.Connection, customer: Customer) -> AsyncIterator[str]:
    row = await connection.fetchrow(
        """
        select status, correlation_id, (
            select reason from history
            where order_id = $1 and sub_order_id is null and data_file_id is null
            order by id desc limit 1) as reason
        from orders where id = $1
        """,
        customer.order_id,
    )
    if row is None:
        yield "it doesn't exist"
        return
    expected = _expected_status(customer)
    # An order with a failed download stays so, although the file was downloaded later (domain.md 9.3).
    downloads_failed = expected == "DONE" and row["reason"] == "download-errors"
    if row["status"] != expected and not downloads_failed:
        yield f"it is {row['status']}, not {expected}"
    async for difference in _files(connection, customer):
        yield difference
    for difference in await _responses(connection, customer, row["correlation_id"]):
        yield difference


def _expected_status(customer: Customer) -> str:
    if customer.plan.fate is Fate.CANCELLED:
        return "DELETED"
    return "DONE_WITH_WARNING" if customer.plan.fate is Fate.ERRORS else "DONE"


async def _files(connection: asyncpg.Connection, customer: Customer) -> AsyncIterator[str]:
    """Compare the state of each file with what storage said about it."""
    rows = await connection.fetch(
        "select name, state, checksum, reason from data_file where order_id = $1", customer.order_id
    )
    expected = 0 if customer.plan.fate is Fate.CANCELLED else customer.plan.files
    if len(rows) != expected or len({row["name"] for row in rows}) != expected:
        yield f"it has {len(rows)} files, not {expected}"
    lost = {file.checksum for file in customer.lost_files} & set(
        customer.deployment.sandbox.faults.storage_errors
    )
    wrong: Counter[str] = Counter()
    for row in rows:
        right = "ERROR" if row["checksum"] in lost else "DOWNLOADED"
        if row["state"] != right:
            wrong[f"{row['state']} ({row['reason']}), not {right}"] += 1
    for what, count in wrong.items():
        yield f"{count} files are {what}"


async def _responses(
    connection: asyncpg.Connection, customer: Customer, correlation_id: str
) -> list[str]:
    """Compare what the peer received with what the order's transitions wrote, in their order."""
    written = await connection.fetch(
        "select message_id, body::json ->> 'status' as status from order_response"
        " where order_id = $1 or correlation_id = $2 order by id",
        customer.order_id,
        correlation_id,
    )
    received = customer.peer.responses[correlation_id]
    first: dict[str, Received] = {}
    for response in received:
        first.setdefault(str(response.message_id), response)
    found = []
    if list(first) != [str(row["message_id"]) for row in written]:
        statuses = [one.status for one in first.values()]
        found.append(f"received {statuses}, written {[row['status'] for row in written]}")
    statuses = [row["status"] for row in written]
    if customer.plan.door is Door.AMQP and statuses[:1] != ["GRANTED"]:
        found.append(f"its first response isn't GRANTED: {statuses}")
    if customer.plan.door is Door.REST and "GRANTED" in statuses:
        found.append("it has a GRANTED, although no service asked for it")
    tenants = {str(one.headers.get("regards.tenant")) for one in received}
    if tenants - {customer.plan.tenant}:
        found.append(f"responses came as those of {tenants}")
    return found


def _foreign_restores(deployment: Deployment, customers: Iterable[Customer]) -> list[str]:
    """Find restore requests of a tenant for files that only another tenant ordered."""
    tenant_of = {}
    for customer in customers:
        holding = deployment.sandbox.holdings.named(customer.plan.dataset)
        assert holding is not None
        for position in range(customer.plan.files):
            tenant_of[holding.product(position).files[0].checksum] = customer.plan.tenant
    return [
        f"{request.tenant} asked storage for a file of {tenant_of.get(checksum)}"
        for request in deployment.sandbox.restores.requests
        for checksum in request.checksums
        if tenant_of.get(checksum) != request.tenant
    ]


async def _dead_letters(deployment: Deployment) -> list[str]:
    """Return the dead letters that aren't rubbish."""
    found = []
    assert deployment.broker.management_url is not None
    async with Management(deployment.broker.management_url) as management:
        for vhost in VHOSTS:
            names = [name for name in await management.queue_names(vhost) if name.endswith("DLQ")]
            async with await aio_pika.connect(f"{deployment.servers.amqp_url}/{vhost}") as link:
                channel = await link.channel()
                for name in names:
                    queue = await channel.get_queue(name, ensure=False)
                    while message := await queue.get(fail=False):
                        if MARK not in message.headers:
                            found.append(
                                f"a dead letter in {name}: {message.body[:300]!r} {message.headers}"
                            )
    return found
