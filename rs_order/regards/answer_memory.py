"""Limits the memory of responses that are read or parsed at the same time."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

MAX_IN_FLIGHT: Final = 256 * 2**20
"""The most bytes of all responses together."""


class AnswerMemory:
    """Counts the bytes of the responses in flight, from their first byte until they are parsed.

    The texts of products with many files are used for longer, and don't count then: they take half the memory
    of the objects that would be made from them.
    A response that would exceed the limit waits until others end. The oldest one never waits, so one always
    ends. So all together may exceed the limit by the longest single response.
    """

    def __init__(self, total: int = MAX_IN_FLIGHT) -> None:
        self._total = total
        self._used = 0
        self._oldest_first: list[Reservation] = []
        self._ended = asyncio.Event()

    @contextmanager
    def reservation(self) -> Iterator["Reservation"]:
        """Yield the reservation of one response. Its bytes are free again when the block ends."""
        reserved = Reservation(self)
        try:
            yield reserved
        finally:
            if reserved.bytes:
                self._release(reserved)

    async def grow(self, reserved: "Reservation", more: int) -> None:
        if not reserved.bytes:
            self._oldest_first.append(reserved)
        reserved.bytes += more
        while self._used + more > self._total and self._oldest_first[0] is not reserved:
            await self._ended.wait()
        self._used += more
        reserved.counted += more

    def _release(self, reserved: "Reservation") -> None:
        self._used -= reserved.counted
        self._oldest_first.remove(reserved)
        self._ended.set()
        self._ended = asyncio.Event()


class Reservation:
    """The bytes of one response."""

    def __init__(self, memory: AnswerMemory) -> None:
        self._memory = memory
        self.bytes = 0
        """The bytes of the response, including bytes that wait until memory is free."""
        self.counted = 0

    async def grow(self, more: int) -> None:
        """Count more bytes; wait while all responses together would exceed the limit."""
        await self._memory.grow(self, more)
