"""Waiting for what nobody tells: another process's transaction, a queue's depth, a health check.

Wherever there is a signal, tests wait for the signal; this is the one place that asks again and again.
"""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

PAUSE_SECONDS = 0.03


async def eventually(ask: Callable[[], Any], what: str, *, seconds: float = 20) -> Any:
    """The first answer, awaited if need be, that counts as true; ``what`` names what never came."""
    try:
        async with asyncio.timeout(seconds):
            while not (answer := await _answer(ask)):  # noqa: ASYNC110 - nothing signals it
                await asyncio.sleep(PAUSE_SECONDS)
            return answer
    except TimeoutError:
        raise AssertionError(f"never came true: {what}") from None


async def _answer(ask: Callable[[], Any]) -> Any:
    answer = ask()
    return await answer if inspect.isawaitable(answer) else answer
