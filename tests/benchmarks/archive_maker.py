"""Makes an archive, with all of its steps, in a process of its own whose memory is measured."""

import asyncio
import json
import signal
import time
from typing import Any

import psutil
import uvloop

from rs_order.app.clock import SystemClock
from rs_order.core.steps import read_step
from rs_order.domain.archives import ArchiveFormat
from rs_order.domain.ids import OrderId
from rs_order.downloads.make_archives import MakeArchives, MakeArchiveStep
from rs_order.store.archives import Archives
from rs_order.store.downloads import StoredDownloads
from rs_order.store.pool import Pool, open_pool
from rs_order.store.unit_of_work import Store
from tests.benchmarks.children import options_of_child, report
from tests.rest.fake_downloads import DEMO


async def _make(options: dict[str, Any], descriptor: int) -> None:
    """Make the archive, report what it cost, and wait for SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with await open_pool(options["database_url"], size=2) as pool:
        archives = Archives(pool)
        store = Store(pool, lambda _: None)
        make = MakeArchives(
            StoredDownloads(pool), archives, store, SystemClock(), options["at_once"]
        )
        idle = psutil.Process().memory_info().rss / 2**20
        began = time.monotonic()
        made = await make.make(DEMO, OrderId(options["order"]), ArchiveFormat.ZIP, in_steps=True)
        seconds = [time.monotonic() - began]
        while (step := await _next(pool)) is not None:
            began = time.monotonic()
            await make.handle(DEMO, step)
            seconds.append(time.monotonic() - began)
        archive = await archives.find(DEMO, made)
        files = archive.files if archive is not None and archive.length else 0
        report(descriptor, json.dumps({"files": files, "idle": idle, "seconds": seconds}))
        await stop.wait()


async def _next(pool: Pool) -> MakeArchiveStep | None:
    """Take the next step from the outbox; None: there is none."""
    body = await pool.fetchval(
        "delete from rs_order.outbox where body like '%make-archive%' returning body"
    )
    if body is None:
        return None
    return read_step(MakeArchiveStep, json.loads(body))


if __name__ == "__main__":
    uvloop.run(_make(*options_of_child()))
