"""The HTTP server starts and stops; signals are handled by the command (architecture.md)."""

import asyncio
import signal
import socket
from collections.abc import AsyncGenerator

import httpx
import pytest

from rs_order.app.rest import RestServices, create_app
from rs_order.downloads.readings import Readings
from rs_order.ports import FetchResult
from rs_order.rest.server import run_rest
from tests.rest.conftest import bearer
from tests.rest.fake_downloads import DownloadableOrder, incompressible
from tests.rest.test_zip_download import PATH, Endless
from tests.support.polling import WAIT_SECONDS

HEADERS = {"Authorization": f"Bearer {bearer()}"}


class RunningServer:
    """A server that the test stops itself."""

    def __init__(self, services: RestServices, grace_seconds: float) -> None:
        self.stop = asyncio.Event()
        self._port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(
            run_rest(
                create_app(services),
                "127.0.0.1",
                0,
                stop=self.stop,
                on_ready=self._port.set_result,
                grace_seconds=grace_seconds,
            )
        )

    async def url(self) -> str:
        return f"http://127.0.0.1:{await self._port}"


async def test_downloads_in_progress_are_finished(
    services: RestServices, downloadable: DownloadableOrder
) -> None:
    """A stopping server accepts no new connection and finishes the responses in progress."""
    go_on = asyncio.Event()
    content = incompressible(750_000)

    async def waiting() -> AsyncGenerator[bytes, None]:
        yield content[:250_000]
        yield content[250_000:500_000]  # the last piece that has arrived is held back
        await go_on.wait()
        yield content[500_000:]

    downloadable.add("a", waiting, of=content)
    running = RunningServer(services, grace_seconds=WAIT_SECONDS)
    async with (
        httpx.AsyncClient(base_url=await running.url(), trust_env=False, timeout=60) as client,
        client.stream("GET", PATH, headers=HEADERS) as answer,
    ):
        chunks = answer.aiter_raw()
        await anext(chunks)
        running.stop.set()
        async with asyncio.timeout(WAIT_SECONDS):
            while not await refuses_connections(client):  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0)
        go_on.set()
        async for _ in chunks:
            pass
    await asyncio.wait_for(running.task, WAIT_SECONDS)

    assert downloadable.order.results == {1: FetchResult.DOWNLOADED}


async def refuses_connections(client: httpx.AsyncClient) -> bool:
    try:
        await client.get("/actuator/health")
    except httpx.TransportError:
        return True
    return False


async def test_downloads_are_aborted_after_the_grace_time(
    services: RestServices, downloadable: DownloadableOrder, readings: Readings
) -> None:
    """Their files stay AVAILABLE and can be downloaded again. Their sources end with the parked readers."""
    endless = Endless()
    downloadable.add("endless", endless, size=2**40)
    running = RunningServer(services, grace_seconds=1)
    async with (
        httpx.AsyncClient(base_url=await running.url(), trust_env=False, timeout=60) as client,
        client.stream("GET", PATH, headers=HEADERS) as answer,
    ):
        running.stop.set()
        with pytest.raises(httpx.TransportError):
            async for _ in answer.aiter_raw():
                pass
    await asyncio.wait_for(running.task, WAIT_SECONDS)
    await readings.aclose()

    assert endless.closed.is_set()
    assert downloadable.order.settlements == []


async def test_cancelling_its_task_stops_the_server(services: RestServices) -> None:
    """A cancelled server stops listening, as after the stop event."""
    running = RunningServer(services, grace_seconds=1)
    url = await running.url()
    running.task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running.task
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=60) as client:
        assert await refuses_connections(client)


async def test_the_server_installs_no_signal_handlers(services: RestServices) -> None:
    """The command handles the signals."""
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    running = RunningServer(services, grace_seconds=1)
    await running.url()

    assert before == (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT))
    running.stop.set()
    await running.task


async def test_an_address_in_use_raises_an_error(services: RestServices) -> None:
    """The server raises an OSError and doesn't exit the process."""
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        await run_rest(
            create_app(services), "127.0.0.1", taken.getsockname()[1], stop=asyncio.Event()
        )
