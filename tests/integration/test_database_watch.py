"""The watch notices a database that doesn't answer, with or without an error (issue 11, F1)."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from rs_order.store.pool import Pool
from rs_order.store.watch import DatabaseWatch
from tests.support.proxy import TcpProxy, tcp_proxy

WAIT_SECONDS = 30


@asynccontextmanager
async def watching(url: str, pool: Pool) -> AsyncIterator[tuple[asyncio.Event, asyncio.Event]]:
    """Watch a database, and yield the events that are set when it is lost, and when it is back."""
    lost, back = asyncio.Event(), asyncio.Event()
    watch = DatabaseWatch(
        url, pool, lost=lost.set, back=back.set, check_seconds=0.02, answer_seconds=0.5
    )
    task = asyncio.create_task(watch.run())
    try:
        yield lost, back
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


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
        watching(proxy.url, pool) as (lost, back),
    ):
        fail(proxy)
        await lost.wait()
        assert not back.is_set()
        repair(proxy)
        await back.wait()
