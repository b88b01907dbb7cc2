"""Measures what open streams of events cost while nothing happens.

    python -m tests.benchmarks.event_streams [--streams N] [--seconds S]

The streams are those of one project, five of each user. The service is a process of its own.
"""

# ruff: noqa: T201 - a measurement prints its figures

import argparse
import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from rs_order.domain.ids import Tenant
from rs_order.events.stream import MOST_OF_A_USER
from rs_order.sandbox.service_protocol import DEVELOPMENT_KEY, Identity, bearer
from tests.benchmarks.idle import cpu_percent
from tests.benchmarks.servers import benchmark_servers
from tests.benchmarks.service import service_process

TENANT = Tenant("project1")
MOST_PERCENT = 5.0
"""Of a core, for 1000 streams."""
TOKEN_SECONDS = 7200


async def measure(streams: int, seconds: float) -> None:
    async with (
        benchmark_servers() as servers,
        servers.database() as database_url,
        servers.broker() as broker,
        service_process(
            database_url,
            broker,
            tenants=[TENANT],
            http_max_connections_per_address=2 * streams,
        ) as service,
    ):
        without = await cpu_percent(service, seconds)
        async with open_streams(service.reported, streams):
            with_streams = await cpu_percent(service, seconds)
    print(f"without streams      {without:6.2f} % of a core")
    print(f"{streams:>5} open streams   {with_streams:6.2f} % of a core")
    print(f"difference           {with_streams - without:6.2f} %, at most {MOST_PERCENT:g} %")


@asynccontextmanager
async def open_streams(
    url: str, streams: int, *, path: str = "/events/stream", of_a_user: int = MOST_OF_A_USER
) -> AsyncIterator[None]:
    """Hold streams open until the end of the block. What they send is discarded.

    Args:
        url: of the service.
        streams: how many.
        path: of each stream.
        of_a_user: how many of them one user has.
    """
    address = urlsplit(url)
    writers: list[asyncio.StreamWriter] = []
    readers: list[asyncio.Task[None]] = []
    try:
        for number in range(streams):
            reader, writer = await asyncio.open_connection(address.hostname, address.port)
            writers.append(writer)
            email = f"user{number // of_a_user}@example.org"
            user = Identity(TENANT, "REGISTERED_USER", email)
            token = bearer(user, DEVELOPMENT_KEY, expires_at=int(time.time()) + TOKEN_SECONDS)
            writer.write(
                f"GET {path} HTTP/1.1\r\nHost: {address.netloc}\r\n"
                f"Authorization: Bearer {token}\r\n\r\n".encode()
            )
            head = await reader.readuntil(b"\r\n\r\n")
            if b" 200 " not in head.splitlines()[0]:
                raise RuntimeError(f"stream {number} was refused: {head.decode()}")
            readers.append(asyncio.create_task(_discard(reader)))
        yield
    finally:
        for reading in readers:
            reading.cancel()
        for writer in writers:
            writer.close()


async def _discard(reader: asyncio.StreamReader) -> None:
    while await reader.read(4096):
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=60)
    arguments = parser.parse_args()
    asyncio.run(measure(arguments.streams, arguments.seconds))


if __name__ == "__main__":
    main()
