"""Zips of 1,000 files that can't be compressed, from storage to a client, and archives of 100,000 files.

Storage, service and client are processes on one machine. The floor is the same service passing the same bytes
on without zip and without MD5. A resumable zip is downloaded twice in each round: first nobody has proven its
bytes, so that MD5, SHA-256 and CRC-32 of each file are computed; then the SHA-256 of each is known, and says
whether the bytes are right. The compact zip is the one without a length, which is deflated while it is sent.
The CPU time of each hash alone, and of storage and client together, says what can be reached at best on these
processors: a resumable zip costs what the floor costs, and its hashes. For 1 GiB the first time, that is 1.8
s of hashes, 0.9 s of the floor, and 0.4 s of storage and client: at least 1.55 s on two processors. The floor
takes 0.9 s. So the ratio would be 0.6 if nothing else were computed, and if no thread
ever waited.
``RS_ORDER_BENCHMARK_ZIP_MIB`` sets the size of a download, 1024 MiB by default.
"""

import asyncio
import hashlib
import os
import socket
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final
from urllib.parse import urlsplit

import httpx
from isal import isal_zlib

from rs_order.domain.archives import ArchiveId
from rs_order.domain.ids import OrderId
from tests.benchmarks.children import Child, child_process
from tests.benchmarks.ingest import ratios_of
from tests.benchmarks.report import Figure, Report, Target
from tests.benchmarks.rounds import interleaved, rounds_of
from tests.benchmarks.servers import benchmark_servers
from tests.benchmarks.zip_orders import DownloadableOrders, orders_to_download
from tests.benchmarks.zip_service import FLOOR
from tests.rest.conftest import bearer
from tests.rest.fake_downloads import ORDER

MIB = 2**20
FILES, LARGE = 1000, 100_000
QUICK_FILES, QUICK_LARGE, QUICK_MIB = 20, 2000, 20
COMPACT = f"/user/orders/{ORDER}/download"
HASHED_MIB = 128
FIRST_BYTES = 10
"""Requests for the last entry of the large archive, each on a connection of its own."""


class _Downloads:
    """Downloads from one service, and collects what each cost the service."""

    def __init__(self, service: Child, storage: Child, size: int) -> None:
        self._service = service
        self._storage = storage
        self._size = size
        self.cpu_seconds: dict[str, list[float]] = {}
        """CPU time of the service per GiB, by side."""
        self.others_cpu_seconds: list[float] = []
        """That of storage and this client."""

    async def rate(self, side: str, path: str) -> float:
        """Download once, and return the MiB per second."""
        cpu, others, began = self._service.cpu_seconds(), self._others(), time.monotonic()
        received = await asyncio.to_thread(_receive, self._service.reported, path)
        seconds = time.monotonic() - began
        if received < self._size:
            raise RuntimeError(f"{path}: {received} bytes instead of {self._size} or more")
        per_gib = 1024 * MIB / self._size
        cpu = self._service.cpu_seconds() - cpu
        self.cpu_seconds.setdefault(side, []).append(cpu * per_gib)
        self.others_cpu_seconds.append((self._others() - others) * per_gib)
        return self._size / MIB / seconds

    def _others(self) -> float:
        return self._storage.cpu_seconds() + time.process_time()

    async def make(self, order: OrderId) -> tuple[ArchiveId, str]:
        """Make a zip of an order; return its id and path."""
        async with httpx.AsyncClient(trust_env=False, timeout=600) as client:
            answer = await client.post(
                f"{self._service.reported}/user/orders/{order}/archives",
                headers={"Authorization": f"Bearer {bearer()}"},
                json={"format": "zip"},
            )
        made = answer.raise_for_status().json()
        return ArchiveId(int(made["id"].removeprefix("a"))), httpx.URL(made["href"]).path

    async def first_byte(self, path: str, start: int) -> float:
        """Return the milliseconds until the first byte of a part arrives."""
        url, headers = self._service.reported, f"Range: bytes={start}-\r\n"
        return await asyncio.to_thread(_milliseconds_to_first_byte, url, path, headers)


_HASHES: Final[Mapping[str, Callable[[bytes], object]]] = {
    "MD5": partial(hashlib.md5, usedforsecurity=False),
    "SHA-256": hashlib.sha256,
    "CRC-32": isal_zlib.crc32,
}


def _hashing(name: str) -> float:
    """Return the seconds of CPU time in which one thread computes a hash of a GiB."""
    content, hashed = bytes(MIB), _HASHES[name]
    began = time.thread_time()
    for _ in range(HASHED_MIB):
        hashed(content)
    return (time.thread_time() - began) * 1024 / HASHED_MIB


def _receive(url: str, path: str) -> int:
    """Return the bytes of a response; they are only counted."""
    buffer, received = bytearray(MIB), 0
    with _requested(url, path) as connection:
        while count := connection.recv_into(buffer):
            received += count
    return received


def _milliseconds_to_first_byte(url: str, path: str, headers: str) -> float:
    began, received = time.perf_counter(), b""
    with _requested(url, path, headers) as connection:
        while not received.partition(b"\r\n\r\n")[2]:
            if not (piece := connection.recv(MIB)):
                raise RuntimeError(f"{path}: {received.decode(errors='replace')}")
            received += piece
    if b" 206 " not in received.partition(b"\r\n")[0]:
        raise RuntimeError(f"{path}: {received.decode(errors='replace')[:1000]}")
    return 1000 * (time.perf_counter() - began)


def _requested(url: str, path: str, headers: str = "") -> socket.socket:
    address = urlsplit(url)
    connection = socket.create_connection((address.hostname or "", address.port or 0))
    connection.sendall(
        f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {bearer()}\r\n"
        f"{headers}Connection: close\r\n\r\n".encode()
    )
    return connection


async def measure(quick: bool) -> Report:
    files = QUICK_FILES if quick else FILES
    mib = QUICK_MIB if quick else int(os.environ.get("RS_ORDER_BENCHMARK_ZIP_MIB", "1024"))
    size = mib * MIB // files
    async with (
        benchmark_servers() as servers,
        servers.database() as database_url,
        orders_to_download(database_url, size) as orders,
        child_process("tests.benchmarks.zip_storage", {"size": size}) as storage,
        child_process(
            "tests.benchmarks.zip_service",
            {
                "files": files,
                "size": size,
                "storage_url": storage.reported,
                "database_url": database_url,
            },
        ) as service,
    ):
        idle = service.process.memory_info().rss / MIB
        downloads = _Downloads(service, storage, size * files)
        rates = await _rates(downloads, orders, files, rounds_of(quick))
        if (await service.counts())["settled"] != rounds_of(quick) * files:
            raise RuntimeError("the service didn't settle every file")
        downloading = service.peak_mib() - idle
        large = await _large(downloads, orders, QUICK_LARGE if quick else LARGE)
        making = service.peak_mib() - idle
    return _report(downloads, rates, large, (downloading, making), (files, mib))


async def _rates(
    downloads: _Downloads, orders: DownloadableOrders, files: int, rounds: int
) -> dict[str, tuple[float, ...]]:
    _, archive = await downloads.make(await orders.add(files))

    async def unproven() -> float:
        await orders.forget_hashes()
        return await downloads.rate("resumable zip", archive)

    return await interleaved(
        rounds,
        {
            "resumable zip": unproven,
            "resumable zip, proven": lambda: downloads.rate("resumable zip, proven", archive),
            "compact zip": lambda: downloads.rate("compact zip", COMPACT),
            "floor": lambda: downloads.rate("floor", FLOOR),
        },
    )


async def _large(
    downloads: _Downloads, orders: DownloadableOrders, files: int
) -> tuple[Figure, Figure]:
    """Make an archive of many files, and ask for its last one."""
    order = await orders.add(files)
    began = time.monotonic()
    archive_id, archive = await downloads.make(order)
    making = time.monotonic() - began
    start = await orders.last_entry(archive_id)
    first_bytes = [await downloads.first_byte(archive, start) for _ in range(FIRST_BYTES)]
    return (
        Figure(f"making an archive of {files:,} files", "s", (making,)),
        Figure(f"first byte of the last of {files:,} entries", "ms", tuple(first_bytes)),
    )


def _report(
    downloads: _Downloads,
    rates: dict[str, tuple[float, ...]],
    large: tuple[Figure, Figure],
    memory: tuple[float, float],
    sizes: tuple[int, int],
) -> Report:
    ratios = [
        Figure(f"{side} / floor", "", ratios_of(rate, rates["floor"]))
        for side, rate in rates.items()
        if side != "floor"
    ]
    _, first_byte = large
    return Report(
        figures=[
            *(Figure(side, "MiB/s", rate) for side, rate in rates.items()),
            *ratios,
            *(
                Figure(f"CPU of the service, {side}", "s/GiB", tuple(cpu))
                for side, cpu in downloads.cpu_seconds.items()
            ),
            Figure("CPU of storage and client", "s/GiB", tuple(downloads.others_cpu_seconds)),
            *(Figure(f"CPU of {name} alone", "s/GiB", (_hashing(name),)) for name in _HASHES),
            *large,
            Figure("memory above idle while downloading", "MiB", memory[:1]),
            Figure("memory above idle, with the large archive made", "MiB", memory[1:]),
        ],
        targets=[
            *(Target(one.name, one.median, 0.8, at_least=True) for one in ratios[:2]),
            Target(ratios[2].name, ratios[2].median, 0.6, at_least=True),
            Target(f"{first_byte.name}, ms", max(first_byte.samples), 500, at_least=False),
            Target("peak memory above idle, MiB", memory[1], 64, at_least=False),
        ],
        notes=[f"{sizes[0]:,} files, {sizes[1]:,} MiB in all"],
    )
