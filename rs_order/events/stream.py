"""Server-sent events: a response that goes on as long as something happens (faces.md E-22, E-23)."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Final

import orjson
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from rs_order.domain.ids import Tenant
from rs_order.events.feed import EventFeed
from rs_order.rest.errors import Problem
from rs_order.rest.problems import ProblemCode
from rs_order.store.events import EventFilter, LoggedEvent

MEDIA_TYPE: Final = "text/event-stream"
HEADERS: Final = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}
"""No cache, no compression and no buffer of a proxy may hold an event back."""
RETRY_MILLISECONDS: Final = 5000
"""The pause after which a client connects again."""
HEARTBEAT_SECONDS: Final = 15.0
"""The gateway cuts a response after 60 s without a byte."""
LONGEST_SECONDS: Final = 1800.0
MOST_OF_A_USER: Final = 5
MOST_OF_A_PROCESS: Final = 1000
PAGE: Final = 1000


class OpenStreams:
    """Counts the streams of a process, and limits those of each user."""

    def __init__(self, most_of_a_user: int = MOST_OF_A_USER, most: int = MOST_OF_A_PROCESS) -> None:
        self._most_of_a_user = most_of_a_user
        self._most = most
        self._open: Counter[Hashable] = Counter()

    @contextmanager
    def one_more(self, user: Hashable) -> Iterator[None]:
        """Count a stream until the end of the context.

        Raises:
            Problem: as many as allowed are open.
        """
        if self._open[user] >= self._most_of_a_user:
            text = f"You have {self._most_of_a_user} streams open: close one, or read GET /events."
            raise Problem(ProblemCode.TOO_MANY_STREAMS, text)
        if self._open.total() >= self._most:
            text = f"This process has {self._most} streams open: try again, or read GET /events."
            raise Problem(ProblemCode.TOO_MANY_STREAMS, text)
        self._open[user] += 1
        try:
            yield
        finally:
            self._open[user] -= 1
            if not self._open[user]:
                del self._open[user]


class EventStreamResponse(StreamingResponse):
    """Sends a stream for as long as it has a permit."""

    media_type = MEDIA_TYPE

    def __init__(self, lines: AsyncIterator[bytes], permit: AbstractContextManager[None]) -> None:
        """``permit``: entered while the stream is sent. It may raise the error to be sent instead."""
        super().__init__(lines, headers=HEADERS)
        self._permit = permit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._permit:
            await super().__call__(scope, receive, send)


def _blocks(events: Sequence[LoggedEvent]) -> bytes:
    return b"".join(map(_block, events))


def _block(event: LoggedEvent) -> bytes:
    return f"id: {event.position}\nevent: {event.type}\ndata: {event.body}\n\n".encode()


@dataclass(frozen=True, slots=True)
class EventStream:
    """The stream of events for one client."""

    feed: EventFeed
    tenant: Tenant
    wanted: EventFilter
    position: int
    """Behind which it begins."""
    oldest: int | None
    """The first position that is left, if the client asked for an older one."""
    seconds: float
    heartbeat_seconds: float = HEARTBEAT_SECONDS
    write: Callable[[Sequence[LoggedEvent]], bytes] = _blocks
    """Returns the piece of the response for events that were read together."""
    pause_seconds: float = 0.0
    """Between two such pieces."""

    @classmethod
    async def opened(
        cls,
        feed: EventFeed,
        tenant: Tenant,
        wanted: EventFilter,
        after: int | None,
        *,
        seconds: float,
    ) -> "EventStream":
        """Return a stream. ``after``: a position; None: it begins with what happens from now on.

        Raises:
            StoreUnavailable: the log can't be read.
        """
        state = await feed.number_overdue(tenant)
        too_old = after is not None and after < state.purged
        position = state.position if after is None or too_old else after
        oldest = state.purged + 1 if too_old else None
        return cls(feed, tenant, wanted, position, oldest, min(seconds, LONGEST_SECONDS))

    async def lines(self) -> AsyncIterator[bytes]:
        """Return the pieces of the response, each event once and in order, until its time is over."""
        loop = asyncio.get_running_loop()
        ends, position = loop.time() + self.seconds, self.position
        yield b"retry: %d\n\n" % RETRY_MILLISECONDS
        if self.oldest is not None:
            yield _reset(self.oldest)
        while (left := ends - loop.time()) > 0 and not self.feed.closed:
            page = await self.feed.read(self.tenant, self.wanted, position, PAGE)
            if page.events:
                yield self.write(page.events)
                await asyncio.sleep(min(left, self.pause_seconds))
            elif page.position == position:
                pause = min(left, self.heartbeat_seconds)
                if not await self.feed.until_beyond(self.tenant, position, pause):
                    yield b":\n\n"
            position = page.position


def _reset(oldest: int) -> bytes:
    return b"event: reset\ndata: %s\n\n" % orjson.dumps({"oldest": str(oldest)})
