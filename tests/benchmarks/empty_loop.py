"""The floor of ``idle``: an event loop with one connection to the broker and one to the database."""

import asyncio
import signal
from typing import Any

import aio_pika
import asyncpg
import uvloop

from tests.benchmarks.children import options_of_child, report


async def _wait(options: dict[str, Any], descriptor: int) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    database = await asyncpg.connect(options["database_url"])
    async with await aio_pika.connect(options["amqp_url"]):
        report(descriptor, "connected")
        await stop.wait()
    await database.close()


if __name__ == "__main__":
    uvloop.run(_wait(*options_of_child()))
