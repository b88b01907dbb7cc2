"""Watches over its own connection whether the database can be used, and ends sessions of frozen clients.

The server's limits don't reach every session whose client is frozen. While a client prepares a statement,
copies rows or reads a result, its session counts as active, so it isn't idle in its transaction. The limit of
the statement takes effect only when the client goes on. Such a session would keep its locks for as long as
the frozen process exists. So the watch of any other instance ends it.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import asyncpg
import structlog

from rs_order.domain.identity import SERVICE
from rs_order.store.pool import (
    LONGEST_IDLE_MS,
    LONGEST_STATEMENT_MS,
    Pool,
    statements,
)

CHECK_SECONDS: Final = 1.0
"""Pause after a check that failed."""
CALM_FACTOR: Final = 3
"""The pause after a check that succeeded is so many times as long."""
ANSWER_SECONDS: Final = 2.5
"""The longest time to connect and to get an answer."""
FAILURES: Final = 2
"""Checks that fail one after the other until the database counts as lost: nine seconds at most."""
WRITE_PROBE: Final = """
set local work_mem = '64kB';
select sum(length(text)) from (
    select repeat('x', 1000) || number as text from generate_series(1, 500) as number
    order by random() offset 0
) as sorted
"""
"""Writes half a megabyte to a temporary file of the server, and deletes it. It changes no table."""

SQL: Final = statements("watch")

log = structlog.get_logger(__name__)


class DatabaseWatch:
    """Reports when the database can't be used any more, and when it can be used again.

    A connection that hangs reports no error by itself. So this process would keep its messages, although
    others could handle them. A server that only reads can't be used, nor one whose disk is full. As most
    statements succeed on a full disk, the check writes only after a unit of work has met that error.
    """

    def __init__(
        self,
        url: str,
        pool: Pool,
        *,
        lost: Callable[[], None],
        back: Callable[[], None],
        check_seconds: float = CHECK_SECONDS,
        answer_seconds: float = ANSWER_SECONDS,
        write_probe: str = WRITE_PROBE,
        longest_idle_ms: int = LONGEST_IDLE_MS,
        longest_statement_ms: int = LONGEST_STATEMENT_MS,
    ) -> None:
        """Set what to watch.

        Args:
            url: PostgreSQL URL.
            pool: its connections are opened again after a loss, because they may hang. It notes that a unit
                of work has met a full disk.
            lost: called once when the database stops answering.
            back: called once when it answers again.
            check_seconds: pause after a check that failed.
            answer_seconds: the longest time to connect and to get an answer.
            write_probe: fails while the disk of the server is full.
            longest_idle_ms: the longest time that a client may take to send the rest of a statement.
            longest_statement_ms: the longest time that a client may take to read a result.
        """
        self._url = url
        self._pool = pool
        self._lost = lost
        self._back = back
        self._check_seconds = check_seconds
        self._answer_seconds = answer_seconds
        self._write_probe = write_probe
        self._limits = longest_idle_ms, longest_statement_ms
        self._connection: asyncpg.Connection | None = None
        self._failures = 0
        self._error: str | None = "not checked yet"

    @property
    def error(self) -> str | None:
        """Why the last check failed, in a word, or None if it succeeded."""
        return self._error

    async def run(self) -> None:
        """Watch until the task is cancelled."""
        try:
            while True:
                await self._check()
                calm = CALM_FACTOR if self._failures == 0 else 1
                await asyncio.sleep(calm * self._check_seconds)
        finally:
            self._disconnect()

    async def _check(self) -> None:
        try:
            async with asyncio.timeout(self._answer_seconds):
                await self._ask()
        except Exception as error:  # noqa: BLE001 - whatever it is, the database can't be used
            self._error = _name_of(error)
            self._disconnect()
            await self._count_failure(error)
        else:
            self._error = None
            self._count_success()

    async def _ask(self) -> None:
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(
                self._url,
                statement_cache_size=0,
                server_settings={"application_name": SERVICE},
            )
        (found,) = await self._connection.fetch(SQL["check"], SERVICE, *self._limits)
        if found["ended"]:
            log.warning("frozen-sessions-ended", sessions=len(found["ended"]))
        if found["only_reads"]:
            raise asyncpg.ReadOnlySQLTransactionError("the server only reads")
        if self._pool.disk_is_full:
            async with self._connection.transaction():
                await self._connection.execute(self._write_probe)
            self._pool.disk_is_full = False

    async def _count_failure(self, error: Exception) -> None:
        self._failures += 1
        if self._failures == FAILURES:
            log.error("database-lost", cause=f"{type(error).__name__}: {error}")
            self._lost()
            await self._pool.expire_connections()

    def _count_success(self) -> None:
        if self._failures >= FAILURES:
            log.info("database-back")
            self._back()
        self._failures = 0

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


def _name_of(error: Exception) -> str:
    """Return what callers of health may read: no text of the driver, which can contain names."""
    if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
        return "read-only"
    return "disk-full" if isinstance(error, asyncpg.DiskFullError) else type(error).__name__
