"""The commands of docs/topics/backup.md copy a tenant under another name, and restore everything."""

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import asyncpg
import pytest

from rs_order.domain.ids import Tenant
from rs_order.domain.states import FileState, OrderStatus
from rs_order.store.pool import open_pool
from tests.support.rows import TenantRows
from tests.support.stores import MigratedDatabases
from tests.support.tools import PSQL, program

PAGE = (Path(__file__).parents[2] / "docs/topics/backup.md").read_text(encoding="utf-8")
DEMO = Tenant("demo")
CONTENT = "select id, owner, label, status, pending_files from {}.orders order by id"


def commands_with(text: str) -> str:
    """Return the commands of the one block that holds a text."""
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```", PAGE, re.MULTILINE | re.DOTALL)
    (found,) = [block for block in blocks if text in block]
    return dedent(found)


@dataclass
class Archive:
    """A database with one tenant that has orders, and a folder for dumps."""

    url: str
    folder: Path

    async def run(self, text: str, **variables: str) -> None:
        """Run the commands with a text as an operator does."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        kept = {name: value for name, value in os.environ.items() if "RS_ORDER" not in name}
        process = await asyncio.create_subprocess_exec(
            *("bash", "-euo", "pipefail", "-c", commands_with(text)),
            cwd=self.folder,
            env={**kept, "PATH": path, "RS_ORDER_DATABASE_URL": self.url, **variables},
            stdout=PIPE,
            stderr=STDOUT,
        )
        output, _ = await process.communicate()
        assert process.returncode == 0, output.decode()

    async def rows(self, query: str, url: str | None = None) -> list[tuple[Any, ...]]:
        async with connected(url or self.url) as connection:
            return [tuple(row) for row in await connection.fetch(query)]


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture
async def archive(migrated_databases: MigratedDatabases, tmp_path: Path) -> AsyncIterator[Archive]:
    await program(PSQL)
    async with migrated_databases.url(DEMO) as url:
        async with await open_pool(url, size=1) as pool:
            rows = TenantRows(pool, DEMO)
            await rows.order(OrderStatus.DONE, owner="order_demo@example.org")
            running = await rows.order(OrderStatus.RUNNING)
            await rows.sub_order(running, {"c1": FileState.PENDING, "c2": FileState.AVAILABLE})
        yield Archive(url, tmp_path)


async def test_a_tenant_is_restored_under_another_name(archive: Archive) -> None:
    """Rows, constraints, triggers and sequences are those of the copy, and the copy is served."""
    for text in ("--file=demo.sql", "sed -e", "insert into rs_order.audit", "tenant add copy"):
        await archive.run(text)

    original = await archive.rows(CONTENT.format("order_demo"))
    assert await archive.rows(CONTENT.format("order_copy")) == original
    assert len(original) == 2
    files = "select checksum, state from order_copy.data_file order by id"
    assert await archive.rows(files) == [("c1", "PENDING"), ("c2", "AVAILABLE")]
    capacity = "select tenant, owner from rs_order.running_sub_order"
    assert await archive.rows(capacity) == [("copy", "jane@example.org")]
    audit = "select object_id, action from rs_order.audit where tenant = 'copy' order by at"
    assert await archive.rows(audit) == [("demo", "tenant.added"), ("copy", "tenant.added")]
    assert await archive.rows("select name from rs_order.tenant where active order by 1") == [
        ("copy",),
        ("demo",),
    ]
    async with connected(archive.url) as connection:
        await connection.execute("set search_path to order_copy")
        with pytest.raises(asyncpg.CheckViolationError, match="can't go from DONE to PENDING"):
            await connection.execute("update orders set status = 'PENDING' where status = 'DONE'")


async def test_everything_is_restored_to_an_earlier_instant(
    archive: Archive, database_url: str
) -> None:
    """No id of an order that was created after the backup is used again."""
    await archive.run("--format=custom")
    ids = "insert into {}.orders (owner, role, label, correlation_id, sub_order_hours)"
    later = f"{ids.format('order_demo')} values ('x', 'y', 'z', 'c', 1) returning id"
    ((lost,),) = await archive.rows(later)
    await archive.run("pg_restore", RESTORED_URL=database_url)
    await archive.run("setval", RESTORED_URL=database_url)

    before = [row for row in await archive.rows(CONTENT.format("order_demo")) if row[0] != lost]
    assert await archive.rows(CONTENT.format("order_demo"), database_url) == before
    ((new,),) = await archive.rows(later, database_url)
    assert new > lost + 999_000
    audit = "select action, object_id, at from rs_order.audit order by id"
    assert await archive.rows(audit, database_url) == await archive.rows(audit)
