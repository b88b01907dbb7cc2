"""A body that is made while it is sent, and must know whether it was sent."""

import asyncio
from abc import abstractmethod
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from rs_order.application.download import OrderGone
from rs_order.entrypoints.rest.content_disposition import attachment

OnEnd = Callable[[bool], None]
"""Told whether everything was sent."""


class Streamed(Response):
    """An answer in the making, which stops when the client has gone."""

    def __init__(self, headers: Mapping[str, str], on_end: OnEnd) -> None:
        super().__init__(headers=headers)
        if "Content-Length" not in headers:
            del self.headers["Content-Length"]
        self._on_end = on_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - given by ASGI
        sending = asyncio.create_task(self._send_all(send))
        gone = asyncio.create_task(_until_gone(receive))
        try:
            await asyncio.wait({sending, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended = sending.done()
            gone.cancel()
            sending.cancel()
            await asyncio.wait({sending, gone})
            self._on_end(ended and sending.exception() is None and sending.result())
        if ended:
            sending.result()

    @abstractmethod
    async def _send_all(self, send: Send) -> bool:
        """Send the answer, from its head to its end.

        False when it was left without an end on purpose: the server then closes the connection, so that
        the client doesn't take what it has for the whole.
        """

    async def _send_head(self, send: Send) -> None:
        await send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )

    async def _send_pieces(self, send: Send, body: AsyncGenerator[bytes, None]) -> None:
        """Send what a generator gives, as fast as the client takes it.

        The generator is resumed after its last piece only when all were taken by a client that was
        still there; whatever else happens, it is closed where it stands.
        """
        async with aclosing(body) as pieces:
            async for piece in pieces:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                # The server forgets pieces for a client who has gone and doesn't say so. Let the
                # news arrive before the generator is told that its piece was taken.
                await asyncio.sleep(0)

    async def _send_end(self, send: Send) -> None:
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class StreamedDownload(Streamed):
    """Sends a generator's pieces as an attachment; it is cut when the order goes meanwhile."""

    def __init__(
        self,
        body: AsyncGenerator[bytes, None],
        filename: str,
        on_end: OnEnd = lambda _: None,
        media_type: str = "application/octet-stream",
    ) -> None:
        headers = {"Content-Disposition": attachment(filename), "Content-Type": media_type}
        super().__init__(headers, on_end)
        self._body = body

    async def _send_all(self, send: Send) -> bool:
        await self._send_head(send)
        try:
            await self._send_pieces(send, self._body)
        except OrderGone:
            return False
        await self._send_end(send)
        return True


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
