"""Orders of a Java service are taken over with everything below them, and every damage is named."""

import asyncio
import csv
import hashlib
import itertools
import json
import random
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner, Result

from rs_order.app.database import open_database
from rs_order.app.moving_in import opened_import
from rs_order.cli import app as commands
from rs_order.cli.terminal import operator
from rs_order.demo.servers.lifecycle import Servers
from rs_order.domain.ids import OrderId, SubOrderId, Tenant
from rs_order.domain.moves import Reason
from rs_order.domain.states import OrderStatus
from rs_order.moving_in.copy import SliceLimits
from rs_order.moving_in.rules import EXPLANATIONS, Rule
from rs_order.moving_in.run import MovingIn, Options, Progress
from rs_order.settings import load_settings
from rs_order.store.java_source import SourceAddress, opened_source
from rs_order.store.pool import Pool
from rs_order.store.unit_of_work import Store
from tests.integration.conftest import OTHER, TENANT
from tests.integration.moving_in.java_database import java_database
from tests.integration.moving_in.java_orders import (
    JavaOrders,
    StoredFile,
    damage_everything,
    healthy_orders,
)
from tests.support.polling import eventually
from tests.support.rows import TenantRows, in_tenant

ORDERS = 200
KILLS = 5
FAR = datetime(3000, 1, 1, tzinfo=UTC)
STORED = [
    StoredFile(
        name=f"file_{number}.dat",
        size=1000,
        checksum=hashlib.md5(b"%d" % number, usedforsecurity=False).hexdigest(),
        product=f"URN:AIP:DATA:demo:{number}:V1",
    )
    for number in range(30)
]
CONTENT = {
    # The time of an import differs: its orders that end have it, and the next checks of the others.
    "orders": "select to_jsonb(orders) - 'events_due_at' - case when events > 0 then 'status_at' else '' end"
    " from orders order by id",
} | {
    table: f"select * from {table} order by 1, 2"  # noqa: S608 - our own names
    for table in (
        "dataset_task",
        "sub_order",
        "data_file",
        "basket",
        "dataset_selection",
        "dated_selection",
        "process_batch",
        "completion",
        "setting",
    )
}

WAITING_CANCEL = """
with job as (
    insert into order_.t_job_info (id, class_name, status, status_date, locked)
    values (gen_random_uuid(), 'fr.cnes.regards.CancelOrderJob', 'QUEUED', '2025-01-01', false)
    returning id
)
insert into order_.t_job_parameters (job_id, class_name, name, value)
select id, 'java.util.ArrayList', 'ORDERS_TO_CANCEL', $1 from job
"""
COPIED = "select count(*) from moving_in_slice where tally is not null"


@dataclass
class JavaSide:
    """The database of a Java service, and the command that takes it over."""

    url: str
    connection: asyncpg.Connection
    orders: JavaOrders
    folder: Path

    async def command(self, *options: str, source: bool = True, tenant: Tenant = TENANT) -> Result:
        """Run ``rs-order import-java`` for a tenant."""
        arguments = ["import-java", "--tenant", tenant, *options]
        if source:
            arguments += ["--from", self.url, "--templates", str(self.folder)]
        return await asyncio.to_thread(CliRunner().invoke, commands, arguments)

    def process(self, *options: str) -> Awaitable[asyncio.subprocess.Process]:
        """Start the command as a process of its own."""
        return asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "rs_order", "import-java", "--from", self.url),
            *("--templates", str(self.folder), *options),
            stdout=PIPE,
            stderr=PIPE,
        )

    async def report(self, *options: str, tenant: Tenant = TENANT) -> dict[str, Any]:
        """Run the command, which has to succeed, and return its report."""
        result = await self.command("--json", *options, tenant=tenant)
        assert result.exit_code == 0, result.output
        report: dict[str, Any] = json.loads(result.stdout)
        return report


@pytest.fixture
async def java(servers: Servers, commands_here: None, tmp_path: Path) -> AsyncIterator[JavaSide]:
    """200 orders of a Java service, with every kind of damage."""
    orders = JavaOrders(STORED)
    damage_everything(orders)
    healthy_orders(orders, ORDERS - len(orders.rows["t_order"]))
    async with java_database(servers.database_url) as (url, connection):
        await orders.load(connection)
        yield JavaSide(url, connection, orders, tmp_path)


async def content(pool: Pool, tenant: Tenant = TENANT) -> dict[str, list[tuple[Any, ...]]]:
    """Return what a tenant has, apart from sequences and times of the import."""
    async with in_tenant(pool, tenant) as connection:
        return {
            table: [tuple(row) for row in await connection.fetch(query)]
            for table, query in CONTENT.items()
        }


def test_every_rule_is_explained_and_tested() -> None:
    """A rule without words, or one that the source below doesn't need, would be untested."""
    orders = JavaOrders(STORED)
    damage_everything(orders)

    assert set(EXPLANATIONS) == set(Rule) == set(orders.expected)


async def test_a_check_names_every_damage_and_writes_nothing(java: JavaSide, pool: Pool) -> None:
    """M4 and M5: each rule with the ids that were damaged, and how long the import will take."""
    before = await content(pool)

    report = await java.report("--check")

    found = {one["rule"]: sorted(one["ids"]) for one in report["findings"]}
    assert found == {rule: sorted(ids) for rule, ids in java.orders.expected.items()}
    assert report["expectedSeconds"] is not None
    assert await content(pool) == before


async def test_everything_comes_or_is_named(java: JavaSide, pool: Pool) -> None:
    """M1 and M4: the same findings as those of a check, and the counts of both sides agree."""
    checked = await java.report("--check")

    report = await java.report()

    assert report["findings"] == checked["findings"]
    assert report["tables"] == checked["tables"]
    assert report["agrees"]
    orders = sum(one["here"]["rows"] for one in report["tables"] if one["table"] == "orders")
    assert orders == ORDERS


async def test_the_reconciler_finds_nothing(java: JavaSide, store: Store) -> None:
    """Counters, states and totals are right, and nothing was left behind."""
    await java.report()

    async with store.unit_of_work(TENANT) as uow:
        orders = await uow.reconciliation.check_orders(OrderId(0), 1000, FAR)
        sub_orders = await uow.reconciliation.check_sub_orders(SubOrderId(0), 1000, 100_000)
        removed = await uow.reconciliation.check_removed(OrderId(0), 1000)
    assert len(orders) == ORDERS
    assert [one.id for one in orders if one.miscounted or one.left_behind] == []
    assert [one.id for one in sub_orders if one.miscounted] == []
    assert [order for order, is_removed in removed if is_removed] == []


async def test_a_second_import_changes_nothing(java: JavaSide, pool: Pool) -> None:
    """M7: it prints the report of the first one."""
    first = await java.report()
    before = await content(pool)

    second = await java.report()

    assert second == first
    assert await content(pool) == before


async def test_cancel_requests_that_waited_are_received(java: JavaSide, pool: Pool) -> None:
    """A job of the source hadn't begun to cancel three orders, of which one isn't there any more."""
    running, done = [
        await java.connection.fetchval(
            "select max(id) from order_.t_order where status = $1", status
        )
        for status in ("RUNNING", "DONE")
    ]
    await java.connection.execute(
        WAITING_CANCEL,
        json.dumps([{"id": id_, "status": "RUNNING"} for id_ in (running, done, 10**9)]),
    )

    report = await java.report()

    (line,) = [one for one in report["tables"] if one["state"] == "CANCEL"]
    assert line["source"]["rows"] == line["here"]["rows"] == 3
    async with in_tenant(pool, TENANT) as connection:
        cancelled = await connection.fetch(
            "select distinct order_id from history where reason = 'cancel-request'"
            " and after = 'DELETED' order by 1"
        )
    assert [row["order_id"] for row in cancelled] == sorted([running, done])


class Killed(Exception):
    """The import ends here, in the middle of a commit."""


async def killed(java: JavaSide, *, calls: int, before_the_end: bool = False) -> None:
    """Import until the progress was reported so often, or until the tenant would be served again."""
    left = itertools.count(calls, -1)

    def progress(_: Progress) -> None:
        if not next(left):
            raise Killed

    async def never() -> None:
        raise Killed

    settings = load_settings()
    options = Options(limits=SliceLimits(files=7), templates=java.folder)
    async with (
        open_database(settings) as database,
        opened_source(SourceAddress(java.url, "order_"), connections=3) as source,
        opened_import(settings, database, TENANT, operator(), workers=2) as target,
    ):
        here = replace(target, activate=never) if before_the_end else target
        with pytest.raises(Killed):
            await MovingIn(source, here, options, progress).run()


async def test_an_import_that_is_killed_five_times_ends_the_same(
    java: JavaSide, pool: Pool
) -> None:
    """M7: each import goes on where the one before ended, at moments that are drawn, and once at its end.

    `test_a_source_that_changes_under_the_import_is_noticed` kills a process.
    """
    drawn = random.Random(17)  # noqa: S311 - no secret
    for _ in range(KILLS - 1):
        await killed(java, calls=drawn.randint(0, 12))
    async with in_tenant(pool, TENANT) as connection:
        copied = await connection.fetchval(COPIED)
    await killed(java, calls=-1, before_the_end=True)
    report = await java.report("--slice-files", "7")

    assert copied > 0
    assert report["agrees"]
    await java.report(tenant=OTHER)
    ours, whole = await content(pool, TENANT), await content(pool, OTHER)
    assert {
        table: [pair for pair in zip(rows, whole[table], strict=True) if pair[0] != pair[1]]
        for table, rows in ours.items()
        if rows != whole[table]
    } == {}


async def _has_copied(pool: Pool, process: asyncio.subprocess.Process, wanted: int) -> bool:
    async with in_tenant(pool, TENANT) as connection:
        copied = await connection.fetchval(COPIED)
    return process.returncode is not None or copied >= wanted


async def test_identities_stay_and_new_ones_come_after(java: JavaSide, pool: Pool) -> None:
    """M2: orders, dataset tasks, sub-orders and files have their numbers; the next ones are higher."""
    await java.report()

    async with in_tenant(pool, TENANT) as connection:
        for table, source in (
            ("orders", "t_order"),
            ("dataset_task", "t_task"),
            ("sub_order", "t_task"),
            ("data_file", "t_data_file"),
            ("basket", "t_basket"),
        ):
            ours = {row["id"] for row in await connection.fetch(f"select id from {table}")}  # noqa: S608 - our own names
            theirs = {
                row["id"]
                for row in await java.connection.fetch(f"select id from order_.{source}")  # noqa: S608 - the same
            }
            following = await connection.fetchval(
                "select nextval(pg_get_serial_sequence($1, 'id'))", table
            )
            assert ours <= theirs
            assert following > max(theirs)
        facts = "select id, owner, correlation_id, created_at from orders order by id"
        ours_ = [tuple(row) for row in await connection.fetch(facts)]
    facts = "select id, owner, correlation_id, creation_date from order_.t_order order by id"
    assert ours_ == [
        (*row[:3], row[3].replace(tzinfo=UTC)) for row in await java.connection.fetch(facts)
    ]


async def test_a_tenant_with_orders_of_its_own_is_refused(java: JavaSide, pool: Pool) -> None:
    """M7: the numbers of its orders may be those of the source."""
    await TenantRows(pool, TENANT).order()

    refused = await java.command()

    assert refused.exit_code == 1
    assert "The tenant project1 has orders, requests or baskets of its own" in refused.stderr
    async with in_tenant(pool, TENANT) as connection:
        assert await connection.fetchval("select count(*) from orders") == 1


async def test_a_source_that_lives_is_refused(java: JavaSide, pool: Pool) -> None:
    """M6: a job was alive just now. A check may be told to go on, an import not."""
    await java.connection.execute(
        "update order_.t_job_info set last_heartbeat_date = now() at time zone 'utc'"
        " where id = (select min(id::text)::uuid from order_.t_job_info)"
    )

    for options in ([], ["--check"]):
        refused = await java.command(*options)
        assert refused.exit_code == 1
        assert "StorageFilesJob) was alive at" in refused.stderr
    assert (await java.command("--even-if-running")).exit_code == 2
    report = await java.report("--check", "--even-if-running")
    assert len(report["signsOfLife"]) == 1
    async with in_tenant(pool, TENANT) as connection:
        assert await connection.fetchval("select count(*) from moving_in") == 0


async def test_a_session_that_writes_is_a_sign_of_life(java: JavaSide) -> None:
    """M6: another session has written to a table of the source and not ended its transaction."""
    async with java.connection.transaction():
        await java.connection.execute("update order_.t_order set percent_complete = 0 where id = 1")
        refused = await java.command()

    assert refused.exit_code == 1
    assert "writes t_order" in refused.stderr


async def test_a_source_that_changes_under_the_import_is_noticed(
    java: JavaSide, pool: Pool
) -> None:
    """M1: both sides are counted at the end. The tenant isn't served while they differ."""
    process = await java.process("--tenant", TENANT, "--slice-files", "7")
    await eventually(lambda: _has_copied(pool, process, 1), "one slice copied")
    process.kill()
    await process.communicate()
    await java.connection.execute("set session_replication_role = replica")
    await java.connection.execute("delete from order_.t_data_file where files_task_id is not null")

    result = await java.command("--json")

    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert not report["agrees"]
    assert any(one.startswith("files ") for one in report["differences"])
    assert (
        await pool.fetchval("select active from rs_order.tenant where name = $1", TENANT) is False
    )


async def test_what_happened_since_the_import_is_listed(
    java: JavaSide, pool: Pool, store: Store
) -> None:
    """The orders that were made or changed here, as CSV; before that there is none."""
    await java.report()
    result = await java.command("--since-import", source=False)
    before = list(csv.DictReader(result.stdout.splitlines()))
    made = await TenantRows(pool, TENANT).order()
    async with store.unit_of_work(TENANT) as uow:
        (order,) = await uow.orders.lock([OrderId(5)])
        order.move(OrderStatus.DELETED, reason=Reason.DELETED, actor="jane@example.org")
        await uow.orders.save([order], datetime.now(UTC))

    result = await java.command("--since-import", source=False)

    rows = list(csv.DictReader(result.stdout.splitlines()))
    # Orders that stood still have ended by the import itself.
    assert {row["CHANGE"] for row in before} == {"changed"}
    fresh = [row for row in rows if row not in before]
    assert [(int(row["ORDER_ID"]), row["CHANGE"], row["STATUS"]) for row in fresh] == [
        (5, "changed", "DELETED"),
        (made, "made", "RUNNING"),
    ]


async def test_settings_and_templates_come_along(java: JavaSide, store: Store) -> None:
    """M9: valid settings are the tenant's, and mail templates are in our syntax where possible."""
    report = await java.report()

    async with store.unit_of_work(TENANT) as uow:
        assert await uow.stored_settings.all() == {"app_sub_order_duration": 5}
    folder = java.folder / TENANT
    written = sorted(path.name for path in folder.iterdir())
    assert written == [
        "ASIDE_ORDERS_NOTIFICATION_TEMPLATE.ftl",
        "ORDER_CREATED_TEMPLATE.en.html",
        "ORDER_CREATED_TEMPLATE.fr.html",
    ]
    assert [Path(name).name for name in sorted(report["templates"])] == written
    text = (folder / "ORDER_CREATED_TEMPLATE.en.html").read_text()
    assert text == "Order {{ order_label }} of {{ project }}"


async def test_all_tenants_come_from_one_server(java: JavaSide, pool: Pool) -> None:
    """``--all`` puts the name of each tenant into the address, and reports each."""
    await java.connection.execute("alter schema order_ rename to order_of_project1")
    result = await asyncio.to_thread(
        CliRunner().invoke,
        commands,
        ["import-java", "--all", "--check", "--from", java.url, "--schema", "order_of_{tenant}"],
    )

    assert result.exit_code == 1
    assert "-> project1" in result.stdout
    assert "The schema order_of_project2 of the database has no t_order" in result.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "give one of --tenant and --all"),
        (["--all", "--tenant", TENANT], "give one of --tenant and --all"),
        (["--tenant", TENANT], "--from"),
        (["--all", "--from", "postgresql://x"], "{tenant}"),
        (["--tenant", TENANT, "--since-import", "--check"], "--since-import"),
    ],
)
def test_wrong_options_are_refused(options: list[str], said: str) -> None:
    """The exit code is 2, as for every wrong use."""
    result = CliRunner().invoke(commands, ["import-java", *options])

    assert result.exit_code == 2
    assert said in result.output


async def test_an_unknown_tenant_and_a_wrong_address_are_explained(commands_here: None) -> None:
    """One line says what to do."""
    for options, said in (
        (["--tenant", "nobody"], "create it with 'rs-order tenant add nobody' first"),
        (["--tenant", TENANT], "doesn't answer"),
    ):
        result = await asyncio.to_thread(
            CliRunner().invoke,
            commands,
            ["import-java", "--from", "postgresql://127.0.0.1:1/x", *options],
        )
        assert result.exit_code == 1
        assert said in result.stderr
