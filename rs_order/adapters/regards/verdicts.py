"""What a remote service said, remembered for a while."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from cachetools import TLRUCache

Key = TypeVar("Key")
Verdict = TypeVar("Verdict")


class VerdictCache(Generic[Key, Verdict]):
    """Remembers verdicts, each for its own time; an error is not a verdict and is never kept.

    Callers that ask the same at the same time share one call.
    """

    def __init__(
        self,
        ask: Callable[[Key], Awaitable[Verdict]],
        *,
        seconds: Callable[[Verdict], float],
        size: int,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = ask
        self._known: TLRUCache[Key, Verdict] = TLRUCache(
            size, ttu=lambda _key, verdict, at: at + seconds(verdict), timer=now
        )
        self._asking: dict[Key, asyncio.Task[Verdict]] = {}

    async def get(self, key: Key) -> Verdict:
        """The verdict, asked for when it isn't known; raises what the asking raises."""
        try:
            return self._known[key]
        except KeyError:
            # Shielded: the call is shared, one caller who gives up must not spoil it for the rest.
            return await asyncio.shield(self._asking.get(key) or self._start_asking(key))

    def _start_asking(self, key: Key) -> asyncio.Task[Verdict]:
        task = asyncio.create_task(self._learn(key))
        self._asking[key] = task
        task.add_done_callback(lambda done: self._asked(key, done))
        return task

    async def _learn(self, key: Key) -> Verdict:
        verdict = self._known[key] = await self._ask(key)
        return verdict

    def _asked(self, key: Key, task: asyncio.Task[Verdict]) -> None:
        del self._asking[key]
        if not task.cancelled():
            # Looked at here, for nobody else may be left to: asyncio complains of unread errors.
            task.exception()
