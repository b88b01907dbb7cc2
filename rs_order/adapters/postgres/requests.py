"""The inbox of order requests."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from rs_order.adapters.postgres.driver import Connection, Row
from rs_order.adapters.postgres.rows import affected
from rs_order.adapters.postgres.statements import statements
from rs_order.domain.ids import OrderId, RequestId
from rs_order.ports.store import NewRequest, RecordedRequest, RequestState

SQL = statements("requests")


def _request_of(row: Row) -> RecordedRequest:
    return RecordedRequest(
        id=RequestId(row["id"]),
        correlation_id=row["correlation_id"],
        fingerprint=row["fingerprint"],
        body=row["body"],
        state=RequestState(row["state"]),
        order_id=OrderId(row["order_id"]) if row["order_id"] is not None else None,
        attempts=row["attempts"],
        trouble_since=row["trouble_since"],
        new=row["new"],
    )


class PostgresRequests:
    """Implements :class:`rs_order.ports.store.Requests`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def record(self, requests: Sequence[NewRequest], at: datetime) -> list[RecordedRequest]:
        rows = await self._connection.fetch(
            SQL["record"],
            [request.correlation_id for request in requests],
            [request.fingerprint for request in requests],
            [request.body for request in requests],
            at,
        )
        return [_request_of(row) for row in rows]

    async def received(self, ids: Sequence[RequestId]) -> list[RecordedRequest]:
        return [_request_of(row) for row in await self._connection.fetch(SQL["received"], ids)]

    async def lock_received(self, ids: Sequence[RequestId]) -> set[RequestId]:
        rows = await self._connection.fetch(SQL["lock_received"], ids)
        return {RequestId(row["id"]) for row in rows}

    async def decide(
        self, state: RequestState, decisions: Mapping[RequestId, OrderId | None]
    ) -> None:
        if decisions:
            await self._connection.execute(
                SQL["decide"], list(decisions), list(decisions.values()), state
            )

    async def note_trouble(self, ids: Sequence[RequestId], since: datetime) -> None:
        await self._connection.execute(SQL["note_trouble"], ids, since)

    async def reopen(self, ids: Sequence[RequestId]) -> list[RequestId]:
        rows = await self._connection.fetch(SQL["reopen"], ids)
        return [RequestId(row["id"]) for row in rows]

    async def forget(self, before: datetime, limit: int) -> int:
        return affected(await self._connection.execute(SQL["forget"], before, limit))
