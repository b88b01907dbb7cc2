"""Independent calls run concurrently, up to a limit."""

import asyncio

import pytest

from rs_order.concurrency import together
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
