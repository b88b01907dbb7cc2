"""The stream that tells an open page that something changed (console.md C4).

It carries no content: the page fetches itself again, with the rights of its visitor. Changes within a second
are one message. ``id`` is a position in the log of events, so that a browser that was cut off misses nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Final

from fastapi import Header, Query, Response

from rs_order.console.visits import Pages, Visit, Visiting
from rs_order.contracts.wire import INT64
from rs_order.domain.ids import OrderId
from rs_order.events.feed import EventFeed
from rs_order.events.stream import EventStream, EventStreamResponse, OpenStreams
from rs_order.rest.access import is_administrator
from rs_order.rest.resources import STREAM_EVENTS
from rs_order.store.events import EventFilter, LoggedEvent

PAUSE_SECONDS: Final = 1.0
MOST_OF_A_USER: Final = 40
"""A browser closes the stream of a tab that nobody sees, so these are windows side by side."""


@dataclass(frozen=True, slots=True)
class Live:
    """Tells open pages of changes."""

    feed: EventFeed
    streams: OpenStreams

    async def position(self, visit: Visit) -> int:
        """Return the position behind which a page that is read now must hear of changes.

        Raises:
            StoreUnavailable: the log can't be read.
        """
        return (await self.feed.number_overdue(visit.caller.tenant)).position


def serve_live(pages: Pages, live: Live) -> None:
    @pages.page("/live", STREAM_EVENTS)
    async def stream_changes(
        visit: Visiting,
        after: Annotated[int | None, Query(ge=0, le=INT64)] = None,
        last: Annotated[int | None, Header(alias="Last-Event-ID", ge=0, le=INT64)] = None,
        order: Annotated[int | None, Query(ge=0, le=INT64)] = None,
        everybody: bool = False,
    ) -> Response:
        caller = visit.caller
        every = is_administrator(caller) and (everybody or order is not None)
        wanted = EventFilter(
            owner=None if every else caller.email,
            order_id=None if order is None else OrderId(order),
        )
        stream = await EventStream.opened(
            live.feed,
            caller.tenant,
            wanted,
            last if last is not None else after,
            seconds=visit.frame.access.tokens.seconds_left(visit.token),
        )
        quiet = replace(stream, write=_changed, pause_seconds=PAUSE_SECONDS)
        permit = live.streams.one_more((caller.tenant, caller.email))
        return EventStreamResponse(quiet.lines(), permit)


def _changed(events: Sequence[LoggedEvent]) -> bytes:
    return b"id: %d\nevent: changed\ndata: 1\n\n" % events[-1].position
