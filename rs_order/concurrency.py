"""Awaits several calls at the same time, and leaves none running."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Sequence
from typing import TypeVar

Result = TypeVar("Result")
Item = TypeVar("Item")


async def together(
    calls: Iterable[Awaitable[Result]], *, at_once: int | None = None
) -> list[Result]:
    """Return the results of concurrent calls; raise the first error after all calls have ended.

    ``at_once``: the most calls at the same time; None: no limit.
    """
    listed = list(calls)
    if len(listed) <= 1:  # a task would cost more than it gains
        return [await call for call in listed]
    if at_once is not None:
        allowed = asyncio.Semaphore(at_once)
        listed = [_when_allowed(call, allowed) for call in listed]
    results = []
    for result in await asyncio.gather(*listed, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
        results.append(result)
    return results


async def as_they_end(
    tasks: Collection[asyncio.Task[Result]], *, every: float, longest: float | None = None
) -> AsyncIterator[set[asyncio.Task[Result]]]:
    """Yield tasks that have ended: all at once, or those of the last ``every`` seconds if some take longer.

    ``longest``: stop after so many seconds, whatever still runs. The caller cancels what it leaves.
    """
    clock = asyncio.get_running_loop().time
    ends = None if longest is None else clock() + longest
    pending = set(tasks)
    while pending and (ends is None or clock() < ends):
        done, pending = await asyncio.wait(pending, timeout=every)
        if done:
            yield done


async def in_slices(items: Sequence[Item], size: int) -> AsyncIterator[Sequence[Item]]:
    """Yield slices of a sequence, and let other tasks run after each of them."""
    for first in range(0, len(items), size):
        yield items[first : first + size]
        await asyncio.sleep(0)


async def each_while_next(
    items: AsyncIterator[Item], handle: Callable[[Item], Awaitable[None]]
) -> None:
    """Handle items one after the other, each while the next one is made."""
    item = await anext(items, None)
    while item is not None:
        _, item = await together([handle(item), anext(items, None)])


async def _when_allowed(call: Awaitable[Result], allowed: asyncio.Semaphore) -> Result:
    async with allowed:
        return await call
