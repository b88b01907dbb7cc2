"""A process that serves one download and prints the memory that it needed, as a line of JSON.

Run as ``python -m tests.rest.memory_probe FILES BYTES PATH``. It serves an order of FILES files with BYTES
bytes each, and requests PATH over loopback.
"""

# ruff: noqa: ARG002 - the ports fix the signatures of the fakes

import asyncio
import hashlib
import json
import resource
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import repeat
from typing import cast

import httpx
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from rs_order.app.rest import absent_services, create_app
from rs_order.core.links import Links
from rs_order.domain.ids import Checksum, DataFileId, OrderId, Tenant
from rs_order.domain.parts import Part
from rs_order.domain.states import FileState, OrderStatus
from rs_order.downloads.archive_download import ArchiveDeliveries
from rs_order.downloads.archive_failures import ArchiveFailures
from rs_order.downloads.archive_routes import ArchiveServices
from rs_order.downloads.make_archives import MakeArchives
from rs_order.downloads.order_lists import OrderLists
from rs_order.downloads.order_tokens import JwtOrderTokens
from rs_order.downloads.read_archives import ReadArchives
from rs_order.downloads.readings import Readings
from rs_order.downloads.routes import DownloadServices
from rs_order.ports import (
    FileOfOrder,
    FileOutcome,
    FileSources,
    FileToDownload,
    ListedFile,
    OpenFile,
    OrderToDownload,
)
from rs_order.rest.access import Access, DefaultRoles
from rs_order.rest.actuator import Metrics
from rs_order.rest.server import run_rest
from rs_order.rest.tokens import TokenVerifier
from rs_order.store.archives import Archives
from rs_order.store.tenants import Maintenance, Tenants
from rs_order.store.unit_of_work import Store
from tests.rest.conftest import (
    KEY,
    NOW,
    ORDER_SECRET,
    FakeHealth,
    FakeMaintenance,
    FakeTenants,
    bearer,
    compact,
)
from tests.rest.fake_downloads import (
    EXPIRES_AT,
    ORDER,
    OWNER,
    PRODUCT,
    five_minutes,
    incompressible,
)
from tests.rest.listed_archives import ListedArchives
from tests.support.clock import ManualClock

CHUNK = incompressible(65536)


class GeneratedFiles:
    """Implements ``Downloads`` and ``FileSources`` with files that are generated from their numbers."""

    # Doesn't use PostgreSQL: millions of rows take minutes to write, and the memory of the driver would
    # hide that of the zip. The pages of the store are tested in test_zip.py.

    def __init__(self, files: int, size: int) -> None:
        self._files = files
        self._size = size
        self._checksum = self._md5()
        self.settled = 0

    async def order(self, tenant: Tenant, order_id: OrderId) -> OrderToDownload:
        return OrderToDownload(
            order_id,
            OWNER,
            "REGISTERED_USER",
            OrderStatus.RUNNING,
            EXPIRES_AT,
            has_files=True,
            has_available_files=True,
        )

    async def file(self, tenant: Tenant, file_id: DataFileId) -> FileOfOrder:
        (listed,) = await self.all_files(tenant, ORDER, after=DataFileId(file_id - 1), limit=1)
        return FileOfOrder(listed.file, ORDER, OWNER, FileState.AVAILABLE)

    async def repeated_names(self, tenant: Tenant, order_id: OrderId) -> frozenset[str]:
        return frozenset()

    async def available_files(
        self, tenant: Tenant, order_id: OrderId, *, after: DataFileId, limit: int
    ) -> Sequence[FileToDownload]:
        listed = await self.all_files(tenant, order_id, after=after, limit=limit)
        return [one.file for one in listed]

    async def all_files(
        self, tenant: Tenant, order_id: OrderId, *, after: DataFileId, limit: int
    ) -> Sequence[ListedFile]:
        numbers = range(after + 1, min(after + limit, self._files) + 1)
        return [ListedFile(self._file(number), FileState.AVAILABLE) for number in numbers]

    def every_file(self) -> list[FileToDownload]:
        return [self._file(number) for number in range(1, self._files + 1)]

    def _file(self, number: int) -> FileToDownload:
        return FileToDownload(
            id=DataFileId(number),
            product=PRODUCT,
            name=f"PRODUCT_OF_A_USUAL_LENGTH_{number:07}.fits",
            url="",
            external=False,
            size=self._size,
            checksum=self._checksum,
            checksum_algorithm="MD5",
        )

    async def add_sent(self, tenant: Tenant, file_id: DataFileId, part: Part) -> bool:
        return False

    async def settle(
        self, tenant: Tenant, order_id: OrderId, outcomes: Sequence[FileOutcome]
    ) -> None:
        self.settled += len(outcomes)

    @asynccontextmanager
    async def open(
        self, tenant: Tenant, email: str, file: FileToDownload, *, start: int = 0
    ) -> AsyncIterator[OpenFile]:
        yield OpenFile(self._content())

    def takes_ranges(self, file: FileToDownload) -> bool:
        return False

    async def _content(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks():
            yield chunk

    def _chunks(self) -> Iterator[bytes]:
        whole, rest = divmod(self._size, len(CHUNK))
        yield from repeat(CHUNK, whole)
        yield CHUNK[:rest]

    def _md5(self) -> Checksum:
        digest = hashlib.md5(usedforsecurity=False)
        for chunk in self._chunks():
            digest.update(chunk)
        return Checksum(digest.hexdigest())


def download_app(
    downloadable: GeneratedFiles,
    sources: FileSources,
    *,
    archives: ArchiveServices | None = None,
) -> FastAPI:
    """Return the REST interface with the endpoints of downloads."""
    tenants = cast("Tenants", FakeTenants())
    order_tokens = JwtOrderTokens(ORDER_SECRET, ManualClock(NOW))
    links = Links(None, tenants, prefix="/api/v1", fallback="http://nowhere.invalid")
    return create_app(
        absent_services(
            **({"archives": archives} if archives else {}),
            access=Access(
                TokenVerifier({"HS512": KEY}),
                DefaultRoles(),
                tenants,
                cast("Maintenance", FakeMaintenance()),
            ),
            downloads=DownloadServices(
                orders=downloadable,
                settle=downloadable.settle,
                sources=sources,
                readings=Readings(sources),
                lists=OrderLists(downloadable, order_tokens, links),
                order_tokens=order_tokens,
                clock=ManualClock(NOW),
                pause=five_minutes,
                zip_mode=compact,
            ),
            health=FakeHealth(),
            metrics=Metrics(CollectorRegistry()),
        )
    )


async def probe(files: int, size: int, path: str) -> dict[str, float]:
    (_, warm_up), (downloadable, app) = _served(1, 1), _served(files, size)
    await _download_once(warm_up, path)
    idle = _peak_mib()
    started = time.perf_counter()
    received = await _download_once(app, path)
    return {
        "growth_mib": _peak_mib() - idle,
        "seconds": time.perf_counter() - started,
        "received": received,
        "settled": downloadable.settled,
    }


def _served(files: int, size: int) -> tuple[GeneratedFiles, FastAPI]:
    """Return generated files, and the interface that serves them, with an archive of all of them."""
    generated, clock = GeneratedFiles(files, size), ManualClock(NOW)
    archives = cast("Archives", ListedArchives(generated.every_file()))
    make = MakeArchives(generated, archives, cast("Store", None), clock)
    failures = ArchiveFailures(archives, make, generated.settle)
    reads = ReadArchives(archives, failures, cast("Store", None), generated, clock, asyncio.Event())
    services = ArchiveServices(
        orders=generated,
        archives=archives,
        make=make,
        deliveries=ArchiveDeliveries(
            archives, failures, reads, generated.settle, Readings(generated), clock
        ),
        order_tokens=JwtOrderTokens(ORDER_SECRET, clock),
        clock=clock,
    )
    return generated, download_app(generated, generated, archives=services)


async def _download_once(app: FastAPI, path: str) -> int:
    """Return the bytes of a download from a server of its own. When that has stopped, all is settled."""
    stop, port = asyncio.Event(), asyncio.get_running_loop().create_future()
    server = asyncio.create_task(run_rest(app, "127.0.0.1", 0, stop=stop, on_ready=port.set_result))
    received = await _download(f"http://127.0.0.1:{await port}{path}")
    stop.set()
    await server
    return received


async def _download(url: str) -> int:
    headers = {"Authorization": f"Bearer {bearer()}"}
    received = 0
    async with (
        httpx.AsyncClient(trust_env=False, timeout=600) as client,
        client.stream("GET", url, headers=headers) as answer,
    ):
        async for chunk in answer.aiter_raw():
            received += len(chunk)
    return received


async def _probe_arguments() -> dict[str, float]:
    files, size, path = sys.argv[1:]
    return await probe(int(files), int(size), path)


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(_probe_arguments())) + "\n")
