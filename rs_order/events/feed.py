"""Lets readers of the log wait for events, without a database connection for each (faces.md E-23a)."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from rs_order.domain.ids import Tenant
from rs_order.ports import Clock
from rs_order.store.events import EventFilter, EventLog, EventPage, LoggedEvent, LogState

LOOK_SECONDS: Final = 1.0
"""The pause between two looks at a log that somebody waits for."""
OVERDUE: Final = timedelta(seconds=3)
"""Events that are older and have no position were left by a process that died."""
MOST_RECENT: Final = 1000
"""The events of a tenant that are kept for readers that wait; who is further behind reads the log."""


@dataclass(slots=True)
class _Recent:
    """The last events of a tenant, read once for all who wait for them."""

    position: int
    """Up to which they were read."""
    start: int
    """The position behind which all of them are kept."""
    events: deque[LoggedEvent] = field(default_factory=deque)
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    def add(self, page: EventPage) -> None:
        self.events.extend(page.events)
        self.position = page.position
        while len(self.events) > MOST_RECENT:
            self.start = self.events.popleft().position

    def page(self, wanted: EventFilter, after: int) -> EventPage:
        found = tuple(
            event for event in self.events if event.position > after and wanted.matches(event)
        )
        return EventPage(found, max(after, self.position), 0)


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
        self._recent: dict[Tenant, _Recent] = {}
        self.closed = False
        """True when the process stops: nobody should wait any more."""

    def close(self) -> None:
        """Wake all who wait, because the process stops."""
        self.closed = True
        for waiting in self._waiting.values():
            for waiter in waiting:
                if not waiter.done():
                    waiter.set_result(None)

    def numbered(self, tenant: Tenant, position: int) -> None:
        """Wake those who wait for what is behind an earlier position."""
        for waiter, known in list(self._waiting[tenant].items()):
            if position > known and not waiter.done():
                waiter.set_result(None)

    async def until_beyond(self, tenant: Tenant, position: int, seconds: float) -> bool:
        """Return as soon as the log goes on behind the position, or after so many seconds; False then.

        Raises:
            StoreUnavailable: the log can't be read.
        """
        if self.closed:
            return False
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[tenant][waiter] = position
        if tenant not in self._readers:
            self._readers[tenant] = asyncio.create_task(self._look(tenant))
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(waiter, seconds)
                return True
            return False
        finally:
            self._waiting[tenant].pop(waiter, None)

    async def read(self, tenant: Tenant, wanted: EventFilter, after: int, limit: int) -> EventPage:
        """Return the next events behind a position. Those of now are read once for all readers.

        Raises:
            StoreUnavailable: the log can't be read.
        """
        recent = self._recent.get(tenant)
        if recent is None:
            state = await self._events.state(tenant, self._clock.now() - OVERDUE)
            recent = self._recent.setdefault(tenant, _Recent(state.position, state.position))
        if after < recent.start:
            return await self._events.page(tenant, wanted, after, limit)
        async with recent.reading:
            if after >= recent.position:
                recent.add(await self._events.page(tenant, EVERYTHING, recent.position, limit))
        if after < recent.start:  # it went on by more than is kept
            return await self._events.page(tenant, wanted, after, limit)
        return recent.page(wanted, after)

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
            self._recent.pop(tenant, None)


EVERYTHING: Final = EventFilter()
