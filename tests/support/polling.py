"""Polls for conditions that have no signal: another process's transaction, a queue's depth, a health check.

Wherever there is a signal, tests wait for the signal. Only this module polls.
"""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

from rs_order.store.pool import Pool

PAUSE_SECONDS = 0.03
WAIT_SECONDS = 60.0
"""How long tests wait for a signal: far longer than a busy machine needs, so that a failure is a defect."""


LOCK_WAITS = (
    "select pid from pg_stat_activity"
    " where wait_event_type = 'Lock' and datname = current_database()"
)
"""The sessions of this database that wait for a lock or a unique key. ``pg_locks`` has all databases."""


async def eventually(check: Callable[[], Any], what: str, *, seconds: float = WAIT_SECONDS) -> Any:
    """Call ``check`` until its result is true, and return this result.

    Args:
        check: may be a coroutine function.
        what: names the condition in the error.
        seconds: the time limit.

    Raises:
        AssertionError: the condition didn't become true in time.
    """
    try:
        async with asyncio.timeout(seconds):
            while not (result := await _result(check)):  # noqa: ASYNC110 - nothing signals it
                await asyncio.sleep(PAUSE_SECONDS)
            return result
    except TimeoutError:
        raise AssertionError(f"did not become true: {what}") from None


async def _result(check: Callable[[], Any]) -> Any:
    result = check()
    return await result if inspect.isawaitable(result) else result


async def until_waiting_for_locks(pool: Pool, transactions: int = 1) -> None:
    """Wait until so many transactions of the pool's database wait for a lock or a unique key."""
    await eventually(
        lambda: pool.fetchval(
            f"select count(*) >= $1 from ({LOCK_WAITS}) as waiting",  # noqa: S608 - a constant
            transactions,
        ),
        f"{transactions} transactions that wait for a lock",
    )
