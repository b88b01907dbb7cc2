"""The outbox: whatever leaves the service is a row first, in the commit that makes it true."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID, uuid4

from rs_order.domain.ids import Tenant


class MessageKind(StrEnum):
    """What leaves, and hence where it goes; the AMQP adapter holds the addresses."""

    ORDER_RESPONSE = "ORDER_RESPONSE"
    """OrderResponseDtoEvent (amqp.md 2.6)."""
    RESTORE_REQUEST = "RESTORE_REQUEST"
    """FilesRestorationRequestEvent (amqp.md 3.2)."""
    NOTIFICATION = "NOTIFICATION"
    """NotificationEvent for users of a project (amqp.md 3.4)."""
    INSTANCE_NOTIFICATION = "INSTANCE_NOTIFICATION"
    """NotificationEvent on the instance virtual host."""
    DOWNLOADED_OUTPUTS = "DOWNLOADED_OUTPUTS"
    """DownloadedOutputFilesEvent for rs-processing (amqp.md 3.3)."""
    EXECUTION_REQUEST = "EXECUTION_REQUEST"
    """PExecutionRequestEvent for rs-processing (amqp.md 3.3)."""
    DEAD_REQUEST = "DEAD_REQUEST"
    """An order request that failed for a reason that may go away: a dead letter an operator can replay.

    Body: ``{"request": …, "reason": …, "detail": …}``; what is published is the request.
    """
    NOTIFIER_COPY = "NOTIFIER_COPY"
    """NotificationRequestEvent: a copy of another message for rs-notifier (amqp.md 3.4)."""
    STEP = "STEP"
    """The next piece of our own work, for the internal queue."""


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """A message to be written to the outbox."""

    kind: MessageKind
    tenant: Tenant
    body: dict[str, Any]
    stream: str | None = None
    """Messages of one stream leave in the order they were written; None: in any order.

    Whoever writes to a stream holds the row lock of what the stream is named after, so that the
    order of the rows is the order of the commits.
    """
    due_at: datetime | None = None
    """Not before this instant; None: at once."""
    correlation_id: str | None = None
    message_id: UUID = field(default_factory=uuid4)
    """Stays the same however often the message is published."""


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """A message as the relay reads it."""

    id: int
    kind: MessageKind
    tenant: Tenant
    body: bytes
    """JSON text."""
    stream: str | None
    correlation_id: str | None
    message_id: UUID
    created_at: datetime


class ClaimedRows(Protocol):
    """Rows of one slot that no other relay can touch until the claim ends."""

    rows: Sequence[OutboxRow]

    async def remove(self, ids: Sequence[int]) -> None:
        """Forget the rows that the broker confirmed; takes effect when the claim ends."""
        ...


@dataclass(frozen=True, slots=True)
class OutboxLag:
    """How far the relay is behind."""

    rows: int
    """Due rows, counted up to 10,000."""
    oldest_seconds: float
    """How long the oldest due row has waited."""


class Outbox(Protocol):
    """What the relay needs of the store. Rows are spread over slots by their stream."""

    async def ready_slots(self) -> list[int]:
        """Slots that hold a due row."""
        ...

    def claim(self, slot: int, limit: int) -> AbstractAsyncContextManager[ClaimedRows | None]:
        """The oldest due rows of a slot, None when another relay has the slot.

        Leaving the context normally commits the removals; leaving it by an exception undoes them.
        """
        ...

    async def seconds_to_next(self) -> float | None:
        """Seconds until the next row falls due (0 when one is due), None when there is none."""
        ...

    async def lag(self) -> OutboxLag: ...


def order_stream(tenant: Tenant, order_id: int) -> str:
    """The stream of what peers are told about one order; write to it holding the order's row."""
    return f"{tenant}/order/{order_id}"


def request_stream(tenant: Tenant, request_id: int) -> str:
    """The stream of what is told about a request that is no order; write to it holding its row."""
    return f"{tenant}/request/{request_id}"
