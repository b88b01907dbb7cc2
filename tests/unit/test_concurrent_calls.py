"""Independent calls run concurrently, up to a limit."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from rs_order.concurrency import each_while_next, together
from rs_order.core.catalog_datasets import call_concurrently


async def test_w44_results_come_in_the_order_of_the_items() -> None:
    """Their order doesn't depend on the duration of the calls. No more than the limit run at a time."""
    running = most = 0

    async def call(item: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(5 - item % 5):
            await asyncio.sleep(0)
        running -= 1
        return item * 2

    assert await call_concurrently(call, range(10), limit=3) == [item * 2 for item in range(10)]
    assert most == 3


async def test_a_failure_cancels_the_running_calls() -> None:
    """No other call is started afterwards."""
    ended: list[int] = []
    begun: list[int] = []

    async def call(item: int) -> None:
        begun.append(item)
        if item == 1:
            raise ValueError("no")
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(item)

    with pytest.raises(ValueError, match="no"):
        await call_concurrently(call, range(5), limit=3)
    await asyncio.sleep(0)

    assert begun == [0, 1, 2]
    assert ended == [0, 2]


async def test_calls_together_end_before_the_first_error_is_raised() -> None:
    """Results have the order of the calls, and no more calls run at a time than allowed."""
    running = most = 0
    ended: list[int] = []

    async def call(item: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(5 - item):
            await asyncio.sleep(0)
        running -= 1
        ended.append(item)
        if item in (1, 3):
            raise ValueError(str(item))
        return item * 2

    assert await together(map(call, (0, 2, 4))) == [0, 4, 8]
    assert most == 3
    most = 0
    with pytest.raises(ValueError, match="1"):
        await together(map(call, range(5)), at_once=2)

    assert most == 2
    assert sorted(ended[3:]) == [0, 1, 2, 3, 4]


async def test_items_are_handled_one_by_one_while_the_next_one_is_made() -> None:
    """No two are handled at a time, and no more than one waits."""
    happened: list[str] = []

    async def items() -> AsyncIterator[int]:
        for item in range(3):
            happened.append(f"make {item}")
            await asyncio.sleep(0)
            yield item

    async def handle(item: int) -> None:
        happened.append(f"begin {item}")
        for _ in range(5):
            await asyncio.sleep(0)
        happened.append(f"end {item}")

    await each_while_next(items(), handle)

    assert happened == [
        *("make 0", "begin 0", "make 1", "end 0"),
        *("begin 1", "make 2", "end 1", "begin 2", "end 2"),
    ]


async def test_no_item_is_handled_after_a_failure() -> None:
    """The item that is made meanwhile is dropped, and no further one is made."""
    made: list[int] = []
    handled: list[int] = []

    async def items() -> AsyncIterator[int]:
        for item in range(3):
            await asyncio.sleep(0)
            made.append(item)
            yield item

    async def handle(item: int) -> None:
        handled.append(item)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await each_while_next(items(), handle)

    assert handled == [0]
    assert made == [0, 1]  # the call returns after the second one was made
