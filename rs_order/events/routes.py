"""The endpoints of the log of events (faces.md 4.5)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import APIRouter, Header, Query, Request, Response

from rs_order.contracts.event_bodies import EVENTS, EventDto, data_schema
from rs_order.contracts.wire import INT64
from rs_order.domain.events import types_of
from rs_order.domain.identity import Caller
from rs_order.domain.ids import OrderId
from rs_order.events.feed import EventFeed
from rs_order.events.reading import LogReader, events_answer
from rs_order.events.stream import (
    HEADERS,
    EventStream,
    EventStreamResponse,
    OpenStreams,
)
from rs_order.events.stream import MEDIA_TYPE as STREAM
from rs_order.rest.access import Access, is_administrator, is_system, seconds_left
from rs_order.rest.addresses import own_address
from rs_order.rest.answers import json_answer
from rs_order.rest.conditional import preferred_wait
from rs_order.rest.errors import Problem
from rs_order.rest.middleware import is_head
from rs_order.rest.problems import ProblemCode
from rs_order.rest.resources import GET_EVENT_SCHEMA, LIST_EVENTS, STREAM_EVENTS
from rs_order.rest.routing import AuthorisedCaller, Endpoints
from rs_order.store.events import EventFilter, EventLog

PAGE_SIZE: Final = 100
LARGEST_PAGE: Final = 1000

After = Annotated[
    int | None,
    Query(ge=0, le=INT64, description="The position to continue after; absent: the oldest event."),
]
AfterToStream = Annotated[
    int | None,
    Query(ge=0, le=INT64, description="Begin behind this position; absent: with the next event."),
]
LastEventId = Annotated[
    int | None,
    Header(
        alias="Last-Event-ID",
        ge=0,
        le=INT64,
        description="The same, for a client that connects again.",
    ),
]
Types = Annotated[
    list[str] | None,
    Query(
        description="Only these types, without prefix; a trailing `*` stands for any end. Repeat the "
        "parameter, or separate them by commas.",
        examples=[["order.*", "suborder.ready"]],
    ),
]
OrderIdParameter = Annotated[
    int | None, Query(alias="orderId", ge=0, le=INT64, description="Only those of this order.")
]
Limit = Annotated[int, Query(ge=1, le=LARGEST_PAGE)]


@dataclass(frozen=True, slots=True)
class EventServices:
    """Reads the log, and waits for more of it."""

    log: EventLog
    feed: EventFeed
    streams: OpenStreams


def events_router(access: Access, services: EventServices) -> APIRouter:
    endpoints = Endpoints(access, tag="events", problems=True)
    _serve_events(endpoints, services)
    _serve_stream(endpoints, access, services)
    _serve_schema(endpoints)
    return endpoints.router


def _serve_events(endpoints: Endpoints, services: EventServices) -> None:
    @endpoints.serve(
        LIST_EVENTS,
        model=list[EventDto],
        media_type=EVENTS,
        responses={
            400: "A parameter can't be read, or no event has such a type (`malformed-request`)",
            410: "The events behind this position are deleted (`position-gone`)",
        },
    )
    async def list_events(  # noqa: PLR0917 - FastAPI passes them by name
        request: Request,
        caller: AuthorisedCaller,
        after: After = None,
        types: Types = None,
        order_id: OrderIdParameter = None,
        limit: Limit = PAGE_SIZE,
    ) -> Response:
        """Events of the caller's orders; administrators get those of all orders of the project.

        They come oldest first. The header `Link` has the address that continues behind them, and
        `rs-order-position` the position there. With `Prefer: wait=45` the response comes as soon as there is
        an event, and after 45 s without one. Each event comes at least once; those of an order come in the
        order of their ordinals.
        """
        wanted = _filter(caller, types, order_id)
        reader = LogReader(services.log, services.feed, caller.tenant, wanted, limit)
        page, waited = await reader.read_or_wait(after, preferred_wait(request))
        answer = events_answer(page, waited)
        following = own_address(request).include_query_params(after=page.position)
        answer.headers["Link"] = f'<{following}>; rel="next"'
        return answer


def _filter(caller: Caller, types: Sequence[str] | None, order_id: int | None) -> EventFilter:
    """Return the events that the caller wants and may read.

    Raises:
        Problem: no event has such a type.
    """
    patterns = [part.strip() for one in types or () for part in one.split(",") if part.strip()]
    try:
        wanted = types_of(patterns) if patterns else None
    except ValueError as error:
        raise Problem(ProblemCode.MALFORMED_REQUEST, f"types: {error}") from error
    reads_all = is_administrator(caller) or is_system(caller)
    return EventFilter(
        owner=None if reads_all else caller.email,
        order_id=None if order_id is None else OrderId(order_id),
        types=wanted,
    )


def _serve_stream(endpoints: Endpoints, access: Access, services: EventServices) -> None:
    @endpoints.serve(
        STREAM_EVENTS,
        media_type=STREAM,
        responses={
            400: "A parameter can't be read, or no event has such a type (`malformed-request`)",
            503: "Too many streams are open (`too-many-streams`), or the database doesn't answer",
        },
    )
    async def stream_events(  # noqa: PLR0917 - FastAPI passes them by name
        request: Request,
        caller: AuthorisedCaller,
        after: AfterToStream = None,
        last: LastEventId = None,
        types: Types = None,
        order_id: OrderIdParameter = None,
    ) -> Response:
        """The same events as they happen, as server-sent events.

        `id` is the position, `event` the type without prefix, `data` the CloudEvent. Without `after` or
        `Last-Event-ID` the stream begins with the next event. So does it if the position is too old; an event
        `reset` has the `oldest` one then. The stream ends after half an hour, when the token expires, or when
        the service stops; then connect again with `Last-Event-ID`, as browsers do.
        """
        wanted = _filter(caller, types, order_id)
        if is_head(request.scope):
            return Response(headers=HEADERS, media_type=STREAM)
        stream = await EventStream.opened(
            services.feed,
            caller.tenant,
            wanted,
            last if last is not None else after,
            seconds=seconds_left(request, access),
        )
        permit = services.streams.one_more((caller.tenant, caller.email))
        return EventStreamResponse(stream.lines(), permit)


def _serve_schema(endpoints: Endpoints) -> None:
    schema = data_schema()

    @endpoints.serve(GET_EVENT_SCHEMA)
    async def get_event_schema(request: Request) -> Response:
        """The JSON schema of the data of events, which each of them names."""
        return json_answer(request, schema)
