"""Watches whether the database answers, over a connection of its own."""

import asyncio
from collections.abc import Callable
from typing import Final

import asyncpg
import structlog

from rs_order.store.pool import Pool

CHECK_SECONDS: Final = 1.0
"""Pause between two checks."""
ANSWER_SECONDS: Final = 2.5
"""The longest time to connect and to get an answer."""
FAILURES: Final = 2
"""Checks that fail one after the other until the database counts as lost: about six seconds."""

log = structlog.get_logger(__name__)


class DatabaseWatch:
    """Reports when the database stops answering, and when it answers again.

    A connection that hangs reports no error by itself. So this process would keep its messages, although
    others could handle them.
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
    ) -> None:
        """Set what to watch.

        Args:
            url: PostgreSQL URL.
            pool: its connections are opened again after a loss, because they may hang.
            lost: called once when the database stops answering.
            back: called once when it answers again.
            check_seconds: pause between two checks.
            answer_seconds: the longest time to connect and to get an answer.
        """
        self._url = url
        self._pool = pool
        self._lost = lost
        self._back = back
        self._check_seconds = check_seconds
        self._answer_seconds = answer_seconds
        self._connection: asyncpg.Connection | None = None
        self._failures = 0

    async def run(self) -> None:
        """Watch until the task is cancelled."""
        try:
            while True:
                await self._check()
                await asyncio.sleep(self._check_seconds)
        finally:
            self._disconnect()

    async def _check(self) -> None:
        try:
            async with asyncio.timeout(self._answer_seconds):
                await self._ask()
        except Exception as error:  # noqa: BLE001 - whatever it is, the database doesn't answer
            self._disconnect()
            await self._count_failure(error)
        else:
            self._count_answer()

    async def _ask(self) -> None:
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(self._url, statement_cache_size=0)
        await self._connection.execute("select 1")

    async def _count_failure(self, error: Exception) -> None:
        self._failures += 1
        if self._failures == FAILURES:
            log.error("database-lost", cause=f"{type(error).__name__}: {error}")
            self._lost()
            await self._pool.expire_connections()

    def _count_answer(self) -> None:
        if self._failures >= FAILURES:
            log.info("database-back")
            self._back()
        self._failures = 0

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
