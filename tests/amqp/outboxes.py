"""An outbox in memory, and a wrapper that counts the claims of any outbox."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

import orjson

from rs_order.ports import Claim, OutboxCheck, OutboxReader, OutboxRow
from rs_order.store.outbox import OutgoingMessage

PARTITIONS = 8
PAUSE_SECONDS = 1.0


class OutboxUnderTest(OutboxReader, Protocol):
    """An outbox to which a test can add rows."""

    async def add(self, *messages: OutgoingMessage) -> None:
        """Commit these rows, in this order."""
        ...


class ObservedOutbox:
    """An outbox that counts its claims."""

    def __init__(self, outbox: OutboxUnderTest) -> None:
        self._outbox = outbox
        self.claims = 0
        """Claims begun so far."""
        self.open_claims = 0
        """Claims that have not ended."""

    async def add(self, *messages: OutgoingMessage) -> None:
        await self._outbox.add(*messages)

    async def is_empty(self) -> bool:
        return (await self.check()).seconds_to_next is None

    async def check(self) -> OutboxCheck:
        return await self._outbox.check()

    def seconds_until(self, due_at: datetime) -> float:
        return self._outbox.seconds_until(due_at)

    def claim(self, partition: int, limit: int) -> AbstractAsyncContextManager[Claim | None]:
        return self._observed(partition, limit)

    @asynccontextmanager
    async def _observed(self, partition: int, limit: int) -> AsyncIterator[Claim | None]:
        self.claims += 1
        self.open_claims += 1
        try:
            async with self._outbox.claim(partition, limit) as claimed:
                yield claimed
        finally:
            self.open_claims -= 1


@dataclass(frozen=True)
class _Stored:
    row: OutboxRow
    due_at: datetime
    partition: int


class _Claimed:
    def __init__(self, rows: Sequence[OutboxRow]) -> None:
        self.rows = rows
        self.removed: set[int] = set()
        self.postponed: set[int] = set()

    async def remove(self, ids: Sequence[int]) -> None:
        self.removed |= set(ids)

    async def postpone(self, ids: Sequence[int]) -> None:
        self.postponed |= set(ids)


class MemoryOutbox:
    """An outbox in memory, for tests of the relay that don't depend on the store."""

    def __init__(self) -> None:
        self._stored: dict[int, _Stored] = {}
        self._taken: set[int] = set()
        self._rejected: dict[int, datetime] = {}
        """When rows that the broker rejected are tried again."""
        self._last_id = 0

    async def add(self, *messages: OutgoingMessage) -> None:
        now = datetime.now(UTC)
        for message in messages:
            if message.stream is not None and message.due_at is not None:
                raise ValueError(
                    "a row with a due time belongs to no stream, nor does the store take it"
                )
            self._last_id += 1
            row = OutboxRow(
                id=self._last_id,
                kind=message.kind,
                tenant=message.tenant,
                body=orjson.dumps(message.body),
                stream=message.stream,
                correlation_id=message.correlation_id,
                message_id=message.message_id,
                created_at=now,
            )
            partition = hash(message.stream or row.id) % PARTITIONS
            self._stored[row.id] = _Stored(row, message.due_at or now, partition)

    def _due(self) -> list[_Stored]:
        """Return the due rows in the order of their commits. A rejected row holds back its stream."""
        now = datetime.now(UTC)
        held = {self._stored[row_id].row.stream for row_id in self._rejected} - {None}
        return [
            stored
            for row_id, stored in self._stored.items()
            if self._rejected.get(row_id, stored.due_at) <= now
            and (row_id in self._rejected or stored.row.stream not in held)
        ]

    async def check(self) -> OutboxCheck:
        ready = sorted({stored.partition for stored in self._due()})
        return OutboxCheck(ready, self._seconds_to_next())

    def seconds_until(self, due_at: datetime) -> float:
        return max(0.0, (due_at - datetime.now(UTC)).total_seconds())

    @asynccontextmanager
    async def claim(self, partition: int, limit: int) -> AsyncIterator[_Claimed | None]:
        if partition in self._taken:
            yield None
            return
        self._taken.add(partition)
        try:
            rows = [
                replace(stored.row, was_rejected=stored.row.id in self._rejected)
                for stored in self._due()
                if stored.partition == partition
            ]
            claimed = _Claimed(rows[:limit])
            yield claimed
            for row_id in claimed.removed:
                del self._stored[row_id]
                self._rejected.pop(row_id, None)
            later = datetime.now(UTC) + timedelta(seconds=PAUSE_SECONDS)
            self._rejected |= dict.fromkeys(claimed.postponed, later)
        finally:
            self._taken.discard(partition)

    def _seconds_to_next(self) -> float | None:
        if not self._stored:
            return None
        soonest = min(
            self._rejected.get(row_id, stored.due_at) for row_id, stored in self._stored.items()
        )
        return max(0.0, (soonest - datetime.now(UTC)).total_seconds())
