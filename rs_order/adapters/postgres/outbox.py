"""The outbox as the relay works on it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from rs_order.adapters.postgres.driver import Connection, Pool, Row
from rs_order.adapters.postgres.pool import transaction
from rs_order.adapters.postgres.statements import statements
from rs_order.domain.ids import Tenant
from rs_order.ports.clock import Clock
from rs_order.ports.outbox import MessageKind, OutboxLag, OutboxRow

SQL = statements("outbox")


class PostgresClaimedRows:
    """Implements :class:`rs_order.ports.outbox.ClaimedRows`."""

    def __init__(self, connection: Connection, rows: Sequence[OutboxRow]) -> None:
        self._connection = connection
        self.rows = rows

    async def remove(self, ids: Sequence[int]) -> None:
        await self._connection.execute(SQL["remove"], ids)


class PostgresOutbox:
    """Implements :class:`rs_order.ports.outbox.Outbox`."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock

    async def ready_slots(self) -> list[int]:
        async with transaction(self._pool, readonly=True) as connection:
            rows = await connection.fetch(SQL["ready_slots"], self._clock.now())
        return [row["slot"] for row in rows]

    @asynccontextmanager
    async def claim(self, slot: int, limit: int) -> AsyncIterator[PostgresClaimedRows | None]:
        async with transaction(self._pool) as connection:
            if not await connection.fetchval(SQL["take_slot"], slot):
                yield None
                return
            rows = await connection.fetch(SQL["claim"], slot, self._clock.now(), limit)
            yield PostgresClaimedRows(connection, [_row_of(row) for row in rows])

    async def seconds_to_next(self) -> float | None:
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
