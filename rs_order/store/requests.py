"""The inbox of order requests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from rs_order.domain.ids import OrderId, RequestId
from rs_order.store.pool import Connection, statements
from rs_order.store.rows import affected

SQL = statements("requests")


RequestKey = tuple[str, bytes]
"""Correlation id and fingerprint."""


class RequestState(StrEnum):
    """The state of an order request."""

    RECEIVED = "RECEIVED"
    """Recorded, and not answered yet."""
    GRANTED = "GRANTED"
    DENIED = "DENIED"
    FAILED = "FAILED"
    """Answered FAILED without an order."""


@dataclass(frozen=True, slots=True)
class NewRequest:
    """An order request as it was received. The fingerprint identifies a repetition."""

    correlation_id: str
    fingerprint: bytes
    body: str
    """JSON."""

    @property
    def key(self) -> RequestKey:
        return self.correlation_id, self.fingerprint


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """An order request in the inbox, without its content."""

    id: RequestId
    correlation_id: str
    fingerprint: bytes
    order_id: OrderId | None
    new: bool
    """True if this call recorded it."""

    @property
    def key(self) -> RequestKey:
        return self.correlation_id, self.fingerprint


@dataclass(frozen=True, slots=True)
class WaitingRequest:
    """An order request that waits for an answer."""

    id: RequestId
    correlation_id: str
    body: dict[str, Any]
    attempts: int
    unavailable_since: datetime | None
    received_at: datetime


class Requests:
    """The inbox of order requests of a tenant."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def record(self, requests: Sequence[NewRequest], at: datetime) -> list[RecordedRequest]:
        """Record new requests in their order. Return every distinct request, known or new."""
        rows = await self._connection.fetch(
            SQL["record"],
            [request.correlation_id for request in requests],
            [request.fingerprint for request in requests],
            [request.body for request in requests],
            at,
        )
        return [
            RecordedRequest(
                id=RequestId(row["id"]),
                correlation_id=row["correlation_id"],
                fingerprint=row["fingerprint"],
                order_id=OrderId(row["order_id"]) if row["order_id"] is not None else None,
                new=row["new"],
            )
            for row in rows
        ]

    async def lock_received(self, ids: Sequence[RequestId]) -> set[RequestId]:
        """Lock the requests among these that wait for an answer. Return their ids."""
        rows = await self._connection.fetch(SQL["lock_received"], ids)
        return {RequestId(row["id"]) for row in rows}

    async def decide(
        self, state: RequestState, decisions: Mapping[RequestId, OrderId | None]
    ) -> None:
        if decisions:
            await self._connection.execute(
                SQL["decide"], list(decisions), list(decisions.values()), state
            )

    async def note_unavailable(self, ids: Sequence[RequestId], since: datetime) -> None:
        """Count an attempt that failed because a service was unavailable. The first time is kept."""
        await self._connection.execute(SQL["note_unavailable"], ids, since)

    async def reopen(self, ids: Sequence[RequestId]) -> list[RequestId]:
        """Make requests that FAILED without an order wait again. Return the ids of those that did."""
        rows = await self._connection.fetch(SQL["reopen"], ids)
        return [RequestId(row["id"]) for row in rows]

    async def purge(self, before: datetime, limit: int) -> int:
        """Delete up to ``limit`` answered requests from before the retention. Return how many there were."""
        return affected(await self._connection.execute(SQL["purge"], before, limit))
