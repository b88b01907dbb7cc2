"""The head of a response goes out with its body, and alone only if there is no body yet."""

import asyncio
from typing import Any, cast

from rs_order.rest.head_with_body import HeadWithBody


class Sent:
    """A transport that notes what is sent with each call of the system."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.writes.append(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


def response() -> tuple[HeadWithBody, Sent]:
    sent = Sent()
    return HeadWithBody(cast("Any", sent), asyncio.get_running_loop()), sent


async def test_head_and_body_are_one_write() -> None:
    answer, sent = response()
    for piece in (b"head", b"body", b"more"):
        answer.write(piece)
    await asyncio.sleep(0)

    assert sent.writes == [b"headbody", b"more"]


async def test_a_head_without_a_body_so_far_does_not_wait_for_it() -> None:
    """As of a stream of events, whose first one may come much later."""
    answer, sent = response()
    answer.write(b"head")
    await asyncio.sleep(0)
    assert sent.writes == [b"head"]
    answer.write(b"body")

    assert sent.writes == [b"head", b"body"]


async def test_a_connection_is_closed_after_the_head() -> None:
    answer, sent = response()
    answer.write(b"head")
    answer.close()
    await asyncio.sleep(0)

    assert sent.writes == [b"head"]
    assert answer.is_closing()
