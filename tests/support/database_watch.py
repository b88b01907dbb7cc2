"""Runs the watch of the database, with short pauses and with signals."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from rs_order.store.pool import Pool
from rs_order.store.watch import DatabaseWatch


class Watching(DatabaseWatch):
    """A watch with signals: the database is lost; it is back."""

    def __init__(self, url: str, pool: Pool, **options: Any) -> None:
        self.lost, self.back = asyncio.Event(), asyncio.Event()
        super().__init__(
            url,
            pool,
            lost=self.lost.set,
            back=self.back.set,
            check_seconds=0.02,
            answer_seconds=0.5,
            **options,
        )
        self._checks = 0
        self._checked = asyncio.Condition()

    async def checked(self, times: int) -> None:
        """Wait until so many checks have begun and succeeded from now on."""
        async with self._checked:
            last = self._checks + times + 1
            await self._checked.wait_for(lambda: self._checks >= last)

    async def _ask(self) -> None:
        await super()._ask()
        async with self._checked:
            self._checks += 1
            self._checked.notify_all()


@asynccontextmanager
async def running(watch: Watching) -> AsyncIterator[Watching]:
    task = asyncio.create_task(watch.run())
    try:
        yield watch
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
