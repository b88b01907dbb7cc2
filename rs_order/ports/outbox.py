"""What the relay publishes. The store keeps it in its outbox; neither side knows the other."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

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


class Claim(Protocol):
    """Rows of one partition that no other relay can take until the claim ends."""

    @property
    def rows(self) -> Sequence[OutboxRow]: ...

    async def remove(self, ids: Sequence[int]) -> None:
        """Delete the rows that the broker confirmed, when the claim ends."""
        ...


class OutboxReader(Protocol):
    """The outbox as the relay reads it: that of the store, or one in memory."""

    async def ready_partitions(self) -> list[int]:
        """Return the partitions that have a due row."""
        ...

    def claim(self, partition: int, limit: int) -> AbstractAsyncContextManager[Claim | None]:
        """Claim the oldest due rows of a partition; None if another relay has claimed it.

        A normal end of the context commits the removals; an exception undoes them.
        """
        ...

    async def seconds_to_next(self) -> float | None:
        """Return the seconds until the next row is due: 0 if one is, None if there is no row."""
        ...
