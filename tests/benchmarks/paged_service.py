"""Runs the service with a catalog that answers with JSON text, as rs-catalog does. Only HTTP is missing.

``paged_service`` starts this module in a process of its own, which also notes how long its event
loop is held.
"""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any, cast

import uvloop

from rs_order.app.serve import collect_garbage_rarely
from rs_order.domain.identity import Caller
from rs_order.domain.ids import Tenant, Urn
from rs_order.domain.selection import SelectionRequest, Summary
from rs_order.logs import configure_logs
from rs_order.ports import FoundPage
from rs_order.regards.catalog import RegardsCatalog
from rs_order.regards.http import RemoteService, TokenIssuer
from rs_order.sandbox.service_protocol import DEVELOPMENT_KEY
from tests.benchmarks.children import Child, child_process, options_of_child, report
from tests.benchmarks.service import running_service
from tests.benchmarks.stubs import StubCatalog, Stubs
from tests.support.servers import FreshBroker

TENANT = Tenant("project1")
HEARTBEAT_SECONDS = 0.001
_PAGE, _PRODUCT = "@@@@@@", "######"
"""Stand for the numbers of the page and of the product in it, in the text that all products are made from."""


def paged_service(
    database_url: str, broker: FreshBroker, catalog: StubCatalog, *, page_size: int
) -> AbstractAsyncContextManager[Child]:
    """Run the service until the end of the block. ``Child.counts`` has the longest hold in microseconds.

    ``page_size``: products in a page of the catalog.
    """
    options = {
        "database_url": database_url,
        "broker": asdict(broker),
        "catalog": vars(catalog),
        "page_size": page_size,
    }
    return child_process(__name__, options)


@dataclass(frozen=True)
class PageTexts:
    """Stands for the HTTP client of rs-catalog: each product is the same text with other numbers in it."""

    catalog: StubCatalog
    page_size: int
    name: str = "rs-catalog"

    @asynccontextmanager
    async def post_for_text(
        self, _path: str, _token: str, body: dict[str, Any], *, page_bytes: int
    ) -> AsyncIterator[bytearray]:
        page = int(body["page"])
        size = max(0, min(self.page_size, self.catalog.products - page * self.page_size))
        item = self._item().replace(_PAGE, f"{page:06d}")
        answer = bytearray(b'{"content":[')
        for number in range(size):
            answer += item.replace(_PRODUCT, f"{number:06d}").encode() + b","
        if size:
            del answer[-1]
        answer += b'],"metadata":{"totalElements":%d},"links":[]}' % self.catalog.products
        if len(answer) > page_bytes:
            raise ValueError("the page is longer than the service allows")
        yield answer

    def _item(self) -> str:
        urn = f"URN:AIP:DATA:{TENANT}:00000000-0000-5000-8000-{_PAGE}{_PRODUCT}:V1"
        content = {
            "id": urn,
            "providerId": f"product_{_PAGE}_{_PRODUCT}",
            "entityType": "DATA",
            "model": "model",
            "version": 1,
            "tags": ["URN:AIP:DATASET:project1:00000000-0000-5000-8000-000000000000:V1"],
            "files": {"RAWDATA": [self._file(at) for at in range(self.catalog.files_per_product)]},
            "properties": {"date": "2026-01-01T00:00:00Z", "index": 1},
        }
        links = [{"rel": "self", "href": f"http://catalog.example.org/entities/{urn}"}]
        return json.dumps({"content": content, "links": links}, separators=(",", ":"))

    def _file(self, position: int) -> dict[str, Any]:
        name = f"file_{_PAGE}_{_PRODUCT}_{position}.dat"
        return {
            "dataType": "RAWDATA",
            "reference": False,
            "uri": f"http://storage.example.org/{TENANT}/{name}",
            "mimeType": "application/octet-stream",
            "online": False,
            "checksum": f"{_PAGE}{_PRODUCT}{position:020x}",
            "digestAlgorithm": "MD5",
            "filesize": self.catalog.file_bytes,
            "filename": name,
            "types": [],
        }


@dataclass(frozen=True)
class PagedCatalog:
    """Implements ``Catalog``: it is searched by the client of the product."""

    stub: StubCatalog
    client: RegardsCatalog

    async def summarize(self, caller: Caller, requests: Sequence[SelectionRequest]) -> Summary:
        return await self.stub.summarize(caller, requests)

    async def search(
        self,
        caller: Caller,
        requests: Sequence[SelectionRequest],
        *,
        page: int,
        size: int,
        every_type: bool = False,
    ) -> FoundPage:
        return await self.client.search(
            caller, requests, page=page, size=size, every_type=every_type
        )

    async def dataset_label(self, caller: Caller, urn: Urn) -> str | None:
        return await self.stub.dataset_label(caller, urn)


async def _serve(options: dict[str, Any], descriptor: int) -> None:
    """Serve until SIGTERM; report when the service is UP, and on SIGUSR1 how long its loop was held."""
    stop, held = asyncio.Event(), Hold()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGUSR1, lambda: report(descriptor, json.dumps(vars(held))))
    stub, page_size = StubCatalog(**options["catalog"]), options["page_size"]
    pages = cast("RemoteService", PageTexts(stub, page_size))
    client = RegardsCatalog(pages, TokenIssuer(DEVELOPMENT_KEY))
    async with running_service(
        options["database_url"],
        FreshBroker(**options["broker"]),
        stubs=Stubs(PagedCatalog(stub, client)),
        tenants=[TENANT],
        batch_size=page_size,
    ):
        collect_garbage_rarely()
        watching = asyncio.create_task(held.watch())
        report(descriptor)
        await stop.wait()
        watching.cancel()


@dataclass
class Hold:
    """The longest time for which the event loop was held."""

    longest_microseconds: int = 0
    """CPU time of the thread, since other processes use the machine, too."""

    async def watch(self) -> None:
        while True:
            before = time.thread_time_ns()
            await asyncio.sleep(HEARTBEAT_SECONDS)
            held = (time.thread_time_ns() - before) // 1000
            self.longest_microseconds = max(self.longest_microseconds, held)


if __name__ == "__main__":
    configure_logs("info", "json")
    uvloop.run(_serve(*options_of_child()))
