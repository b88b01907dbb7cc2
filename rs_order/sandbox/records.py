"""Bounded records of what the sandbox received and sent. Tests read them and wait for them."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from rs_order.sandbox.amqp_wire import Event
from rs_order.sandbox.service_protocol import date

_MAX_RECORDS = 10_000
WAIT_SECONDS = 60.0
"""The default time limit of a wait for the sandbox, long enough for a busy machine."""


class Changes:
    """A signal of changes, so that tests wait for a condition instead of sleeping."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def until(
        self, condition: Callable[[], bool], timeout_seconds: float | None = None
    ) -> None:
        """Wait until a condition is true; it is checked after each change.

        Raises:
            TimeoutError: it didn't become true in time.
        """
        async with asyncio.timeout(timeout_seconds):
            while not condition():
                await self._changed.wait()


@dataclass(slots=True)
class Call:
    """An HTTP call of a simulated service."""

    service: str
    verb: str
    path: str
    """Below the service's prefix."""
    tenant: str | None
    role: str | None
    email: str | None
    at: datetime
    status: int | None = None
    """None before the response, or if the connection was closed without a response."""


class Calls:
    """The HTTP calls that the sandbox received."""

    def __init__(self) -> None:
        self._recent: deque[Call] = deque(maxlen=_MAX_RECORDS)
        self.counters: Counter[str] = Counter()
        """Calls by service, since the start or the last reset."""
        self._changes = Changes()

    def add(self, call: Call) -> None:
        self._recent.append(call)
        self.counters[call.service] += 1
        self._changes.notify()

    def recent(self, service: str | None = None) -> list[Call]:
        """Return the last calls, of all services or of one, oldest first."""
        return [call for call in self._recent if service in (None, call.service)]

    async def wait_for(
        self, service: str, count: int, timeout_seconds: float = WAIT_SECONDS
    ) -> None:
        """Wait until a service has received this number of calls; raises TimeoutError."""
        await self._changes.until(lambda: self.counters[service] >= count, timeout_seconds)

    def clear(self) -> None:
        self._recent.clear()
        self.counters.clear()


@dataclass(frozen=True, slots=True)
class Notification:
    tenant: str
    body: dict[str, Any]
    """The member ``notification`` of the event."""
    at: datetime


class Notifications:
    """The notifications that the real platform would show to users."""

    def __init__(self) -> None:
        self._received: deque[Notification] = deque(maxlen=_MAX_RECORDS)
        self._changes = Changes()

    @property
    def received(self) -> list[Notification]:
        return list(self._received)

    def receive(self, notification: Notification) -> None:
        self._received.append(notification)
        self._changes.notify()

    async def wait_for(
        self, number: int, timeout_seconds: float = WAIT_SECONDS
    ) -> list[Notification]:
        """Return the notifications once there are this many; raises TimeoutError."""
        await self._changes.until(lambda: len(self._received) >= number, timeout_seconds)
        return self.received

    def clear(self) -> None:
        self._received.clear()


class Mail(BaseModel):
    """A mail in the body of ``POST /rs-admin-instance/email`` (remote-services.md 6)."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, serialize_by_alias=True
    )

    sender: Annotated[str | None, Field(alias="from")] = None
    reply_to: str | None = None
    to: list[str]
    cc: list[str] = []
    bcc: list[str] = []
    subject: str
    text: str
    sent_date: str | None = None


class Mailbox:
    """The mails that the real platform would send."""

    def __init__(self) -> None:
        self._mails: deque[Mail] = deque(maxlen=_MAX_RECORDS)
        self._changes = Changes()

    @property
    def mails(self) -> list[Mail]:
        return list(self._mails)

    def receive(self, mail: Mail) -> None:
        mail.sent_date = date(datetime.now(UTC))
        self._mails.append(mail)
        self._changes.notify()

    async def wait_for(self, count: int, timeout_seconds: float = WAIT_SECONDS) -> list[Mail]:
        """Return the mails once there are this many; raises TimeoutError."""
        await self._changes.until(lambda: len(self._mails) >= count, timeout_seconds)
        return self.mails

    def clear(self) -> None:
        self._mails.clear()


@dataclass(frozen=True, slots=True)
class SentEvent:
    number: int
    """1 for the first event sent; never reused."""
    event: Event


class SentEvents:
    """The events that the sandbox sent to the broker."""

    def __init__(self) -> None:
        self._sent: deque[SentEvent] = deque(maxlen=_MAX_RECORDS)
        self._count = 0

    def add(self, event: Event) -> None:
        self._count += 1
        self._sent.append(SentEvent(self._count, event))

    def since(self, number: int) -> list[SentEvent]:
        """Return the recorded events after the one of this number."""
        return [sent for sent in self._sent if sent.number > number]

    def clear(self) -> None:
        """Delete the records; numbers continue."""
        self._sent.clear()
