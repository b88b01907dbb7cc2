"""The tape robot: brings nearline files back, one timer for however many are waited for.

A checksum of a tenant is waited for at most once; further requests for it only add their group.
Silent ones wait without a time, until they are released or asked again when silence is over.
"""

from __future__ import annotations

import asyncio
import heapq
import math
import zlib
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from itertools import count
from typing import Any

from rs_order.sandbox.calls import Changes
from rs_order.sandbox.faults import Faults, concerns
from rs_order.sandbox.holdings import Holdings
from rs_order.sandbox.products import DataFile, Location
from rs_order.sandbox.wire import FILE_REFERENCE, Event

_KEPT_REQUESTS = 5_000
_HOUR = 3600.0
_SLICE = 500
"""Files settled before other work gets its turn."""
_CRC_RANGE = 1 << 32

_Key = tuple[str, str]
"""Tenant and checksum."""


class Readiness(StrEnum):
    READY = "ready"
    """Online, or restored and not yet expired."""
    COMING = "coming"
    """On its way from tape."""
    ABSENT = "absent"
    """On tape only: never restored, or its availability ended."""


@dataclass(frozen=True, slots=True)
class RestoreRequest:
    tenant: str
    group_id: str
    checksums: tuple[str, ...]
    availability_hours: int
    at: datetime


@dataclass(slots=True)
class _Wait:
    file: DataFile
    hours: int
    due: float
    """Loop time; infinite while storage is silent about it."""
    groups: list[str] = field(default_factory=list)


class Restores:
    def __init__(
        self,
        holdings: Holdings,
        faults: Faults,
        send: Callable[[Event], None],
        until_room: Callable[[], Awaitable[None]],
        clock: Callable[[], float],
    ) -> None:
        """A robot at rest; ``run`` makes it work.

        Args:
            holdings: where checksums are looked up.
            faults: looked at for each file, when it is asked and when it is answered.
            send: takes an event that must reach the broker.
            until_room: waits while too many events are on their way to the broker, so that a
                million answers aren't in memory at once.
            clock: seconds, monotonic.
        """
        self._holdings = holdings
        self._faults = faults
        self._send = send
        self._until_room = until_room
        self._clock = clock
        self._waits: dict[_Key, _Wait] = {}
        self._timers: list[tuple[float, int, _Key]] = []
        self._sequence = count()
        self._available_until: dict[_Key, float] = {}
        self._requests: deque[RestoreRequest] = deque(maxlen=_KEPT_REQUESTS)
        self.requested = 0
        """Restoration requests taken since the start or the last reset."""
        self._rescheduled = asyncio.Event()
        self._changes = Changes()

    @property
    def requests(self) -> list[RestoreRequest]:
        """The last requests, oldest first."""
        return list(self._requests)

    @property
    def pending(self) -> list[str]:
        """Checksums that are waited for, silent ones included."""
        return [checksum for _, checksum in self._waits]

    async def accept(self, request: RestoreRequest) -> None:
        """Answer what can be answered at once, and start the timers of the rest."""
        await self._until_room()
        for checksum in request.checksums:
            file = await self._holdings.stored_file(checksum)
            if file is None:
                self._refuse_unknown(request, checksum)
            else:
                self._take(request, file)
        self._requests.append(request)
        self.requested += 1
        self._rescheduled.set()
        self._changes.tell()

    async def run(self) -> None:
        """Settle files as they become due, for ever."""
        while True:
            self._rescheduled.clear()
            await self._settle_due()
            await self._until_next()

    def release(self, checksums: Collection[str] | None = None) -> int:
        """Answer waits now, all or some, silence or not; gives how many."""
        keys = [key for key in self._waits if checksums is None or key[1] in checksums]
        for key in keys:
            self._settle(key)
        return len(keys)

    def readiness(self, tenant: str, file: DataFile) -> Readiness:
        if file.location is Location.ONLINE:
            return Readiness.READY
        key = (tenant, file.checksum)
        if self._available_until.get(key, -math.inf) > self._clock():
            return Readiness.READY
        return Readiness.COMING if key in self._waits else Readiness.ABSENT

    def expire(self, checksums: Collection[str] | None = None) -> int:
        """End the availability of restored files now, all or some; gives how many."""
        keys = [k for k in self._available_until if checksums is None or k[1] in checksums]
        for key in keys:
            del self._available_until[key]
        return len(keys)

    async def wait_for_requests(self, number: int, timeout_seconds: float = 30) -> None:
        """Until so many requests were taken; raises TimeoutError."""
        await self._changes.until(lambda: self.requested >= number, timeout_seconds)

    async def wait_for_pending(self, number: int, timeout_seconds: float = 30) -> None:
        """Until so many files are waited for; raises TimeoutError."""
        await self._changes.until(lambda: len(self._waits) >= number, timeout_seconds)

    def clear(self) -> None:
        """Forget all requests, waits and restored files."""
        self._waits.clear()
        self._timers.clear()
        self._available_until.clear()
        self._requests.clear()
        self.requested = 0

    def _take(self, request: RestoreRequest, file: DataFile) -> None:
        key = (request.tenant, file.checksum)
        wait = self._waits.get(key)
        if wait is None:
            ready = self.readiness(request.tenant, file) is Readiness.READY
            wait = _Wait(file, request.availability_hours, self._due(file, ready=ready))
            self._waits[key] = wait
        elif math.isinf(wait.due):
            wait.due = self._due(file, ready=False)
        wait.groups.append(request.group_id)
        self._schedule(key, wait)

    def _schedule(self, key: _Key, wait: _Wait) -> None:
        if math.isinf(wait.due):
            return
        if wait.due <= self._clock():
            self._settle(key)
        else:
            heapq.heappush(self._timers, (wait.due, next(self._sequence), key))

    def _due(self, file: DataFile, *, ready: bool) -> float:
        if self._is_silent(file.checksum):
            return math.inf
        if ready:
            return self._clock()
        jitter = self._faults.nearline_jitter * (zlib.crc32(file.checksum.encode()) / _CRC_RANGE)
        return self._clock() + self._faults.nearline_seconds * (1 + jitter)

    def _is_silent(self, checksum: str) -> bool:
        return self._faults.silence or concerns(self._faults.silent_checksums, checksum)

    async def _settle_due(self) -> None:
        settled = 0
        while self._timers and self._timers[0][0] <= self._clock():
            due, _, key = heapq.heappop(self._timers)
            wait = self._waits.get(key)
            if wait is None or wait.due != due:
                continue
            if self._is_silent(key[1]):
                wait.due = math.inf
                continue
            self._settle(key)
            settled += 1
            if settled % _SLICE == 0:
                await self._until_room()
                await asyncio.sleep(0)

    async def _until_next(self) -> None:
        pause = max(0.0, self._timers[0][0] - self._clock()) if self._timers else None
        try:
            async with asyncio.timeout(pause):
                await self._rescheduled.wait()
        except TimeoutError:
            return

    def _settle(self, key: _Key) -> None:
        tenant, checksum = key
        wait = self._waits.pop(key)
        error = self._faults.storage_errors.get(checksum)
        if error is not None:
            self._tell(tenant, _unavailable(checksum, error, wait.groups))
        else:
            self._make_available(key, wait)
        self._changes.tell()

    def _make_available(self, key: _Key, wait: _Wait) -> None:
        tenant, checksum = key
        if wait.file.location is Location.NEARLINE:
            lasts = wait.hours * _HOUR * self._faults.availability_scale
            self._available_until[key] = self._clock() + lasts
        self._tell(tenant, _available(wait.file, wait.groups))
        if concerns(self._faults.then_error, checksum):
            text = f"file with checksum {checksum} was lost after its restoration."
            self._tell(tenant, _unavailable(checksum, text, wait.groups))

    def _refuse_unknown(self, request: RestoreRequest, checksum: str) -> None:
        if self._is_silent(checksum):
            return
        text = f"file with checksum {checksum} does not exists."
        self._tell(request.tenant, _unavailable(checksum, text, [request.group_id]))

    def _tell(self, tenant: str, body: dict[str, Any]) -> None:
        for number in range(self._faults.noise):
            self._send(Event(FILE_REFERENCE, tenant, _unrelated(body["checksum"], number)))
        for _ in range(self._faults.duplicates):
            self._send(Event(FILE_REFERENCE, tenant, body))


def _available(file: DataFile, groups: Sequence[str]) -> dict[str, Any]:
    nearline = file.location is Location.NEARLINE
    storage = "cache" if nearline else "online-1"
    return {
        "type": "AVAILABLE",
        "message": f"File {file.filename} (checksum {file.checksum}) is available for download.",
        "checksum": file.checksum,
        "originStorage": "nearline-1" if nearline else "online-1",
        "owners": ["sandbox"],
        "location": {
            "storage": storage,
            "url": f"file:/{storage}/{file.checksum}",
            "fileArchiveStatus": "STORED",
        },
        "groupIds": list(groups),
        "referenced": False,
        "nearlineConfirmed": False,
    }


def _unavailable(checksum: str, message: str, groups: Sequence[str]) -> dict[str, Any]:
    return {
        "type": "AVAILABILITY_ERROR",
        "message": message,
        "checksum": checksum,
        "owners": [],
        "groupIds": list(groups),
        "referenced": False,
        "nearlineConfirmed": False,
    }


def _unrelated(checksum: str, number: int) -> dict[str, Any]:
    """Events that must change nothing: another type, or the checksum of nobody's file."""
    other = checksum[::-1] if number % 2 else checksum
    kind = "AVAILABLE" if number % 2 else ("STORED", "COPIED", "FULLY_DELETED")[number % 3]
    return {
        "type": kind,
        "message": "Somebody else's business",
        "checksum": other,
        "owners": ["other"],
        "groupIds": [],
        "referenced": False,
        "nearlineConfirmed": False,
    }


def request_from(tenant: str, body: dict[str, Any]) -> RestoreRequest:
    """The request of a FilesRestorationRequestEvent (amqp.md 3.2).

    Raises:
        ValueError: a member is missing or isn't of its type.
    """
    checksums = body.get("checksums")
    hours, group_id = body.get("availabilityHours"), body.get("groupId")
    texts = isinstance(checksums, list) and all(isinstance(one, str) for one in checksums)
    if not checksums or not texts or not isinstance(hours, int) or not isinstance(group_id, str):
        raise ValueError("checksums, availabilityHours and groupId are mandatory")
    return RestoreRequest(
        tenant=tenant,
        group_id=group_id,
        checksums=tuple(dict.fromkeys(checksums)),
        availability_hours=hours,
        at=datetime.now(UTC),
    )
