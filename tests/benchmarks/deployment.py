"""Servers, sandbox and service for a measurement; the service is a process of its own."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from rs_order.demo.servers import Servers, running_servers
from rs_order.sandbox import Sandbox, SyntheticDataset
from tests.acceptance.peer import Peer

TENANT = "project1"
VHOST = "regards.multitenant.manager"


@dataclass
class Deployment:
    servers: Servers
    sandbox: Sandbox
    peer: Peer
    pid: int
    """Of the service."""

    def resident_mib(self) -> float:
        """Memory of the service now."""
        return self._status("VmRSS:")

    def highest_resident_mib(self) -> float:
        """The most memory the service ever had resident."""
        return self._status("VmHWM:")

    def _status(self, field: str) -> float:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) / 1024
        raise RuntimeError(f"the kernel tells no {field} for process {self.pid}")


@asynccontextmanager
async def deployment(*synthetic: SyntheticDataset, **settings: object) -> AsyncIterator[Deployment]:
    """Everything running, with generated datasets; settings by their names without RS_ORDER_."""
    async with AsyncExitStack() as stack:
        servers = await stack.enter_async_context(running_servers(durable=False))
        sandbox = await stack.enter_async_context(
            Sandbox.running(None, amqp_url=servers.amqp_url, tenants=[TENANT], synthetic=synthetic)
        )
        environment = {
            **sandbox.urls,
            "DATABASE_URL": servers.database_url,
            "AMQP_URL": servers.amqp_url,
            "HTTP_HOST": "127.0.0.1",
            "HTTP_PORT": "0",
            "TENANTS": TENANT,
            "LOG_LEVEL": "warning",
            **{name.upper(): str(value) for name, value in settings.items()},
        }
        process = await stack.enter_async_context(_service(environment))
        peer = await stack.enter_async_context(Peer.connected(servers.amqp_url, VHOST, TENANT))
        yield Deployment(servers, sandbox, peer, process.pid)


@asynccontextmanager
async def _service(environment: dict[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """``rs-order serve`` from ready to stopped; what it logs goes to standard error."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "rs_order", "serve"),
        env={**os.environ, **{f"RS_ORDER_{name}": value for name, value in environment.items()}},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    sys.stderr.buffer.write(await process.stdout.readline())
    draining = asyncio.create_task(process.stdout.read())
    try:
        yield process
    finally:
        process.terminate()
        await process.wait()
        sys.stderr.buffer.write(await draining)
