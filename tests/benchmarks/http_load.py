"""Sends HTTP requests over a few connections as fast as they are answered, from a process of its own.

python -m tests.benchmarks.http_load (started by ``http_load``)

The client is a bare protocol that knows only what these answers need (HTTP/1.1 with ``Content-Length``), so
that it takes little of the processor that the measured server needs.
"""

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import cycle
from typing import cast
from urllib.parse import urlsplit

import uvloop

OK = range(200, 300)


@dataclass(frozen=True)
class Requested:
    """A request, as the client sends it again and again."""

    path: str
    verb: str = "GET"
    token: str = ""
    body: str = ""

    def raw(self, host: str) -> str:
        """Return the bytes of the request, which are ASCII."""
        head = f"{self.verb} {self.path} HTTP/1.1\r\nHost: {host}\r\n"
        if self.token:
            head += f"Authorization: Bearer {self.token}\r\n"
        if self.body:
            head += f"Content-Type: application/json\r\nContent-Length: {len(self.body)}\r\n"
        return f"{head}\r\n{self.body}"


@dataclass(frozen=True)
class Load:
    """The measurements of a client."""

    requests: int
    per_second: float
    p50_ms: float
    p95_ms: float
    p99_ms: float


async def http_load(
    url: str, requests: Sequence[Requested], *, seconds: float, connections: int
) -> Load:
    """Send the requests in turn for some time, each on a free one of the connections.

    Raises:
        RuntimeError: a response is no success.
    """
    address = urlsplit(url)
    host = f"{address.hostname}:{address.port}"
    options = {
        "host": address.hostname,
        "port": address.port,
        "seconds": seconds,
        "connections": connections,
        "requests": [request.raw(host) for request in requests],
    }
    client = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.benchmarks.http_load"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    output, _ = await client.communicate(json.dumps(options).encode())
    if client.returncode:
        raise RuntimeError(f"the client failed: {output.decode()}")
    return Load(**json.loads(output))


class _Connection(asyncio.Protocol):
    """Sends the next request whenever an answer is complete, until its time is over."""

    def __init__(self, requests: "cycle[bytes]", ends_at: float, seconds: list[float]) -> None:
        self._requests = requests
        self._ends_at = ends_at
        self._seconds = seconds
        self._received = b""
        self._missing = 0
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own is no subclass
        self._send()

    def _send(self) -> None:
        self._sent_at = time.perf_counter()
        self._transport.write(next(self._requests))

    def data_received(self, data: bytes) -> None:
        if self._missing:
            self._missing -= len(data)
        else:
            self._received += data
            head, separator, body = self._received.partition(b"\r\n\r\n")
            if not separator:
                return
            if int(head[9:12]) not in OK:
                self.ended.set_exception(RuntimeError(self._received.decode()))
                return
            length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            self._missing, self._received = length - len(body), b""
        if not self._missing:
            self._answered()

    def _answered(self) -> None:
        now = time.perf_counter()
        self._seconds.append(now - self._sent_at)
        if now < self._ends_at:
            self._send()
        else:
            self.ended.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_exception(exc or RuntimeError("the server closed the connection"))


async def _run(host: str, port: int, seconds: float, connections: int, requests: list[str]) -> Load:
    in_turn = cycle([request.encode("ascii") for request in requests])
    times: list[float] = []
    loop, began = asyncio.get_running_loop(), time.perf_counter()
    opened = [
        await loop.create_connection(
            lambda: _Connection(in_turn, began + seconds, times), host, port
        )
        for _ in range(connections)
    ]
    await asyncio.gather(*(protocol.ended for _, protocol in opened))
    elapsed = time.perf_counter() - began
    percentiles = statistics.quantiles(times, n=100)
    shown = [1000 * percentiles[percent - 1] for percent in (50, 95, 99)]
    return Load(len(times), len(times) / elapsed, *shown)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(uvloop.run(_run(**json.load(sys.stdin))))))
