"""A client that vanishes without closing its connection keeps no lock (issue 11, F2)."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from rs_order.app.clock import SystemClock
from rs_order.core.shared_steps import ScheduleStep
from rs_order.domain.ids import OrderId
from rs_order.store.errors import StoreConflict, StoreUnavailable, store_errors
from rs_order.store.outbox import Outbox
from rs_order.store.pool import (
    CLIENT_SOCKET_OPTIONS,
    SERVER_SOCKET_OPTIONS,
    Connection,
    Pool,
    WatchedConnection,
    open_pool,
    transaction,
)
from rs_order.store.unit_of_work import Store, UnitOfWork
from tests.integration.conftest import TENANT
from tests.support.database_watch import Watching, running
from tests.support.polling import LOCK_WAITS, eventually
from tests.support.proxy import TcpProxy, tcp_proxy
from tests.support.rows import OWNER, TenantRows

LIMIT_MS = 400
WAITING = 3
"""Units of work of the vanishing client that wait for a lock."""
_WAITING_FOR_LOCKS = f"select count(*) from ({LOCK_WAITS}) as waiting"  # noqa: S608 - a constant


@pytest.fixture
async def proxy(migrated_url: str) -> AsyncIterator[TcpProxy]:
    """Open the proxy through which the vanishing client reaches the database."""
    async with tcp_proxy(migrated_url) as opened:
        yield opened


@pytest.fixture
async def vanishing(proxy: TcpProxy, pool: Pool) -> AsyncIterator[Pool]:
    """Open the pool of the vanishing client in the migrated database."""
    assert pool.open
    async with await open_pool(proxy.url, size=1 + WAITING) as opened:
        yield opened


async def test_the_row_locks_of_a_vanished_client_end(
    proxy: TcpProxy, vanishing: Pool, store: Store, rows: TenantRows
) -> None:
    """Another instance gets the lock of an order, although the connection of the first is still open."""
    order = await rows.order()

    lost = Store(vanishing, lambda _: None, longest_idle_ms=LIMIT_MS)
    with pytest.raises(StoreUnavailable):
        await _vanish_with_the_order(proxy, lost, store, order)


async def _vanish_with_the_order(
    proxy: TcpProxy, lost: Store, healthy: Store, order: OrderId
) -> None:
    async with lost.unit_of_work(TENANT) as uow:
        assert await uow.orders.lock([order])
        proxy.pause()
        async with healthy.unit_of_work(TENANT) as other:
            assert await other.orders.lock([order])
        proxy.resume()


async def test_units_of_work_of_a_vanished_client_that_wait_for_a_lock_give_up(
    proxy: TcpProxy, vanishing: Pool, store: Store, rows: TenantRows, pool: Pool
) -> None:
    """Otherwise each gets the lock in turn, and keeps it until its session ends."""
    order = await rows.order()
    lost = Store(vanishing, lambda _: None, longest_idle_ms=LIMIT_MS)
    waiting: list[asyncio.Task[None]] = []

    async def lock_the_order() -> None:
        async with lost.unit_of_work(TENANT) as uow:
            await uow.orders.lock([order])

    async def all_have_begun_to_wait(uow: UnitOfWork) -> bool:
        await uow.settings()  # so the session that has the lock ends last
        ended = sum(task.done() for task in waiting)
        locked: int = await pool.fetchval(_WAITING_FOR_LOCKS)
        return ended + locked >= WAITING

    async def vanish_while_others_wait() -> None:
        async with lost.unit_of_work(TENANT) as uow:
            await uow.orders.lock([order])
            waiting.extend(asyncio.create_task(lock_the_order()) for _ in range(WAITING))
            await eventually(lambda: all_have_begun_to_wait(uow), "units of work that wait")
            proxy.pause()
            async with store.unit_of_work(TENANT) as healthy:
                assert await healthy.orders.lock([order])
            proxy.resume()

    with pytest.raises(StoreUnavailable):
        await vanish_while_others_wait()
    failures = await asyncio.gather(*waiting, return_exceptions=True)

    assert [type(failure) for failure in failures] == [StoreConflict] * WAITING


async def test_the_partitions_of_a_vanished_relay_are_free_again(
    proxy: TcpProxy, vanishing: Pool, store: Store, pool: Pool
) -> None:
    """Another relay claims every partition once the limit of the first one's claims has passed."""
    await store.send([ScheduleStep(OWNER).to(TENANT)])
    lost = Outbox(vanishing, SystemClock(), longest_idle_ms=LIMIT_MS)
    healthy = Outbox(pool, SystemClock())
    (partition,) = (await healthy.check()).ready_partitions

    with pytest.raises(Exception, match="idle-in-transaction"):
        await _vanish_with_the_partition(proxy, lost, healthy, partition)


async def _vanish_with_the_partition(
    proxy: TcpProxy, lost: Outbox, healthy: Outbox, partition: int
) -> None:
    async with lost.claim(partition, 1) as claimed:
        assert claimed is not None
        proxy.pause()
        await eventually(lambda: _can_claim(healthy, partition), "the partition free")
        proxy.resume()
        await claimed.remove([claimed.rows[0].id])


async def test_a_relay_keeps_its_partition_while_the_broker_is_slow(
    store: Store, pool: Pool
) -> None:
    """The claim sends statements, so only a relay that can't work loses it."""
    await store.send([ScheduleStep(OWNER).to(TENANT)])
    outbox = Outbox(pool, SystemClock(), longest_idle_ms=LIMIT_MS)
    (partition,) = (await outbox.check()).ready_partitions

    async with outbox.claim(partition, 1) as claimed:
        assert claimed is not None
        await eventually(lambda: _has_outlasted_the_limit(pool), "an old claim")
        assert not await _can_claim(outbox, partition)
        await claimed.remove([claimed.rows[0].id])

    assert (await outbox.check()).ready_partitions == []


async def _has_outlasted_the_limit(pool: Pool) -> bool:
    """True if a transaction that began long ago is still open, because it sends statements."""
    return bool(
        await pool.fetchval(
            "select exists (select from pg_stat_activity where query = 'select 1'"
            " and now() - xact_start > 3 * $1 * interval '1 ms')",
            LIMIT_MS,
        )
    )


async def _can_claim(outbox: Outbox, partition: int) -> bool:
    async with outbox.claim(partition, 1) as claimed:
        return claimed is not None


_WAITS_FOR_ITS_CLIENT = (
    "select exists (select from pg_stat_activity where datname = current_database()"
    " and state = 'active' and wait_event_type = 'Client')"
)

UnderWay = Callable[[Connection], Coroutine[Any, Any, Any]]
"""A statement that PostgreSQL has begun, and for which it waits for the client."""


def prepared(connection: Connection) -> Coroutine[Any, Any, Any]:
    """Prepare a statement. Its parameters never arrive."""
    return connection.fetchval("select $1::text", "parameter")


def copied(connection: Connection) -> Coroutine[Any, Any, Any]:
    """Copy rows to the server, none of which arrives."""
    return connection.execute("copy orders from stdin")


def unread(connection: Connection) -> Coroutine[Any, Any, Any]:
    """Select more rows than all buffers hold. Nobody reads them."""
    return connection.execute("select repeat('x', 1000) from generate_series(1, 100000)")


@pytest.mark.parametrize("under_way", [prepared, copied, unread])
async def test_a_client_that_freezes_within_a_statement_keeps_no_lock(
    under_way: UnderWay, proxy: TcpProxy, vanishing: Pool, pool: Pool, rows: TenantRows
) -> None:
    """No limit of PostgreSQL reaches its session, which counts as active. The watch of another ends it.

    The client learns that the database was unavailable, so it tries again.
    """
    await rows.order()

    async def freeze_with_the_order() -> None:
        with store_errors():
            async with transaction(vanishing, TENANT) as connection:
                await connection.execute("select from orders for update")
                proxy.pause(requests=False)
                await under_way(connection)

    frozen = asyncio.create_task(freeze_with_the_order())
    await eventually(lambda: pool.fetchval(_WAITS_FOR_ITS_CLIENT), "a frozen client")
    watch = Watching(proxy.target, pool, longest_idle_ms=LIMIT_MS, longest_statement_ms=LIMIT_MS)
    async with running(watch), transaction(pool, TENANT) as healthy:
        assert await healthy.fetch("select id from orders for update")

    proxy.resume()
    with pytest.raises(StoreUnavailable):
        await frozen


async def test_the_watch_ends_no_other_session(
    proxy: TcpProxy, pool: Pool, rows: TenantRows
) -> None:
    """It spares a backup, a statement that waits for a lock, and a transaction that is idle."""
    await rows.order()

    async def lock_the_order() -> None:
        async with transaction(pool, TENANT) as waiting:
            await waiting.execute("set local lock_timeout = 0")
            await waiting.execute("select from orders for update")

    async with asyncio.TaskGroup() as group, backup(proxy), transaction(pool, TENANT) as idle:
        await idle.execute("select from orders for update")
        group.create_task(lock_the_order())
        await eventually(lambda: pool.fetchval(_WAITS_FOR_ITS_CLIENT), "the backup")
        await eventually(lambda: pool.fetchval(_WAITING_FOR_LOCKS), "a wait for a lock")
        watch = Watching(proxy.target, pool, longest_idle_ms=1, longest_statement_ms=1)
        async with running(watch):
            await watch.checked(2)

        assert await pool.fetchval(_WAITS_FOR_ITS_CLIENT)
        assert await pool.fetchval(_WAITING_FOR_LOCKS) == 1
        assert await idle.fetchval("select 1") == 1


@asynccontextmanager
async def backup(proxy: TcpProxy) -> AsyncIterator[None]:
    """Let a program of an operator read a large result slowly."""
    connection = await asyncpg.connect(proxy.url)
    proxy.pause(requests=False)
    reading = asyncio.create_task(unread(connection))
    try:
        yield
    finally:
        proxy.resume()
        await reading
        await connection.close()


@pytest.mark.parametrize("readonly", [True, False])
@pytest.mark.parametrize("pooler", [True, False])
async def test_every_transaction_has_its_limits_and_compiles_no_statement(
    migrated_url: str, readonly: bool, pooler: bool
) -> None:
    """These settings belong to the transaction if a pooler has to pass them on, else to the session."""
    names = "idle_in_transaction_session_timeout", "statement_timeout", "lock_timeout", "jit"
    async with await open_pool(migrated_url, size=1, statement_cache=not pooler) as pool:
        async with transaction(pool, readonly=readonly) as connection:
            inside = [await connection.fetchval(f"show {name}") for name in names]
        async with pool.acquire() as connection:
            outside = [await connection.fetchval(f"show {name}") for name in names]

    assert inside == ["8s", "30s", "4s", "off"]
    assert outside == (["0", "0", "0", "on"] if pooler else inside)


async def test_both_ends_of_a_connection_notice_an_unreachable_peer(
    migrated_url: str,
) -> None:
    """Keepalive probes run at both ends, and unacknowledged data ends the connection."""
    sockets: list[Any] = []

    class Observed(WatchedConnection):
        def __init__(self, protocol: Any, transport: Any, *arguments: Any) -> None:
            super().__init__(protocol, transport, *arguments)
            sockets.append(transport.get_extra_info("socket"))

    async with await open_pool(migrated_url, size=1, connection_class=Observed) as pool:
        (opened,) = sockets
        assert opened.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        for name, value in CLIENT_SOCKET_OPTIONS.items():
            option = getattr(socket, name)
            assert opened.getsockopt(socket.IPPROTO_TCP, option) == value
        for name, text in SERVER_SOCKET_OPTIONS.items():
            setting = await pool.fetchval("select setting from pg_settings where name = $1", name)
            assert setting == text
