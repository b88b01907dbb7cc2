"""``orders``, ``audit``, ``tenant disable`` and ``migrate --status``, run within the process of the tests."""

import asyncio
import csv
import getpass
import json
import re
from collections.abc import Awaitable, Callable

import asyncpg
import pytest
from typer.testing import CliRunner, Result

from rs_order.cli import app
from rs_order.domain.ids import SubOrderId
from rs_order.domain.shares import HALF_LIFE, Amount
from rs_order.domain.states import FileState, OrderStatus, SubOrderState
from rs_order.store.pool import Pool
from rs_order.store.unit_of_work import Store
from tests.integration.conftest import TENANT
from tests.support.clock import NOW
from tests.support.rows import OWNER, TenantRows, in_tenant

Command = Callable[..., Awaitable[Result]]


@pytest.fixture
def command(commands_here: None) -> Command:
    """Return a function that runs a command on the migrated database."""

    async def run(*arguments: str, answer: str | None = None) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, app, arguments, input=answer)

    return run


async def test_orders_are_listed_shown_and_cancelled(command: Command, rows: TenantRows) -> None:
    """Filters, tables and JSON; cancelling asks or needs --yes, and is in history and audit."""
    done = await rows.order(OrderStatus.DONE)
    running = await rows.order(OrderStatus.RUNNING)
    tenant = ("--tenant", TENANT)

    table = (await command("orders", "list", *tenant)).stdout.splitlines()
    found = await command("orders", "list", *tenant, "--status", "done", "--json")
    unknown = await command("orders", "show", "4711", *tenant)
    unasked = await command("orders", "cancel", str(running), *tenant)
    cancelled = await command("orders", "cancel", str(running), *tenant, "--yes")
    again = await command("orders", "cancel", str(running), *tenant, "--yes")
    shown = (await command("orders", "show", str(running), *tenant)).stdout
    audit = json.loads((await command("audit", "list", "--action", "order", "--json")).stdout)

    assert table[0].split()[:3] == ["ID", "STATUS", "DONE"]
    assert [line.split()[:2] for line in table[1:]] == [
        [str(running), "RUNNING"],
        [str(done), "DONE"],
    ]
    (one,) = json.loads(found.stdout)
    assert (one["id"], one["owner"], one["status"]) == (done, OWNER, "DONE")
    assert (unknown.exit_code, unasked.exit_code) == (1, 2)
    assert f"no order 4711 in {TENANT}" in unknown.stderr
    assert (cancelled.exit_code, again.exit_code) == (0, 0), cancelled.output
    assert f"Order {running} of {OWNER} is deleted" in cancelled.stdout
    assert again.stdout == f"Order {running} was deleted before\n"
    assert shown.startswith(f"Order {running}: DELETED since ")
    assert "cancel-request" in shown
    (entry,) = audit
    assert (entry["action"], entry["door"], entry["actor"]) == (
        "order.cancelled",
        "cli",
        getpass.getuser(),
    )
    assert entry["before"] == {"status": "RUNNING", "owner": OWNER}


@pytest.mark.parametrize(
    ("answer", "ended_with"), [("n\n", (1, "DONE")), ("", (130, "DONE")), ("y\n", (0, "DELETED"))]
)
async def test_a_cancellation_is_confirmed(
    command: Command,
    rows: TenantRows,
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    ended_with: tuple[int, str],
) -> None:
    """On a terminal. An answer that never comes is an interruption."""
    monkeypatch.setattr("rs_order.cli.order_commands.can_ask", lambda: True)
    order = await rows.order(OrderStatus.DONE)

    ended = await command("orders", "cancel", str(order), "--tenant", TENANT, answer=answer)
    shown = await command("orders", "show", str(order), "--tenant", TENANT, "--json")

    assert f"Order {order} of {OWNER} is DONE with 0 files" in ended.stdout
    assert (ended.exit_code, json.loads(shown.stdout)["status"]) == ended_with


async def test_a_tenant_is_disabled_and_added_again(command: Command) -> None:
    """Its data stays; the audit has both acts, as table and CSV."""
    disabled = await command("tenant", "disable", TENANT)
    again = await command("tenant", "disable", TENANT)
    listed = await command("tenant", "list")
    orders = await command("orders", "list", "--tenant", TENANT)
    added = await command("tenant", "add", TENANT)
    of_tenant = ("audit", "list", "--tenant", TENANT, "--actor", getpass.getuser())
    text = (await command(*of_tenant, "--csv")).stdout
    table = (await command(*of_tenant)).stdout.splitlines()

    assert (disabled.exit_code, added.exit_code) == (0, 0), disabled.output
    assert (again.exit_code, orders.exit_code) == (1, 1)
    assert listed.stdout == "project2\n"
    actions = [row["ACTION"] for row in csv.DictReader(text.splitlines(), delimiter=";")]
    assert actions == ["tenant.added", "tenant.disabled"]
    assert [line.split()[5] for line in table[1:]] == actions


async def test_the_state_of_migrations(
    command: Command, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty database is behind: exit code 1, and --dry-run prints what would run. Nothing changes."""
    monkeypatch.setenv("RS_ORDER_DATABASE_URL", database_url)
    behind = await command("migrate", "--status")
    sql = (await command("migrate", "--dry-run")).stdout
    both = await command("migrate", "--status", "--dry-run")
    connection = await asyncpg.connect(database_url)
    try:
        assert await connection.fetchval("select to_regnamespace('rs_order')") is None
        await connection.execute("create schema rs_order")
        for part in sql.split("-- rs_order: ")[1:]:
            await connection.execute(part.partition("\n")[2])
    finally:
        await connection.close()

    assert (behind.exit_code, both.exit_code) == (1, 2)
    assert "rs_order        0  -" in behind.stdout
    assert "0001_initial.before.sql" in behind.stdout


async def test_the_state_of_migrated_schemas(command: Command) -> None:
    """Each schema is listed with nothing that is missing: exit code 0."""
    current = await command("migrate", "--status", "--json")
    nothing = await command("migrate", "--dry-run")

    schemas = json.loads(current.stdout)
    assert current.exit_code == 0
    assert [one["schema"] for one in schemas] == ["rs_order", "order_project1", "order_project2"]
    assert {tuple(one["missing"]) for one in schemas} == {()}
    assert nothing.stdout == "-- Nothing would run\n"


async def test_holds_are_added_listed_and_ended(command: Command, rows: TenantRows) -> None:
    """A hold of what doesn't exist, or with an end in the past, is one line and changes nothing."""
    order = await rows.order()
    add = ("hold", "add", "--tenant", TENANT, "--reason", "repair", "--until")
    past = await command(*add, "2020-01-01")
    unknown = await command(*add, "2099-01-01", "--order", "4711")
    none = await command("hold", "list")
    held = await command(*add, "2099-01-01T12:00:00", "--order", str(order))
    table = (await command("hold", "list", "--tenant", TENANT)).stdout.splitlines()
    (shown,) = json.loads((await command("hold", "list", "--json")).stdout)
    ended = await command("hold", "end", str(shown["id"]), "--reason", "repaired")
    again = await command("hold", "end", str(shown["id"]))

    assert (past.exit_code, unknown.exit_code, again.exit_code) == (1, 1, 1)
    assert "must be in the future" in past.stderr
    assert f"no order 4711 in {TENANT}" in unknown.stderr
    assert none.stdout == "No holds\n"
    assert f"order {order} of {TENANT} is held until 2099-01-01 12:00:00" in held.stdout
    assert table[1].split()[1:6] == [TENANT, "order", str(order), "2099-01-01", "12:00:00"]
    assert (shown["orderId"], shown["by"]) == (order, getpass.getuser())
    assert ended.exit_code == 0, ended.output
    assert "a running service starts what was held" in ended.stdout


async def test_why_an_order_is_not_further(command: Command, rows: TenantRows, pool: Pool) -> None:
    """The reason, others, what is ahead, and until when; as lines and as JSON."""
    order, other = await rows.order(), await rows.order()
    await rows.sub_order(order, {"a": FileState.PENDING})
    await rows.sub_order(order, {"b": FileState.AVAILABLE}, state=SubOrderState.WAITING)
    await rows.sub_order(order, {"c": FileState.PENDING}, state=SubOrderState.READY)
    why = ("why", "--tenant", TENANT)
    async with in_tenant(pool, TENANT) as connection:
        await connection.execute("update sub_order set asked_at = now()")
    lines = (await command(*why, str(order))).stdout.splitlines()
    as_json = json.loads((await command(*why, str(order), "--json")).stdout)
    unknown = await command(*why, "4711")
    elsewhere = await command("why", "--tenant", "nowhere", str(other))

    assert lines[0] == f"Order {order} of {OWNER}: RUNNING, 33 %"
    assert re.fullmatch(r"storage-restoring since \S+ \S+ UTC; storage can change it", lines[1])
    assert lines[2] == "  Files that storage is bringing back: 1. Storage also works for others."
    assert lines[3] == "also your-download-needed, sub-orders: 1"
    assert lines[5:] == [
        "ahead of it, sub-orders: 1, files: 1, bytes: 10",
        "No time is known: your-download-needed",
    ]
    assert (as_json["orderId"], as_json["reason"]["code"]) == (order, "storage-restoring")
    assert (unknown.exit_code, "has no order 4711" in unknown.stderr) == (1, True)
    assert (elsewhere.exit_code, "No tenant nowhere" in elsewhere.stderr) == (1, True)


async def test_shares_and_the_queue_are_shown_and_changed(command: Command, store: Store) -> None:
    """A preview shows the queue as it would be. A weight out of range is one line."""
    async with store.unit_of_work(TENANT) as uow:
        await uow.capacity.charge(OWNER, 10**9, NOW, HALF_LIFE)
        await uow.capacity.wait(OWNER, NOW)
        await uow.capacity.wait("joe@example.org", NOW)
    set_ = ("shares", "set", "--tenant", TENANT, "--reason", "a campaign")
    before = json.loads((await command("queue", "--json")).stdout)
    held = (
        "hold",
        "add",
        "--tenant",
        TENANT,
        "--reason",
        "x",
        "--until",
        "2099-01-01",
        "--preview",
    )
    preview = await command(*held)
    wrong = await command(*set_, "--weight", "0")
    changed = await command(*set_, "--user", OWNER, "--weight", "2")
    listed = (await command("shares", "list", "--tenant", TENANT)).stdout.splitlines()
    previewed = await command(*set_, "--user", OWNER, "--preview")
    as_json = json.loads((await command("shares", "list", "--tenant", TENANT, "--json")).stdout)
    queue = (await command("queue", "--tenant", "project2")).stdout.splitlines()

    assert [one["user"] for one in before["next"]] == ["joe@example.org", OWNER]
    assert "Nobody waits for capacity" in preview.stdout, preview.output
    assert (wrong.exit_code, "from 0.001 to 1000" in wrong.stderr) == (1, True)
    assert changed.stdout == f"The weight of user {OWNER} is 2\n"
    assert listed[-1].split()[:3] == ["user", OWNER, "2.0"]
    assert OWNER in previewed.stdout
    assert as_json[-1]["weight"] == 2.0
    assert queue[0] == "Running: 0 of no limit; about to start: 0"
    assert [line.split() for line in queue[2:]] == [["1", "-", "-", "-"], ["2", "-", "-", "-"]]


async def test_limits_are_set_previewed_and_listed(command: Command, store: Store) -> None:
    """Limits of the project and of each user. One that is out of range is one line."""
    async with store.unit_of_work(TENANT) as uow:
        await uow.capacity.acquire(OWNER, {SubOrderId(1): Amount(1, 2, 3)})
        await uow.capacity.wait(OWNER, NOW)
    set_ = ("limits", "set", "--tenant", TENANT, "--reason", "a small library")
    preview = await command(*set_, "--files", "1", "--preview")
    wrong = await command(*set_, "--bytes", "-1")
    changed = await command(*set_, "--files", "100", "--bytes", "5000")
    of_users = await command(*set_, "--users", "--sub-orders", "3")
    listed = (await command("limits", "list", "--tenant", TENANT)).stdout.splitlines()
    as_json = json.loads((await command("limits", "list", "--tenant", TENANT, "--json")).stdout)

    assert "Nobody waits for capacity" in preview.stdout, preview.output
    assert (wrong.exit_code, "from 0 (none) to" in wrong.stderr) == (1, True)
    assert changed.stdout.startswith(
        f"The limit of {TENANT} is 0 sub-orders, 100 files, 5000 bytes"
    )
    assert of_users.stdout.startswith("The limit of each user is 3 sub-orders")
    assert [line.split()[-3:] for line in listed[1:]] == [
        ["0", "0", "0"],
        ["0", "100", "5000"],
        ["3", "0", "0"],
        ["1", "2", "3"],
    ]
    assert as_json["inFlight"] == {"subOrders": 1, "files": 2, "bytes": 3}
