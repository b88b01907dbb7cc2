"""Runs the service for a measurement, composed as in production except for the stubs.

python -m tests.benchmarks.service OPTIONS (as JSON; started by ``service_process``)
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import uvloop

from rs_order.app.serve import Role, serve
from rs_order.logs import configure_logs
from rs_order.sandbox.service_protocol import DEVELOPMENT_KEY
from rs_order.settings import Settings
from tests.benchmarks.stubs import StubCatalog, Stubs
from tests.support.polling import eventually
from tests.support.reused_broker import INSTANCE
from tests.support.servers import FreshBroker

STOP_SECONDS = 60


def settings_of(database_url: str, broker: FreshBroker, **settings: Any) -> dict[str, Any]:
    """Return the settings of a service on these servers; further ones have the names of ``Settings``.

    Several instances need different ``amqp_microservice_instance_identifier``s.
    """
    return {
        "database_url": database_url,
        "amqp_url": broker.url,
        "amqp_vhost": broker.vhost,
        "amqp_instance_vhost": broker.instance_vhost,
        "jwt_key_hs512": DEVELOPMENT_KEY,
        "http_host": "127.0.0.1",
        "http_port": 0,
        "amqp_microservice_instance_identifier": INSTANCE,
        **settings,
    }


@asynccontextmanager
async def running_service(
    database_url: str,
    broker: FreshBroker,
    *,
    stubs: Stubs | None = None,
    role: Role = Role.ALL,
    **settings: Any,
) -> AsyncIterator[str]:
    """Run the service in this process, and yield the URL of its REST API once its health is UP."""
    every = Settings(**settings_of(database_url, broker, **settings))
    async with _running(every, stubs or Stubs(), role) as url:
        yield url


@asynccontextmanager
async def _running(settings: Settings, stubs: Stubs, role: Role) -> AsyncIterator[str]:
    stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(
        serve(
            settings,
            role,
            stop,
            on_ready=ready.set_result,
            open_clients=stubs.open_clients,
        )
    )
    try:
        await asyncio.wait({serving, ready}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            await serving
        url = f"http://127.0.0.1:{ready.result()}"
        await until_up(url)
        yield url
    finally:
        stop.set()
        await asyncio.wait_for(serving, STOP_SECONDS)


async def until_up(url: str) -> None:
    """Wait until the health of the service is UP."""
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=60) as client:

        async def is_up() -> bool:
            return (await client.get("/actuator/health")).status_code == httpx.codes.OK

        await eventually(is_up, "health UP", seconds=300)


@dataclass(frozen=True)
class ServiceProcess:
    """A service that runs in a process of its own."""

    url: str
    process: psutil.Process

    def cpu_seconds(self) -> float:
        """Return the CPU time since its start."""
        times = self.process.cpu_times()
        return times.user + times.system

    def peak_mib(self) -> float:
        """Return the most memory that it had resident."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
        raise RuntimeError("the kernel reports no peak of resident memory")


@asynccontextmanager
async def service_process(
    database_url: str,
    broker: FreshBroker,
    *,
    catalog: StubCatalog | None = None,
    **settings: Any,
) -> AsyncIterator[ServiceProcess]:
    """Run the service in a process of its own until the end of the block. Its log is discarded."""
    options = {
        "settings": settings_of(database_url, broker, **settings),
        "catalog": vars(catalog or StubCatalog()),
    }
    read, write = os.pipe()
    started = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.benchmarks.service", json.dumps(options), str(write)),
        stdout=subprocess.DEVNULL,
        pass_fds=(write,),
    )
    os.close(write)
    try:
        with os.fdopen(read) as report:
            url = (await asyncio.to_thread(report.readline)).strip()
        if not url:
            raise RuntimeError("the service ended before it was ready")
        yield ServiceProcess(url, psutil.Process(started.pid))
    finally:
        if started.returncode is None:
            started.terminate()
        await started.wait()


async def _serve(options: dict[str, Any], report: int) -> None:
    """Serve until SIGTERM; write the URL to the file descriptor ``report`` once the health is UP."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    stubs = Stubs(StubCatalog(**options["catalog"]))
    async with _running(Settings(**options["settings"]), stubs, Role.ALL) as url:
        with os.fdopen(report, "w") as pipe:
            pipe.write(f"{url}\n")
        await stop.wait()


if __name__ == "__main__":
    configure_logs("info", "json")
    uvloop.run(_serve(json.loads(sys.argv[1]), int(sys.argv[2])))
