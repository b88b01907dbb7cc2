"""Gives committed events their positions in the log of their tenant (faces.md E-4).

A commit tells its own process. What a process left that died is found by whoever reads the log or sends to
webhooks, by the next process that starts, and by the runs of the reconciler. While nobody orders, nothing
else is asked.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import structlog

from rs_order.core.links import Links
from rs_order.domain.ids import Tenant
from rs_order.events.envelope import Envelopes
from rs_order.store.errors import StoreConflict, StoreTimeout, StoreUnavailable
from rs_order.store.events import EventLog

BATCH: Final = 500
"""The most events that one transaction numbers."""
PAUSE_SECONDS: Final = 0.5
"""From the first commit with events to their numbering, so that the events of many commits share it."""
FAILED_SECONDS: Final = 5.0
"""The same after the database gave no answer."""

log = structlog.get_logger(__name__)


class EventNumbering:
    """Numbers the events that commits tell of."""

    def __init__(
        self,
        events: EventLog,
        links: Links,
        *,
        prefix: str,
        pause_seconds: float = PAUSE_SECONDS,
    ) -> None:
        """Number events.

        Args:
            events: the logs.
            links: the addresses in events.
            prefix: of the types.
            pause_seconds: how long events wait for others.
        """
        self._events = events
        self._links = links
        self._prefix = prefix
        self._watchers: list[Callable[[Tenant, int], None]] = []
        self._pause = pause_seconds
        self._waiting: dict[Tenant, None] = {}
        """The tenants with events to number, the first one first."""
        self._told = asyncio.Event()
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()
        self._ended.set()

    def watch(self, numbered: Callable[[Tenant, int], None]) -> None:
        """Call a function with the last position of a log, each time after it got events."""
        self._watchers.append(numbered)

    def committed(self, tenant: Tenant) -> None:
        """Number the events of a tenant soon."""
        self._waiting[tenant] = None
        self._told.set()

    async def run(self) -> None:
        """Number what commits tell of, until `stop`."""
        self._ended.clear()
        try:
            pause = self._pause
            while not self._stopping.is_set():
                await self._told.wait()
                await self._wait_for_others(pause)
                self._told.clear()
                pause = self._pause if await self._number_waiting() else FAILED_SECONDS
            await self._number_waiting()
        finally:
            self._ended.set()

    async def stop(self) -> None:
        """Number what was told so far, and end. The caller makes no commit any more."""
        self._stopping.set()
        self._told.set()
        await self._ended.wait()

    async def number(self, tenant: Tenant) -> int:
        """Number all committed events of a tenant. Return the last position of its log.

        Raises:
            StoreUnavailable: the database can't be reached.
        """
        links = await self._links.stored(tenant)
        envelopes = Envelopes(tenant, links, self._prefix)
        while True:
            numbered = await self._events.number(tenant, envelopes.compose, BATCH)
            if numbered.events:
                for watcher in self._watchers:
                    watcher(tenant, numbered.last)
            if numbered.events < BATCH:
                return numbered.last

    async def _wait_for_others(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def _number_waiting(self) -> bool:
        """Number the events of the tenants that wait. False if the database gave no answer for some."""
        waiting, self._waiting = self._waiting, {}
        for tenant in waiting:
            try:
                await self.number(tenant)
            except (StoreUnavailable, StoreTimeout, StoreConflict) as error:
                log.warning("events-not-numbered", tenant=tenant, cause=str(error))
                self.committed(tenant)
            except Exception:
                log.exception("events-not-numbered", tenant=tenant)
        return not self._waiting.keys() & waiting.keys()
