"""Gathers the pieces of a file between its source and its reader, so that each handover has many bytes."""

import asyncio
from collections.abc import Sequence
from typing import Final

ENOUGH: Final = 512 * 1024
"""Bytes that are handed over at once, if they arrive in time."""
GATHERING_SECONDS: Final = 0.01
"""For how long pieces are gathered: a slow source shall not hold back what has arrived."""
AHEAD: Final = 1024 * 1024
"""Bytes that wait for the reader; while there are as many, the source waits."""


class GatheredPieces:
    """The pieces of a file that have arrived and that nobody took yet."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._bytes = 0
        self._ended = False
        self._error: Exception | None = None
        self._ready = asyncio.Event()
        """Set when the reader may take what there is."""
        self._room = asyncio.Event()
        """Set when the source may go on."""
        self._timer: asyncio.TimerHandle | None = None

    async def put(self, piece: bytes) -> None:
        """Add a piece, and wait until there is room for another one."""
        self._pieces.append(piece)
        self._bytes += len(piece)
        if self._bytes >= ENOUGH:
            self._ready.set()
        elif self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(GATHERING_SECONDS, self._ready.set)
        while self._bytes >= AHEAD:
            self._room.clear()
            await self._room.wait()

    def end(self, last: bytes | None = None, error: Exception | None = None) -> None:
        """Add the last piece, if there is one, and say that none follows, or that an error does."""
        if last:
            self._pieces.append(last)
        self._ended, self._error = True, error
        self._ready.set()

    async def take(self) -> Sequence[bytes]:
        """Return the pieces that have arrived, or none at the end. If it is cancelled, nothing is lost.

        Raises:
            Exception: the error at the end; after it, there is nothing to take.
        """
        await self._ready.wait()
        pieces, self._pieces, self._bytes = self._pieces, [], 0
        self._stop_timer()
        if not self._ended:
            self._ready.clear()
            self._room.set()
        elif not pieces and self._error is not None:
            error, self._error = self._error, None
            raise error
        return pieces

    @property
    def at_end(self) -> bool:
        """True once all pieces were taken, and no error follows."""
        return self._ended and not self._pieces and self._error is None

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
