"""Start everything that the orders of the demo need, and remove it afterwards without a trace."""

import base64
import secrets
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx

from rs_order.demo.command_process import CommandProcess
from rs_order.demo.console_scene import ConsoleScene
from rs_order.demo.eodag_client import EodagClient
from rs_order.demo.errors import DemoError
from rs_order.demo.isolated_resources import Isolation, isolated
from rs_order.demo.order_client import OrderClient
from rs_order.demo.progress_client import ProgressClient
from rs_order.demo.report import Report
from rs_order.demo.restore_history import write_history, write_hours
from rs_order.demo.resumed_download import ArchiveDownloader
from rs_order.demo.servers.lifecycle import Servers, running_servers
from rs_order.demo.servers.private_resources import free_ports
from rs_order.demo.user_tokens import UserTokens
from rs_order.demo.webhook_receiver import WebhookClient
from rs_order.demo.zip_verification import ZipDownloader
from rs_order.domain.estimates import Sample
from rs_order.domain.ids import Tenant
from rs_order.domain.throughput import Throughput

TENANT = Tenant("demo")
HOST = "127.0.0.1"
SUB_ORDERS_PER_USER = 1
"""One only, so that the next sub-order visibly waits for the download."""
SUB_ORDERS_AT_ONCE = 1
"""Of all users, so that they visibly wait for each other."""
DAYS_OF_PATIENCE = 7
"""An order whose products can't be listed keeps waiting while somebody looks at the console."""
MEBIBYTE = 1024 * 1024
_PATHS = {
    "CATALOG_URL": "rs-catalog",
    "STORAGE_URL": "rs-storage",
    "DAM_URL": "rs-dam",
    "PROCESSING_URL": "rs-processing",
    "ADMIN_URL": "rs-admin",
    "ADMIN_INSTANCE_URL": "rs-admin-instance",
    "AUTHENTICATION_URL": "rs-authentication",
    "CATALOG_STAC_URL": "rs-catalog/stac",
    "TOKEN_URL": "rs-authentication/oauth/token",
}


class SandboxControl:
    """A client of the ``/sandbox`` API, which controls a running sandbox."""

    def __init__(self, client: httpx.AsyncClient, url: str) -> None:
        self._client = client
        self._url = url

    async def add_user(self, email: str) -> None:
        """Add a user to the platform."""
        await self._call("PUT", f"/users/{email}", {"email": email})

    async def restore_requests(self) -> list[frozenset[str]]:
        """Return the checksums of each request that storage has received."""
        restores = await self._call("GET", "/restores")
        return [frozenset(request["checksums"]) for request in restores["requests"]]

    @asynccontextmanager
    async def tapes_held(self) -> AsyncIterator[None]:
        """Let storage forget what it has brought back, and bring nothing until the block is left."""
        await self._call("POST", "/restores/expire", {})
        await self._call("PATCH", "/faults", {"silence": True})
        yield
        await self._call("PATCH", "/faults", {"silence": False})
        await self._call("POST", "/restores/release", {})

    async def _call(self, verb: str, path: str, body: Any = None) -> Any:
        try:
            answer = await self._client.request(verb, f"{self._url}/sandbox{path}", json=body)
            answer.raise_for_status()
        except httpx.HTTPError as error:
            raise DemoError(f"The sandbox failed: {error or type(error).__name__}") from error
        return answer.json() if answer.content else None


@dataclass(frozen=True, slots=True)
class Platform:
    """The running service, and clients of the parts that the cases use."""

    service: CommandProcess
    orders: OrderClient
    zips: ZipDownloader
    archives: ArchiveDownloader
    progress: ProgressClient
    webhooks: WebhookClient
    eodag: EodagClient
    sandbox: SandboxControl
    scene: ConsoleScene


@dataclass(frozen=True, slots=True)
class _Addresses:
    """Chosen before anything starts, because sandbox and service need the address of each other."""

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
    archive: Path,
    report: Report,
    *,
    sub_order_bytes: int,
    history: Sequence[Sample],
    sandbox_options: Sequence[str],
    hours: Mapping[datetime, Throughput] = MappingProxyType({}),
    slots: int | None = None,
    eodag: Path | None = None,
) -> AsyncIterator[Platform]:
    """Start servers, sandbox and service, and wait until each is ready; stop all when the block is left.

    Args:
        archive: the folder that the sandbox serves.
        report: receives the time that each start takes.
        sub_order_bytes: the size of sub-orders.
        history: restores of earlier orders, from which the service learns when files come back.
        sandbox_options: further options of ``rs-order sandbox``.
        hours: what was done in earlier hours, for the plots of the console.
        slots: sub-orders of a user, and of all users, at the same time; None: those of the cases.
        eodag: a Python that has eodag.

    Raises:
        ServersError, DemoError: a start fails; the text says what to do.
        BrokerUnavailable: the connection to the broker was lost.
    """
    key = secrets.token_hex(32)
    addresses = _Addresses(*free_ports(2))
    async with AsyncExitStack() as stack:
        with report.stage("Servers"):
            servers = await stack.enter_async_context(
                running_servers(durable=True, report=report.line)
            )
            isolation = await stack.enter_async_context(isolated(servers))
        broker = _broker_settings(servers, isolation, key)
        with report.stage("Sandbox"):
            await stack.enter_async_context(_sandbox(archive, addresses, broker, sandbox_options))
        with report.stage("Service"):
            settings = _service_settings(isolation, addresses, broker, sub_order_bytes, slots)
            service = await stack.enter_async_context(_service(settings))
            await write_history(isolation.database_url, TENANT, history)
            await write_hours(isolation.database_url, TENANT, hours)
        orders = await stack.enter_async_context(
            OrderClient.connected(servers.amqp_url, isolation.vhost, tenant=TENANT)
        )
        client = await stack.enter_async_context(httpx.AsyncClient(trust_env=False))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rs-order-demo-")))
        tokens = UserTokens(TENANT, key)
        yield Platform(
            service,
            orders,
            ZipDownloader(client, folder, tokens),
            ArchiveDownloader(client, folder, tokens),
            ProgressClient(client, addresses.service, tokens),
            WebhookClient(client, addresses.service, tokens),
            EodagClient(client, addresses.service, tokens, python=eodag, folder=folder),
            SandboxControl(client, addresses.sandbox),
            ConsoleScene(
                client, addresses.service, addresses.sandbox, tokens, isolation.database_url
            ),
        )


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
    async with CommandProcess.running(
        "sandbox", *arguments, settings=settings, ready_mark="Sandbox listens"
    ):
        yield


@asynccontextmanager
async def _service(settings: dict[str, str]) -> AsyncIterator[CommandProcess]:
    async with CommandProcess.running(
        "serve", settings=settings, ready_mark="rs-order is ready"
    ) as service:
        yield service


def _broker_settings(servers: Servers, isolation: Isolation, key: str) -> dict[str, str]:
    """Return the settings that sandbox and service share."""
    return {
        "AMQP_URL": servers.amqp_url,
        "AMQP_VHOST": isolation.vhost,
        "AMQP_INSTANCE_VHOST": isolation.instance_vhost,
        "JWT_KEY_HS512": key,
    }


def _service_settings(
    isolation: Isolation,
    addresses: _Addresses,
    broker: dict[str, str],
    sub_order_bytes: int,
    slots: int | None,
) -> dict[str, str]:
    services = {name: f"{addresses.sandbox}/{path}" for name, path in _PATHS.items()}
    return {
        **broker,
        **services,
        "DATABASE_URL": isolation.database_url,
        "HTTP_HOST": HOST,
        "HTTP_PORT": str(addresses.service_port),
        "TENANTS": TENANT,
        "EXTERNAL_ALLOWED_NETWORKS": HOST,
        "EVENTS_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
        "WEBHOOK_HTTP": "true",
        "WEBHOOK_ALLOWED_NETWORKS": HOST,
        "FILES_BUCKET_SIZE_MB": repr(sub_order_bytes / MEBIBYTE),
        "MAX_STORAGE_FILES_JOBS_PER_USER": str(slots or SUB_ORDERS_PER_USER),
        "JOBS_POOL_SIZE": str(slots or SUB_ORDERS_AT_ONCE),
        "REMOTE_DEADLINE": str(DAYS_OF_PATIENCE * 86_400),
    }
