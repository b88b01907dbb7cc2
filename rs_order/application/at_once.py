"""Independent calls, a limited number at the same time."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

MAX_CONCURRENT_CALLS: Final = 8
"""Calls for one request at the same time; the remote service has other callers, too."""

Item = TypeVar("Item")
Result = TypeVar("Result")


async def call_concurrently(
    call: Callable[[Item], Awaitable[Result]],
    items: Sequence[Item],
    *,
    limit: int = MAX_CONCURRENT_CALLS,
) -> list[Result]:
    """Return the result of the call for each item, in the order of the items.

    Raises what a call raises; the other calls are cancelled then.
    """
    results: list[Result] = []
    for start in range(0, len(items), limit):
        running = [asyncio.ensure_future(call(item)) for item in items[start : start + limit]]
        try:
            results += await asyncio.gather(*running)
        finally:
            for one in running:
                one.cancel()
    return results
