"""The tape robot restores nearline files; one task waits for all of them.

A checksum of a tenant has at most one pending restoration; further requests only add their group.
A silent restoration has no time. It ends when it is released, or requested again after the silence.
"""

from __future__ import annotations

import asyncio
import heapq
import math
import zlib
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count
from typing import Any

from rs_order.sandbox.amqp_wire import FILE_REFERENCE, Event
from rs_order.sandbox.faults import Faults, concerns
from rs_order.sandbox.holdings import Holdings
from rs_order.sandbox.products import DataFile, Location
from rs_order.sandbox.published_events import (
    RestoreRequest,
    available_event,
    unavailable_event,
    unrelated_event,
)
from rs_order.sandbox.records import WAIT_SECONDS, Changes

_MAX_REQUESTS = 5_000
_HOUR = 3600.0
_SLICE = 500
"""Files answered before other tasks may run."""
_CRC_RANGE = 1 << 32

_Key = tuple[str, str]
"""Tenant and checksum."""


class Readiness(StrEnum):
    """The availability of a file for downloads."""

    READY = "ready"
    """Online, or restored and not yet expired."""
    PENDING = "pending"
    """Its restoration from tape is pending."""
    ABSENT = "absent"
    """On tape only: never restored, or no longer available."""


@dataclass(slots=True)
class _Restoration:
    """A pending restoration."""

    file: DataFile
    hours: int
    due: float
    """Loop time; infinite while storage is silent."""
    groups: list[str] = field(default_factory=list)


class Restores:
    """The restorations of rs-storage, pending and done."""

    def __init__(
        self,
        holdings: Holdings,
        faults: Faults,
        send: Callable[[Event], None],
        until_sent: Callable[[], Awaitable[None]],
        clock: Callable[[], float],
    ) -> None:
        """Create it without restorations; ``run`` starts the timers.

        Args:
            holdings: the files by checksum.
            faults: checked for each file, when it is requested and when it is answered.
            send: sends an event to the broker.
            until_sent: waits while too many events are unsent, which limits the memory they take.
            clock: returns monotonic seconds.
        """
        self._holdings = holdings
        self._faults = faults
        self._send = send
        self._until_sent = until_sent
        self._clock = clock
        self._pending: dict[_Key, _Restoration] = {}
        self._timers: list[tuple[float, int, _Key]] = []
        self._sequence = count()
        self._available_until: dict[_Key, float] = {}
        self._requests: deque[RestoreRequest] = deque(maxlen=_MAX_REQUESTS)
        self.requested = 0
        """Restoration requests received since the start or the last reset."""
        self._rescheduled = asyncio.Event()
        self._changes = Changes()

    @property
    def requests(self) -> list[RestoreRequest]:
        """The last requests, oldest first."""
        return list(self._requests)

    @property
    def pending(self) -> list[str]:
        """Checksums of pending restorations, silent ones included."""
        return [checksum for _, checksum in self._pending]

    async def accept(self, request: RestoreRequest) -> None:
        """Answer available and unknown files at once, and start the timers of the others."""
        await self._until_sent()
        for checksum in request.checksums:
            file = await self._holdings.stored_file(checksum)
            if file is None:
                self._reject_unknown(request, checksum)
            else:
                self._add(request, file)
        self._requests.append(request)
        self.requested += 1
        self._rescheduled.set()
        self._changes.notify()

    async def run(self) -> None:
        """Answer files when they are due, until cancelled."""
        while True:
            self._rescheduled.clear()
            await self._answer_due()
            await self._wait_for_next()

    def release(self, checksums: Collection[str] | None = None) -> int:
        """Answer pending restorations now, all or some, silent ones too; return their number."""
        keys = [key for key in self._pending if checksums is None or key[1] in checksums]
        for key in keys:
            self._answer(key)
        return len(keys)

    def readiness(self, tenant: str, file: DataFile) -> Readiness:
        if file.location is Location.ONLINE:
            return Readiness.READY
        key = (tenant, file.checksum)
        if self._available_until.get(key, -math.inf) > self._clock():
            return Readiness.READY
        return Readiness.PENDING if key in self._pending else Readiness.ABSENT

    def expire(self, checksums: Collection[str] | None = None) -> int:
        """End the availability of restored files now, all or some; return their number."""
        keys = [k for k in self._available_until if checksums is None or k[1] in checksums]
        for key in keys:
            del self._available_until[key]
        return len(keys)

    async def wait_for_requests(self, number: int, timeout_seconds: float = WAIT_SECONDS) -> None:
        """Wait until this many requests were received; raises TimeoutError."""
        await self._changes.until(lambda: self.requested >= number, timeout_seconds)

    async def wait_for_pending(self, number: int, timeout_seconds: float = WAIT_SECONDS) -> None:
        """Wait until this many restorations are pending; raises TimeoutError."""
        await self._changes.until(lambda: len(self._pending) >= number, timeout_seconds)

    def clear(self) -> None:
        """Delete all requests, pending restorations and restored files."""
        self._pending.clear()
        self._timers.clear()
        self._available_until.clear()
        self._requests.clear()
        self.requested = 0

    def _add(self, request: RestoreRequest, file: DataFile) -> None:
        key = (request.tenant, file.checksum)
        restoration = self._pending.get(key)
        if restoration is None:
            ready = self.readiness(request.tenant, file) is Readiness.READY
            restoration = _Restoration(
                file, request.availability_hours, self._due(file, ready=ready)
            )
            self._pending[key] = restoration
        elif math.isinf(restoration.due):
            restoration.due = self._due(file, ready=False)
        restoration.groups.append(request.group_id)
        self._schedule(key, restoration)

    def _schedule(self, key: _Key, restoration: _Restoration) -> None:
        if math.isinf(restoration.due):
            return
        if restoration.due <= self._clock():
            self._answer(key)
        else:
            heapq.heappush(self._timers, (restoration.due, next(self._sequence), key))

    def _due(self, file: DataFile, *, ready: bool) -> float:
        if self._is_silent(file.checksum):
            return math.inf
        if ready:
            return self._clock()
        jitter = self._faults.nearline_jitter * (zlib.crc32(file.checksum.encode()) / _CRC_RANGE)
        return self._clock() + self._faults.nearline_seconds * (1 + jitter)

    def _is_silent(self, checksum: str) -> bool:
        return self._faults.silence or concerns(self._faults.silent_checksums, checksum)

    async def _answer_due(self) -> None:
        answered = 0
        while self._timers and self._timers[0][0] <= self._clock():
            due, _, key = heapq.heappop(self._timers)
            restoration = self._pending.get(key)
            if restoration is None or restoration.due != due:
                continue
            if self._is_silent(key[1]):
                restoration.due = math.inf
                continue
            self._answer(key)
            answered += 1
            if answered % _SLICE == 0:
                await self._until_sent()
                await asyncio.sleep(0)

    async def _wait_for_next(self) -> None:
        pause = max(0.0, self._timers[0][0] - self._clock()) if self._timers else None
        try:
            async with asyncio.timeout(pause):
                await self._rescheduled.wait()
        except TimeoutError:
            return

    def _answer(self, key: _Key) -> None:
        tenant, checksum = key
        restoration = self._pending.pop(key)
        error = self._faults.storage_errors.get(checksum)
        if error is not None:
            self._publish(tenant, unavailable_event(checksum, error, restoration.groups))
        else:
            self._make_available(key, restoration)
        self._changes.notify()

    def _make_available(self, key: _Key, restoration: _Restoration) -> None:
        tenant, checksum = key
        if restoration.file.location is Location.NEARLINE:
            seconds = restoration.hours * _HOUR * self._faults.availability_scale
            self._available_until[key] = self._clock() + seconds
        self._publish(tenant, available_event(restoration.file, restoration.groups))
        if concerns(self._faults.then_error, checksum):
            text = f"file with checksum {checksum} was lost after its restoration."
            self._publish(tenant, unavailable_event(checksum, text, restoration.groups))

    def _reject_unknown(self, request: RestoreRequest, checksum: str) -> None:
        if self._is_silent(checksum):
            return
        text = f"file with checksum {checksum} does not exists."
        self._publish(request.tenant, unavailable_event(checksum, text, [request.group_id]))

    def _publish(self, tenant: str, body: dict[str, Any]) -> None:
        for number in range(self._faults.noise):
            self._send(Event(FILE_REFERENCE, tenant, unrelated_event(body["checksum"], number)))
        for _ in range(self._faults.duplicates):
            self._send(Event(FILE_REFERENCE, tenant, body))
