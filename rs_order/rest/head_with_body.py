"""Sends the head of a response with its body, in one call of the system."""

import asyncio


class HeadWithBody:
    """A transport for a response of uvicorn, which sends the head with the first piece of the body.

    uvicorn writes them one after the other, and the event loop sends each write at once, which wakes the
    client for the head alone. A head without a body so far is sent in the next turn of the event loop.
    """

    __slots__ = ("_began", "_held", "_loop", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held = b""
        self._began = False

    def write(self, data: bytes) -> None:
        """Hold the first piece, which is the head, and send everything after it at once."""
        if self._began:
            data, self._held = self._held + data, b""
            self._transport.write(data)
        else:
            self._began, self._held = True, data
            self._loop.call_soon(self._flush)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def _flush(self) -> None:
        if self._held:
            self.write(b"")
