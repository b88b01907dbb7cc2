"""The REST interface of the service with one order to download, in a process of its own.

Its files are read from storage as in production. They aren't rows: their pages from the store cost little
beside their bytes. ``/floor`` passes the same bytes on without zip and without MD5.
"""

import asyncio
import json
import signal
from collections.abc import AsyncGenerator
from typing import Any

import uvloop
from fastapi import Response

from rs_order.domain.ids import DataFileId
from rs_order.downloads.streaming import StreamedDownload
from rs_order.ports import FileSources
from rs_order.regards.file_sources import StoredFiles
from rs_order.regards.http import FILE_LIMITS, TokenIssuer, new_client
from rs_order.rest.server import run_rest
from tests.benchmarks.children import options_of_child, report
from tests.rest.conftest import KEY
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


async def _serve(options: dict[str, Any], descriptor: int) -> None:
    """Serve until SIGTERM; report the URL, and on SIGUSR1 how many files were settled."""
    loop, stop, port = (asyncio.get_running_loop(), asyncio.Event(), asyncio.Future[int]())
    order = GeneratedFiles(options["files"], options["size"])
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(
        signal.SIGUSR1, lambda: report(descriptor, json.dumps({"settled": order.settled}))
    )
    storage = options["storage_url"]
    async with new_client(FILE_LIMITS, decode=False) as client:
        sources = StoredFiles(client, TokenIssuer(KEY), storage_url=storage, dam_url=storage)
        app = download_app(order, sources)

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
