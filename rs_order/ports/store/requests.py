"""The inbox of order requests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from rs_order.domain.ids import (
    OrderId,
    RequestId,
)


class RequestState(StrEnum):
    """What became of an order request."""

    RECEIVED = "RECEIVED"
    """Recorded; not answered yet."""
    GRANTED = "GRANTED"
    DENIED = "DENIED"
    FAILED = "FAILED"
    """Answered FAILED without ever becoming an order."""


@dataclass(frozen=True, slots=True)
class NewRequest:
    """An order request as it arrived, with the fingerprint that makes its repetition known."""

    correlation_id: str
    fingerprint: bytes
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """An order request as the inbox holds it."""

    id: RequestId
    correlation_id: str
    fingerprint: bytes
    body: dict[str, Any]
    state: RequestState
    order_id: OrderId | None
    attempts: int
    trouble_since: datetime | None
    new: bool = False
    """This very call recorded it."""


class Requests(Protocol):
    """The inbox of order requests of a tenant."""

    async def record(self, requests: Sequence[NewRequest], at: datetime) -> list[RecordedRequest]:
        """Record what is new; the answer has one entry per distinct request."""
        ...

    async def received(self, ids: Sequence[RequestId]) -> list[RecordedRequest]:
        """Those of the requests that still wait for an answer."""
        ...

    async def lock_received(self, ids: Sequence[RequestId]) -> set[RequestId]:
        """The same, locked until the unit of work ends."""
        ...

    async def decide(
        self, state: RequestState, decisions: Mapping[RequestId, OrderId | None]
    ) -> None: ...

    async def note_trouble(self, ids: Sequence[RequestId], since: datetime) -> None:
        """One more attempt met a remote service in trouble; the first time is kept."""
        ...

    async def reopen(self, ids: Sequence[RequestId]) -> list[RequestId]:
        """Make requests that FAILED without an order wait again; those that were, by id."""
        ...

    async def forget(self, before: datetime, limit: int) -> int:
        """Forget answered requests older than the retention; how many went."""
        ...
