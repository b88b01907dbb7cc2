"""The REST interface of the service with orders to download, in a process of its own.

Its files are read from storage as in production. Orders and their archives are rows. The order of the compact
zip isn't, because a settled file can't be in another zip: its pages from the store cost little beside their
bytes. ``/floor`` passes the same bytes on without zip and without MD5.
"""

import asyncio
import json
import signal
from collections.abc import AsyncGenerator
from typing import Any

import uvloop
from fastapi import Response

from rs_order.app.clock import SystemClock
from rs_order.core.links import Links
from rs_order.core.policies import SlotLimits
from rs_order.core.settlement import Settlement
from rs_order.domain.ids import DataFileId
from rs_order.downloads.archive_download import ArchiveDeliveries
from rs_order.downloads.archive_failures import ArchiveFailures
from rs_order.downloads.archive_routes import ArchiveServices
from rs_order.downloads.make_archives import MakeArchives
from rs_order.downloads.order_tokens import JwtOrderTokens
from rs_order.downloads.read_archives import ReadArchives
from rs_order.downloads.readings import Readings
from rs_order.downloads.settle import SettleDownloads
from rs_order.downloads.streaming import StreamedDownload
from rs_order.ports import FileSources
from rs_order.regards.file_sources import StoredFiles
from rs_order.regards.http import FILE_LIMITS, TokenIssuer, new_client
from rs_order.rest.server import run_rest
from rs_order.store.archives import Archives
from rs_order.store.downloads import StoredDownloads
from rs_order.store.pool import Pool, open_pool
from rs_order.store.tenants import Tenants
from rs_order.store.unit_of_work import Store
from tests.benchmarks.children import options_of_child, report
from tests.rest.conftest import KEY, ORDER_SECRET
from tests.rest.fake_downloads import DEMO, ORDER, OWNER
from tests.rest.memory_probe import GeneratedFiles, download_app

FLOOR = "/floor"


async def _passed_on(order: GeneratedFiles, sources: FileSources) -> AsyncGenerator[bytes, None]:
    after = 0
    while files := await order.available_files(DEMO, ORDER, after=DataFileId(after), limit=1000):
        for file in files:
            async with sources.open(DEMO, OWNER, file) as source:
                async for chunk in source.chunks:
                    yield chunk
        after = files[-1].id


def _archives(pool: Pool, sources: StoredFiles) -> ArchiveServices:
    clock, downloads, archives = SystemClock(), StoredDownloads(pool), Archives(pool)
    links = Links(None, Tenants(pool), prefix="/api/v1", fallback="http://nowhere.invalid")
    store = Store(pool, lambda _: None)
    settle = SettleDownloads(store, Settlement(SlotLimits(), links), clock).handle
    make = MakeArchives(downloads, archives, store, clock)
    failures = ArchiveFailures(archives, make, settle)
    reads = ReadArchives(archives, failures, store, sources, clock, asyncio.Event())
    return ArchiveServices(
        orders=downloads,
        archives=archives,
        make=make,
        deliveries=ArchiveDeliveries(archives, failures, reads, settle, Readings(sources), clock),
        order_tokens=JwtOrderTokens(ORDER_SECRET, clock),
        clock=clock,
    )


async def _serve(options: dict[str, Any], descriptor: int) -> None:
    """Serve until SIGTERM; report the URL, and on SIGUSR1 how many files of compact zips were settled."""
    loop, stop, port = (asyncio.get_running_loop(), asyncio.Event(), asyncio.Future[int]())
    order = GeneratedFiles(options["files"], options["size"])
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(
        signal.SIGUSR1, lambda: report(descriptor, json.dumps({"settled": order.settled}))
    )
    storage = options["storage_url"]
    async with (
        new_client(FILE_LIMITS, decode=False) as client,
        await open_pool(options["database_url"], size=4) as pool,
    ):
        sources = StoredFiles(client, TokenIssuer(KEY), storage_url=storage, dam_url=storage)
        app = download_app(order, sources, archives=_archives(pool, sources))

        @app.get(FLOOR)
        async def floor() -> Response:
            return StreamedDownload(_passed_on(order, sources), "floor", "floor")

        serving = asyncio.create_task(
            run_rest(app, "127.0.0.1", 0, stop=stop, on_ready=port.set_result)
        )
        report(descriptor, f"http://127.0.0.1:{await port}")
        await serving


if __name__ == "__main__":
    uvloop.run(_serve(*options_of_child()))
