"""Servers, sandbox and service for a measurement; the service is a process of its own."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from rs_order.demo.servers.lifecycle import Servers, running_servers
from rs_order.sandbox.launch import running_sandbox
from rs_order.sandbox.service_protocol import DEVELOPMENT_KEY
from rs_order.sandbox.simulated_platform import Sandbox, SandboxOptions
from rs_order.sandbox.synthetic import SyntheticDataset
from tests.acceptance.peer import Peer

TENANT = "project1"
VHOST = "regards.multitenant.manager"


@dataclass
class Deployment:
    servers: Servers
    sandbox: Sandbox
    peer: Peer
    pid: int
    """Process id of the service."""
    url: str
    """Base URL of its REST API."""
    log: list[bytes]
    """Log lines of the service; at the end they are written to standard error."""

    def client(self, email: str, role: str = "REGISTERED_USER") -> httpx.AsyncClient:
        """Return a client of the REST API with a token of the user."""
        token = self.sandbox.token(email, role, TENANT)
        return httpx.AsyncClient(
            base_url=self.url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=600,
            trust_env=False,
        )

    async def execute(self, *statements: str) -> Any:
        """Run statements in the tenant's schema, and return the first value of the last one."""
        connection = await asyncpg.connect(self.servers.database_url)
        try:
            await connection.execute(f"set search_path to order_{TENANT}")
            for statement in statements[:-1]:
                await connection.execute(statement)
            return await connection.fetchval(statements[-1])
        finally:
            await connection.close()

    def resident_mib(self) -> float:
        """Return the memory that the service has resident now."""
        return self._status("VmRSS:")

    def highest_resident_mib(self) -> float:
        """Return the most memory that the service had resident."""
        return self._status("VmHWM:")

    def _status(self, field: str) -> float:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) / 1024
        raise RuntimeError(f"the kernel reports no {field} for process {self.pid}")


@asynccontextmanager
async def running_deployment(
    *synthetic: SyntheticDataset, **settings: object
) -> AsyncIterator[Deployment]:
    """Run servers, sandbox and service with generated datasets; settings have names without RS_ORDER_."""
    async with AsyncExitStack() as stack:
        servers = await stack.enter_async_context(running_servers(durable=True))
        sandbox = await stack.enter_async_context(
            running_sandbox(
                SandboxOptions(
                    archive=None,
                    amqp_url=servers.amqp_url,
                    tenants=[TENANT],
                    synthetic=synthetic,
                )
            )
        )
        environment = {
            **sandbox.urls,
            "DATABASE_URL": servers.database_url,
            "AMQP_URL": servers.amqp_url,
            "JWT_KEY_HS512": DEVELOPMENT_KEY,
            "HTTP_HOST": "127.0.0.1",
            "HTTP_PORT": "0",
            "TENANTS": TENANT,
            "LOG_LEVEL": "warning",
            **{name.upper(): str(value) for name, value in settings.items()},
        }
        log: list[bytes] = []
        process, url = await stack.enter_async_context(_service(environment, log))
        peer = await stack.enter_async_context(Peer.connected(servers.amqp_url, VHOST, TENANT))
        yield Deployment(servers, sandbox, peer, process.pid, url, log)


@asynccontextmanager
async def _service(
    environment: dict[str, str], log: list[bytes]
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """Run ``rs-order serve``; yield its process and its address once it is ready."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "rs_order", "serve"),
        env=os.environ | {f"RS_ORDER_{name}": value for name, value in environment.items()},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    ready = None
    while ready is None:
        ready = re.match(
            rb"rs-order is ready on (http://[\w.:]+)", await _line(process.stdout, log)
        )
    draining = asyncio.create_task(_drain(process.stdout, log))
    try:
        yield process, ready[1].decode()
    finally:
        process.terminate()
        await process.wait()
        await draining
        sys.stderr.buffer.writelines(log)


async def _line(output: asyncio.StreamReader, log: list[bytes]) -> bytes:
    """Read the next line, add it to the log, and return it."""
    line = await output.readline()
    if not line:
        sys.stderr.buffer.writelines(log)
        raise RuntimeError("the service ended before it was ready")
    log.append(line)
    return line


async def _drain(output: asyncio.StreamReader, log: list[bytes]) -> None:
    while line := await output.readline():
        log.append(line)
