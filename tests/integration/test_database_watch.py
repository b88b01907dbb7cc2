"""The watch notices a database that doesn't answer, with or without an error (issue 11, F1)."""

import asyncio
from collections.abc import AsyncIterator, Callable

import asyncpg
import pytest

from rs_order.store.pool import Connection, Pool, open_pool, transaction
from rs_order.store.watch import WRITE_PROBE
from tests.support.database_watch import Watching, running
from tests.support.polling import eventually
from tests.support.proxy import TcpProxy, tcp_proxy

WAIT_SECONDS = 30


@pytest.fixture
async def fresh_pool(database_url: str) -> AsyncIterator[Pool]:
    """Open a pool in a database of the test's own."""
    async with await open_pool(database_url, size=2) as opened:
        yield opened


@pytest.mark.parametrize(
    ("fail", "repair"),
    [
        (TcpProxy.pause, TcpProxy.resume),
        (lambda proxy: proxy.cut(refuse=True), TcpProxy.accept),
    ],
    ids=["hangs", "refuses"],
)
async def test_a_lost_database_is_noticed_and_so_is_its_return(
    fail: Callable[[TcpProxy], None],
    repair: Callable[[TcpProxy], None],
    database_url: str,
    pool: Pool,
) -> None:
    """No message is kept by a process that can't handle it, and nobody has to restart the process."""
    async with (
        asyncio.timeout(WAIT_SECONDS),
        tcp_proxy(database_url) as proxy,
        running(Watching(proxy.url, pool)) as watch,
    ):
        await eventually(lambda: watch.error is None, "the first check")
        fail(proxy)
        await watch.lost.wait()
        assert watch.error is not None
        assert not watch.back.is_set()
        repair(proxy)
        await watch.back.wait()
        assert watch.error is None


async def test_a_server_that_only_reads_counts_as_lost(database_url: str, fresh_pool: Pool) -> None:
    """Messages can't be handled with it. After the failover a new connection leads to another server."""
    name = await fresh_pool.fetchval("select current_database()")
    async with (
        asyncio.timeout(WAIT_SECONDS),
        fresh_pool.acquire() as session,
        running(Watching(database_url, fresh_pool)) as watch,
    ):
        await session.execute(f"alter database {name} set default_transaction_read_only = on")
        await end_other_sessions(session)
        await watch.lost.wait()
        assert watch.error == "read-only"
        await session.execute(f"alter database {name} reset default_transaction_read_only")
        await watch.back.wait()


async def end_other_sessions(session: Connection) -> None:
    """End the sessions of the watch, so that its next one has the new defaults of the database."""
    await session.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = current_database() and pid <> pg_backend_pid()"
    )


async def test_a_full_disk_counts_as_lost_until_a_write_succeeds(
    database_url: str, fresh_pool: Pool
) -> None:
    """Most statements succeed on a full disk. A unit of work that fails lets the watch write, too."""
    await fresh_pool.execute(
        "create table disk (full_ boolean);"
        "insert into disk values (true);"
        "create function write() returns void language plpgsql as $$ begin"
        " if (select full_ from disk) then raise 'full' using errcode = 'disk_full'; end if; end $$"
    )
    async with (
        asyncio.timeout(WAIT_SECONDS),
        running(Watching(database_url, fresh_pool, write_probe="select write()")) as watch,
    ):
        await eventually(lambda: watch.error is None, "a check that doesn't write")
        with pytest.raises(asyncpg.DiskFullError):
            async with transaction(fresh_pool) as connection:
                await connection.execute("select write()")
        await watch.lost.wait()
        assert watch.error == "disk-full"
        await fresh_pool.execute("update disk set full_ = false")
        await watch.back.wait()


async def test_the_probe_writes_to_the_disk_of_the_server(pool: Pool) -> None:
    """It sorts more than fits in memory, so the server uses a temporary file."""
    settings, _, query = WRITE_PROBE.partition(";")
    async with transaction(pool) as connection:
        await connection.execute(settings)
        plan = await connection.fetch(f"explain analyze {query}")

    assert any("external merge" in line["QUERY PLAN"] for line in plan)
