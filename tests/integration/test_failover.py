"""After a failover no session stays with a server that only reads (issue 11, F4).

The tests make a database read-only by default. Sessions that begin then can't write until they end.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from rs_order.app.clock import SystemClock
from rs_order.core.shared_steps import ScheduleStep
from rs_order.store.errors import StoreUnavailable
from rs_order.store.outbox import Outbox
from rs_order.store.pool import Pool, WatchedConnection, open_pool, transaction
from rs_order.store.unit_of_work import Store
from tests.integration.conftest import TENANT
from tests.support.rows import OWNER

SESSIONS = 3


@pytest.fixture
async def standby(pool: Pool) -> Callable[[], Awaitable[None]]:
    """Make the database read-only; return the failover, after which new sessions can write."""
    name = await pool.fetchval("select current_database()")
    await pool.execute(f"alter database {name} set default_transaction_read_only = on")

    async def fail_over() -> None:
        await pool.execute(f"alter database {name} reset default_transaction_read_only")

    return fail_over


class ShortLivedConnection(WatchedConnection):
    """A connection that is outdated at once if its server only reads."""

    read_only_seconds = 0


@asynccontextmanager
async def sessions_of(
    migrated_url: str, connection_class: type[WatchedConnection] = ShortLivedConnection
) -> AsyncIterator[Pool]:
    """Open a pool with all its sessions."""
    async with await open_pool(
        migrated_url, size=SESSIONS, connection_class=connection_class
    ) as opened:
        async with AsyncExitStack() as sessions:
            for _ in range(SESSIONS):
                await sessions.enter_async_context(opened.acquire())
        yield opened


async def test_the_first_write_after_a_failover_succeeds(
    standby: Callable[[], Awaitable[None]], migrated_url: str, pool: Pool
) -> None:
    """A write that fails closes all sessions, so that no later one reaches the old server."""
    async with sessions_of(migrated_url, WatchedConnection) as old:
        store = Store(old, lambda _: None)
        with pytest.raises(StoreUnavailable):
            await store.send([ScheduleStep(OWNER).to(TENANT)])
        await standby()
        for _ in range(SESSIONS):
            await store.send([ScheduleStep(OWNER).to(TENANT)])

    assert await pool.fetchval("select count(*) from rs_order.outbox") == SESSIONS


async def test_sessions_that_only_read_are_opened_again(
    standby: Callable[[], Awaitable[None]],
    migrated_url: str,
) -> None:
    """A process that doesn't write leaves the old server, too, because its data becomes stale."""
    async with sessions_of(migrated_url) as old:
        await standby()
        async with transaction(old, readonly=True) as connection:
            default = await connection.fetchval("show default_transaction_read_only")

    assert default == "off"


async def test_the_relay_leaves_the_old_server(
    standby: Callable[[], Awaitable[None]],
    store: Store,
    migrated_url: str,
) -> None:
    """It claims nothing from a server that only reads, and claims at once after the failover."""
    await store.send([ScheduleStep(OWNER).to(TENANT)])
    async with sessions_of(migrated_url) as old:
        outbox = Outbox(old, SystemClock())
        (partition,) = (await outbox.check()).ready_partitions
        async with outbox.claim(partition, 1) as claimed:
            assert claimed is None
        await standby()
        async with outbox.claim(partition, 1) as claimed:
            assert claimed is not None
