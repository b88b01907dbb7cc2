"""Everything that the orders of the demo need, started together and left without a trace."""

import secrets
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from rs_order.demo.peer import Peer
from rs_order.demo.processes import Command
from rs_order.demo.report import Report
from rs_order.demo.rooms import Rooms, rooms_of_our_own
from rs_order.demo.sandbox_control import SandboxControl
from rs_order.demo.servers import Servers, running_servers
from rs_order.demo.servers.private_resources import free_ports
from rs_order.demo.zips import Zips

TENANT = "demo"
HOST = "127.0.0.1"
SUB_ORDERS_PER_USER = 1
"""So that the next sub-order is seen to wait for the download."""
MEBIBYTE = 1024 * 1024
_SERVICES = {
    "CATALOG_URL": "rs-catalog",
    "STORAGE_URL": "rs-storage",
    "DAM_URL": "rs-dam",
    "PROCESSING_URL": "rs-processing",
    "ADMIN_URL": "rs-admin",
    "ADMIN_INSTANCE_URL": "rs-admin-instance",
}


@dataclass(frozen=True, slots=True)
class Platform:
    """What the cases are done with."""

    service: Command
    peer: Peer
    zips: Zips
    sandbox: SandboxControl


@dataclass(frozen=True, slots=True)
class _Addresses:
    """Chosen before anything starts: sandbox and service must know each other's."""

    service_port: int
    sandbox_port: int

    @property
    def service(self) -> str:
        return f"http://{HOST}:{self.service_port}"

    @property
    def sandbox(self) -> str:
        return f"http://{HOST}:{self.sandbox_port}"


@asynccontextmanager
async def running_platform(
    archive: Path, report: Report, *, bucket_bytes: int, sandbox_options: Sequence[str]
) -> AsyncIterator[Platform]:
    """Servers, sandbox and service, each ready; all of it ends with the block.

    Args:
        archive: folder behind the sandbox.
        report: told how long each takes.
        bucket_bytes: size of the sub-orders.
        sandbox_options: further options of ``rs-order sandbox``.

    Raises:
        ServersError, DemoError: something doesn't start; the text says what to do.
        BrokerAway: the broker went away.
    """
    key = secrets.token_hex(32)
    addresses = _Addresses(*free_ports(2))
    async with AsyncExitStack() as stack:
        with report.stage("Servers"):
            servers = await stack.enter_async_context(
                running_servers(durable=True, report=report.line)
            )
            rooms = await stack.enter_async_context(rooms_of_our_own(servers))
        broker = _broker_settings(servers, rooms, key)
        with report.stage("Sandbox"):
            await stack.enter_async_context(_sandbox(archive, addresses, broker, sandbox_options))
        with report.stage("Service"):
            settings = _service_settings(rooms, addresses, broker, bucket_bytes)
            service = await stack.enter_async_context(_service(settings))
        peer = await stack.enter_async_context(
            Peer.connected(servers.amqp_url, rooms.vhost, tenant=TENANT)
        )
        client = await stack.enter_async_context(httpx.AsyncClient(trust_env=False))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rs-order-demo-")))
        zips = Zips(client, folder, tenant=TENANT, key=key)
        yield Platform(service, peer, zips, SandboxControl(client, addresses.sandbox))


@asynccontextmanager
async def _sandbox(
    archive: Path, addresses: _Addresses, settings: dict[str, str], options: Sequence[str]
) -> AsyncIterator[None]:
    arguments = [
        f"--archive={archive}",
        f"--host={HOST}",
        f"--port={addresses.sandbox_port}",
        f"--tenant={TENANT}",
        f"--project-host={addresses.service}",
        *options,
    ]
    async with Command.running(
        "sandbox", *arguments, settings=settings, ready_mark="Sandbox listens"
    ):
        yield


@asynccontextmanager
async def _service(settings: dict[str, str]) -> AsyncIterator[Command]:
    async with Command.running(
        "serve", settings=settings, ready_mark="rs-order is ready"
    ) as service:
        yield service


def _broker_settings(servers: Servers, rooms: Rooms, key: str) -> dict[str, str]:
    """What sandbox and service share."""
    return {
        "AMQP_URL": servers.amqp_url,
        "AMQP_VHOST": rooms.vhost,
        "AMQP_INSTANCE_VHOST": rooms.instance_vhost,
        "JWT_KEY_HS512": key,
    }


def _service_settings(
    rooms: Rooms, addresses: _Addresses, broker: dict[str, str], bucket_bytes: int
) -> dict[str, str]:
    services = {name: f"{addresses.sandbox}/{path}" for name, path in _SERVICES.items()}
    return {
        **broker,
        **services,
        "DATABASE_URL": rooms.database_url,
        "HTTP_HOST": HOST,
        "HTTP_PORT": str(addresses.service_port),
        "TENANTS": TENANT,
        "FILES_BUCKET_SIZE_MB": repr(bucket_bytes / MEBIBYTE),
        "MAX_STORAGE_FILES_JOBS_PER_USER": str(SUB_ORDERS_PER_USER),
    }
