"""The outbox as the relay works on it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from rs_order.domain.ids import Tenant
from rs_order.ports.clock import Clock
from rs_order.ports.outbox import MessageKind, OutboxRow
from rs_order.store.pool import Connection, Pool, Row, transaction
from rs_order.store.statements import statements

SQL = statements("outbox")


@dataclass(frozen=True, slots=True)
class OutboxLag:
    """How far the relay is behind."""

    rows: int
    """Due rows, counted up to 10,000."""
    oldest_seconds: float
    """How long the oldest due row has waited."""


class ClaimedRows:
    """Rows of one slot that no other relay can touch until the claim ends."""

    def __init__(self, connection: Connection, rows: Sequence[OutboxRow]) -> None:
        self._connection = connection
        self.rows = rows

    async def remove(self, ids: Sequence[int]) -> None:
        """Forget the rows that the broker confirmed; takes effect when the claim ends."""
        await self._connection.execute(SQL["remove"], ids)


class Outbox:
    """What the relay needs of the store. Rows are spread over slots by their stream."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock

    async def ready_slots(self) -> list[int]:
        """Slots that hold a due row."""
        async with transaction(self._pool, readonly=True) as connection:
            rows = await connection.fetch(SQL["ready_slots"], self._clock.now())
        return [row["slot"] for row in rows]

    @asynccontextmanager
    async def claim(self, slot: int, limit: int) -> AsyncIterator[ClaimedRows | None]:
        """The oldest due rows of a slot, None when another relay has the slot.

        Leaving the context normally commits the removals; leaving it by an exception undoes them.
        """
        async with transaction(self._pool) as connection:
            if not await connection.fetchval(SQL["take_slot"], slot):
                yield None
                return
            rows = await connection.fetch(SQL["claim"], slot, self._clock.now(), limit)
            yield ClaimedRows(connection, [_row_of(row) for row in rows])

    async def seconds_to_next(self) -> float | None:
        """Seconds until the next row falls due (0 when one is due), None when there is none."""
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
