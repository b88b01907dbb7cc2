"""Calls that don't depend on each other, some at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

AT_ONCE: Final = 8
"""Calls of one request under way at the same time; the remote service has other callers too."""

Item = TypeVar("Item")
Result = TypeVar("Result")


async def each(
    call: Callable[[Item], Awaitable[Result]], items: Sequence[Item], *, at_once: int = AT_ONCE
) -> list[Result]:
    """What the call gives for each item, in their order.

    Raises whatever a call raises; those still under way are cancelled then.
    """
    results: list[Result] = []
    for start in range(0, len(items), at_once):
        running = [asyncio.ensure_future(call(item)) for item in items[start : start + at_once]]
        try:
            results += await asyncio.gather(*running)
        finally:
            for one in running:
                one.cancel()
    return results
