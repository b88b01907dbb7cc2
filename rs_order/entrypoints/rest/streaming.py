"""A body that is made while it is sent, and must know whether it was sent."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from starlette.responses import Response
from starlette.types import Receive, Scope, Send


class ClientGone(Exception):
    """The client closed the connection before the answer was complete."""


class StreamedDownload(Response):
    """Sends a generator's pieces as an attachment.

    The generator is resumed after its last piece only when all were taken by a client that was
    still there; whatever else happens, it is closed where it stands.
    """

    def __init__(
        self, body: AsyncGenerator[bytes, None], filename: str, on_end: Callable[[bool], None]
    ) -> None:
        """``on_end`` is told whether everything was sent."""
        super().__init__(
            headers={"Content-Disposition": f'attachment; filename="{filename}"'},
            media_type="application/octet-stream",
        )
        del self.headers["Content-Length"]
        self._body = body
        self._on_end = on_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - given by ASGI
        sending = asyncio.create_task(self._send_all(send))
        gone = asyncio.create_task(_until_gone(receive))
        try:
            await asyncio.wait({sending, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            complete = sending.done()
            gone.cancel()
            sending.cancel()
            await asyncio.wait({sending, gone})
            self._on_end(complete and sending.exception() is None)
        if complete:
            sending.result()

    async def _send_all(self, send: Send) -> None:
        await send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )
        async with aclosing(self._body) as pieces:
            async for piece in pieces:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                # The server forgets pieces for a client who has gone and doesn't say so. Let the
                # news arrive before the generator is told that its piece was taken.
                await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
