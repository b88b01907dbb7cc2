"""Lets readers of the log wait for events, without a database connection for each (faces.md E-23a)."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Final

from rs_order.domain.ids import Tenant
from rs_order.ports import Clock
from rs_order.store.events import EventLog, LogState

LOOK_SECONDS: Final = 1.0
"""The pause between two looks at a log that somebody waits for."""
OVERDUE: Final = timedelta(seconds=3)
"""Events that are older and have no position were left by a process that died."""


class EventFeed:
    """Wakes readers when the log of their tenant goes on: one statement per tenant and second.

    The numbering of this process wakes them at once. While nobody waits, nothing is read.
    """

    def __init__(
        self,
        events: EventLog,
        number: Callable[[Tenant], Awaitable[int]],
        clock: Clock,
        *,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        """``number`` numbers the events of a tenant that have no position yet."""
        self._events = events
        self._number = number
        self._clock = clock
        self._pause = look_seconds
        self._waiting: dict[Tenant, dict[asyncio.Future[None], int]] = defaultdict(dict)
        self._readers: dict[Tenant, asyncio.Task[None]] = {}

    def numbered(self, tenant: Tenant, position: int) -> None:
        """Wake those who wait for what is behind an earlier position."""
        for waiter, known in list(self._waiting[tenant].items()):
            if position > known and not waiter.done():
                waiter.set_result(None)

    async def until_beyond(self, tenant: Tenant, position: int, seconds: float) -> None:
        """Return as soon as the log goes on behind the position, or after so many seconds.

        Raises:
            StoreUnavailable: the log can't be read.
        """
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[tenant][waiter] = position
        if tenant not in self._readers:
            self._readers[tenant] = asyncio.create_task(self._look(tenant))
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(waiter, seconds)
        finally:
            self._waiting[tenant].pop(waiter, None)

    async def number_overdue(self, tenant: Tenant) -> LogState:
        """Return how far the log has come, after numbering what a process left that died.

        Raises:
            StoreUnavailable: the log can't be read.
        """
        before = self._clock.now() - OVERDUE
        state = await self._events.state(tenant, before)
        if state.overdue:
            await self._number(tenant)
            state = await self._events.state(tenant, before)
        return state

    async def _look(self, tenant: Tenant) -> None:
        waiting = self._waiting[tenant]
        try:
            while waiting:
                try:
                    self.numbered(tenant, (await self.number_overdue(tenant)).position)
                except Exception as error:  # noqa: BLE001 - the requests answer it as their own
                    for waiter in waiting:
                        if not waiter.done():
                            waiter.set_exception(error)
                await asyncio.sleep(self._pause)
        finally:
            del self._readers[tenant]
