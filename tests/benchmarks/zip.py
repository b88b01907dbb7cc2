"""A zip of 1,000 files that can't be compressed, from storage to a client, with MD5 checked.

Storage, service and client are processes on one machine. The floor is the same service passing the same bytes
on without zip and MD5. ``RS_ORDER_BENCHMARK_ZIP_MIB`` sets the size of a download, 1024 MiB by default.
"""

import asyncio
import os
import socket
import time
from functools import partial
from urllib.parse import urlsplit

from tests.benchmarks.children import Child, child_process
from tests.benchmarks.ingest import ratios_of
from tests.benchmarks.report import Figure, Report, Target
from tests.benchmarks.rounds import interleaved, rounds_of
from tests.benchmarks.zip_service import FLOOR
from tests.rest.conftest import bearer
from tests.rest.fake_downloads import ORDER

MIB = 2**20
FILES = 1000
QUICK_FILES = 20
QUICK_MIB = 20


class _Downloads:
    """Downloads from one service, and collects what each cost the service."""

    def __init__(self, service: Child, size: int) -> None:
        self._service = service
        self._size = size
        self.cpu_seconds: dict[str, list[float]] = {}
        """CPU time of the service per GiB, by path."""

    async def rate(self, path: str) -> float:
        """Download once, and return the MiB per second."""
        cpu, began = self._service.cpu_seconds(), time.monotonic()
        received = await asyncio.to_thread(_receive, self._service.reported, path)
        seconds = time.monotonic() - began
        if received < self._size:
            raise RuntimeError(f"{path}: {received} bytes instead of {self._size} or more")
        cpu = self._service.cpu_seconds() - cpu
        self.cpu_seconds.setdefault(path, []).append(cpu * 1024 * MIB / self._size)
        return self._size / MIB / seconds


def _receive(url: str, path: str) -> int:
    """Return the bytes of a response; they are only counted."""
    address, buffer, received = urlsplit(url), bytearray(MIB), 0
    head = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {bearer()}\r\nConnection: close\r\n\r\n"
    with socket.create_connection((address.hostname or "", address.port or 0)) as connection:
        connection.sendall(head.encode())
        while count := connection.recv_into(buffer):
            received += count
    return received


async def measure(quick: bool) -> Report:
    files = QUICK_FILES if quick else FILES
    mib = QUICK_MIB if quick else int(os.environ.get("RS_ORDER_BENCHMARK_ZIP_MIB", "1024"))
    size = mib * MIB // files
    zip_path = f"/user/orders/{ORDER}/download"
    async with (
        child_process("tests.benchmarks.zip_storage", {"size": size}) as storage,
        child_process(
            "tests.benchmarks.zip_service",
            {"files": files, "size": size, "storage_url": storage.reported},
        ) as service,
    ):
        idle = service.process.memory_info().rss / MIB
        downloads = _Downloads(service, size * files)
        rounds = rounds_of(quick)
        rates = await interleaved(
            rounds,
            {
                "zip": partial(downloads.rate, zip_path),
                "floor": partial(downloads.rate, FLOOR),
            },
        )
        if (await service.counts())["settled"] != rounds * files:
            raise RuntimeError("the service didn't settle every file")
        above_idle = service.peak_mib() - idle
    ratio = Figure("zip / floor", "", ratios_of(rates["zip"], rates["floor"]))
    return Report(
        figures=[
            Figure("zip", "MiB/s", rates["zip"]),
            Figure("floor", "MiB/s", rates["floor"]),
            ratio,
            Figure("CPU of the service, zip", "s/GiB", tuple(downloads.cpu_seconds[zip_path])),
            Figure("CPU of the service, floor", "s/GiB", tuple(downloads.cpu_seconds[FLOOR])),
            Figure("peak memory of the service above idle", "MiB", (above_idle,)),
        ],
        targets=[
            Target("zip / floor", ratio.median, 0.6, at_least=True),
            Target("peak memory above idle, MiB", above_idle, 64, at_least=False),
        ],
        notes=[
            f"{files:,} files, {mib:,} MiB in all",
            "Once archives can be resumed, the target of zip / floor is 0.8.",
        ],
    )
