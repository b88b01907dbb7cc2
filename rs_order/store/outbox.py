"""The outbox, as the relay reads it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from rs_order.domain.ids import Tenant
from rs_order.ports import Clock, MessageKind, OutboxRow
from rs_order.store.pool import Connection, Pool, Row, statements, transaction

SQL = statements("outbox")
LONGEST_CLAIM_MS = 45_000
"""The server ends a claim that lasts longer: its relay may be lost, and others need the partition."""


@dataclass(frozen=True, slots=True)
class OutboxLag:
    """The backlog of the relay."""

    rows: int
    """Due rows, counted up to 10,000."""
    oldest_seconds: float
    """The waiting time of the oldest due row."""


class ClaimedRows:
    """Rows of one partition that no other relay can take until the claim ends."""

    def __init__(self, connection: Connection, rows: Sequence[OutboxRow]) -> None:
        self._connection = connection
        self.rows = rows

    async def remove(self, ids: Sequence[int]) -> None:
        """Delete the rows that the broker confirmed, when the claim ends."""
        await self._connection.execute(SQL["remove"], ids)


class Outbox:
    """The messages to be published. The stream of a row decides its partition."""

    def __init__(
        self, pool: Pool, clock: Clock, *, longest_claim_ms: int = LONGEST_CLAIM_MS
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._longest_claim_ms = longest_claim_ms

    async def ready_partitions(self) -> list[int]:
        """Return the partitions that have a due row."""
        async with transaction(self._pool, readonly=True) as connection:
            rows = await connection.fetch(SQL["ready_partitions"], self._clock.now())
        return [row["partition"] for row in rows]

    @asynccontextmanager
    async def claim(self, partition: int, limit: int) -> AsyncIterator[ClaimedRows | None]:
        """Claim the oldest due rows of a partition; None if another relay has claimed it.

        A normal end of the context commits the removals; an exception undoes them.
        """
        async with transaction(self._pool, longest_idle_ms=self._longest_claim_ms) as connection:
            if not await connection.fetchval(SQL["take_partition"], partition):
                yield None
                return
            rows = await connection.fetch(SQL["claim"], partition, self._clock.now(), limit)
            yield ClaimedRows(connection, [_row_of(row) for row in rows])

    async def seconds_to_next(self) -> float | None:
        """Return the seconds until the next row is due: 0 if one is, None if there is no row."""
        async with transaction(self._pool, readonly=True) as connection:
            seconds = await connection.fetchval(SQL["seconds_to_next"], self._clock.now())
        return None if seconds is None else max(0.0, float(seconds))

    async def lag(self) -> OutboxLag:
        async with transaction(self._pool, readonly=True) as connection:
            (row,) = await connection.fetch(SQL["lag"], self._clock.now())
        return OutboxLag(rows=row["rows"], oldest_seconds=max(0.0, float(row["oldest"])))


def _row_of(row: Row) -> OutboxRow:
    return OutboxRow(
        id=row["id"],
        kind=MessageKind(row["kind"]),
        tenant=Tenant(row["tenant"]),
        body=row["body"].encode(),
        stream=row["stream"],
        correlation_id=row["correlation_id"],
        message_id=row["message_id"],
        created_at=row["created_at"],
    )
