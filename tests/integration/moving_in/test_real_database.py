"""The rows of a real Java service are taken over, and agree with what was done to them (moving-in.md)."""

import asyncio
import csv
import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from rs_order.cli import app as commands
from rs_order.demo.servers.lifecycle import Servers
from rs_order.domain.ids import OrderId, SubOrderId
from rs_order.store.pool import Pool
from rs_order.store.unit_of_work import Store
from tests.integration.conftest import TENANT
from tests.integration.moving_in.java_database import REAL_ROWS, java_database, load_real_rows
from tests.integration.moving_in.test_import import FAR
from tests.support.rows import in_tenant

BEGUN_AGAIN = {48, 60}
"""Orders whose creation the stop had interrupted."""
DUE = {7}
"""Orders that had expired, which the Java service hadn't noticed."""


@pytest.fixture(params=[False, True], ids=["stopped", "killed"])
async def source(request: pytest.FixtureRequest, servers: Servers) -> AsyncIterator[str]:
    """The URL of a database with the rows, as they were after the stop, and seconds before."""
    if not REAL_ROWS.is_dir():
        pytest.skip(f"the rows of a real database aren't there: {REAL_ROWS}")
    async with java_database(servers.database_url) as (url, connection):
        await load_real_rows(connection, while_running=request.param)
        yield url


@pytest.fixture
async def report(source: str, commands_here: None, tmp_path: Path) -> dict[str, Any]:
    """The report of its import."""
    arguments = ["import-java", "--from", source, "--tenant", TENANT, "--json"]
    result = await asyncio.to_thread(
        CliRunner().invoke, commands, [*arguments, "--templates", str(tmp_path)]
    )
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def expected_orders() -> dict[int, dict[str, str]]:
    """Return what was done to each order, and what it must be."""
    with (REAL_ROWS / "expected.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["order_id"] and row["expected_status"]]
    return {int(row["order_id"]): row for row in rows}


async def test_every_order_is_what_was_done_to_it(report: dict[str, Any], pool: Pool) -> None:
    """Status, sub-orders and files per state; nothing is left out but an emptied sub-order."""
    wanted = expected_orders()
    async with in_tenant(pool, TENANT) as connection:
        orders = await connection.fetch("select * from orders order by id")
        files = await connection.fetch("select order_id, state from data_file")
    states = Counter((row["order_id"], row["state"]) for row in files)

    assert [row["id"] for row in orders] == sorted(wanted)
    for row in orders:
        expected = wanted[row["id"]]
        assert row["status"] == expected["expected_status"]
        assert row["correlation_id"] == expected["correlation_id"]
        for state in ("pending", "available", "downloaded", "download_error", "error"):
            assert states[row["id"], state.upper()] == int(expected[f"files_{state}"])
        failed = states[row["id"], "PROCESSING_ERROR"]
        assert failed == int(expected["files_processing_error"])
    left_out = {one["table"]: one["leftOut"]["rows"] for one in report["tables"]}
    assert {table: rows for table, rows in left_out.items() if rows} == {"sub_orders": 1}


async def test_what_was_under_way_goes_on(report: dict[str, Any], pool: Pool, store: Store) -> None:
    """Creations and a process begin again, requests that waited in a job are received, expiries are due."""
    rules = {one["rule"]: one["ids"] for one in report["findings"]}
    async with in_tenant(pool, TENANT) as connection:
        steps = await connection.fetch(
            "select body::json ->> 'step' as step, (body::json ->> 'orderId')::bigint as order_id"
            " from rs_order.outbox where kind = 'STEP'"
        )
        requests = await connection.fetch("select correlation_id, state from order_request")
        inputs = await connection.fetch("select sub_order_id, state from process_input")
    sent = {(row["step"], row["order_id"]) for row in steps}

    assert set(rules["creation-begins-again"]) == BEGUN_AGAIN
    assert {("complete-order", order) for order in BEGUN_AGAIN} <= sent
    assert {("expire-order", order) for order in DUE} <= sent
    assert {(row["correlation_id"], row["state"]) for row in requests} == {
        ("request-late1", "RECEIVED"),
        ("request-late2", "RECEIVED"),
    }
    assert [tuple(row) for row in inputs] == [(132, "PENDING"), (132, "PENDING")]
    async with store.unit_of_work(TENANT) as uow:
        orders = await uow.reconciliation.check_orders(OrderId(0), 1000, FAR)
        sub_orders = await uow.reconciliation.check_sub_orders(SubOrderId(0), 1000, 100_000)
    assert [one.id for one in orders if one.miscounted or one.left_behind] == []
    assert [one.id for one in sub_orders if one.miscounted] == []
