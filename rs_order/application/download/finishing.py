"""Work that is finished once it was begun."""

import asyncio
from collections.abc import Coroutine
from typing import Any


async def finish_anyway(work: Coroutine[Any, Any, None]) -> None:
    """Finish what was begun although nobody waits for it any more."""
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise
