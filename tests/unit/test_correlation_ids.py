"""The correlation id of a request reaches its log lines, its steps and the calls of other services."""

from datetime import UTC, datetime
from typing import Any

import pytest
import structlog
from starlette.types import Message

from rs_order.core.shared_steps import ScheduleStep
from rs_order.correlation_ids import correlated, correlation_id
from rs_order.domain.ids import Tenant
from rs_order.regards.http import RemoteService, new_client
from rs_order.rest.middleware import RequestLog
from tests.regards.raw_server import RawServer, answer

TENANT = Tenant("project1")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def seen_in_a_request(header: bytes) -> str | None:
    """Return the correlation id within a request with this header."""
    seen: list[str | None] = []

    async def app(*_: Any) -> None:
        seen.append(correlation_id())
        bound = structlog.contextvars.get_contextvars()
        assert bound.get("correlation_id") == seen[0]

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(_: Message) -> None:
        """Drop the response."""

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "headers": [(b"correlation-id", header)],
    }
    await RequestLog(app)(scope, receive, send)
    return seen[0]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (b"gateway-1", "gateway-1"),
        (b"x" * 255, "x" * 255),
        (b"x" * 256, None),
        (b"", None),
        (b"caf\xe9", None),
        (b"a\tb", None),
    ],
)
async def test_the_id_of_a_request(header: bytes, expected: str | None) -> None:
    """An id that can't be sent as a header is ignored. After the request there is no id."""
    assert await seen_in_a_request(header) == expected
    assert correlation_id() is None


def test_steps_have_the_id_of_their_cause() -> None:
    """A step that is due later has none: a periodic one would keep it for ever."""
    step = ScheduleStep("jane@example.org")
    with correlated("c-1"):
        at_once, later = step.to(TENANT), step.to(TENANT, NOON)

    assert (at_once.correlation_id, later.correlation_id) == ("c-1", None)
    assert step.to(TENANT).correlation_id is None


async def test_calls_pass_the_id_on() -> None:
    """In the header in which the gateway gave it."""
    async with RawServer.running(answer("200 OK", b"{}")) as server, new_client() as client:
        service = RemoteService("rs-test", server.url, client)
        with correlated("c-1"):
            await service.get("/path", "token")
        await service.get("/path", "token")

    assert ["correlation-id: c-1" in head.lower() for head in server.requests] == [True, False]
