"""A whole deployment in one process: sandbox, rs_order and a peer, on a database and virtual hosts."""

import asyncio
import io
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from rs_order.app.serve import Role, serve
from rs_order.sandbox.faults import Faults, Service
from rs_order.sandbox.launch import running_sandbox
from rs_order.sandbox.service_protocol import DEVELOPMENT_KEY
from rs_order.sandbox.simulated_platform import BUNDLED_ARCHIVE, Sandbox, SandboxOptions
from rs_order.sandbox.synthetic import SyntheticDataset
from rs_order.settings import Settings
from tests.acceptance.peer import Peer
from tests.support.clock import ManualClock
from tests.support.polling import eventually
from tests.support.reused_broker import INSTANCE
from tests.support.servers import FreshBroker

TENANT = "project1"
STOP_SECONDS = 30


@dataclass
class Platform:
    """The parts of a deployment, and operations on them."""

    settings: Settings
    sandbox: Sandbox
    peer: Peer
    clock: ManualClock
    database_url: str
    port: int = 0

    async def rows(self, query: str, *parameters: Any) -> list[asyncpg.Record]:
        """Run a query in the tenant's schema."""
        async with self.connection() as connection:
            return list(await connection.fetch(query, *parameters))

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection]:
        """Open a connection whose statements are about the tenant's schema."""
        connection = await asyncpg.connect(self.database_url)
        try:
            await connection.execute(f"set search_path to order_{TENANT}")
            yield connection
        finally:
            await connection.close()

    def reset_sandbox(self) -> None:
        """Take back what a test changed in the sandbox. First storage answers what it was asked for.

        Otherwise an order of a later test would join a request for the same file that is never answered.
        """
        self.sandbox.restores.release()
        self.sandbox.reset()

    async def execute(self, statement: str) -> None:
        """Change the database without the service."""
        connection = await asyncpg.connect(self.database_url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    @property
    def url(self) -> str:
        """The base URL of the REST API."""
        return f"http://127.0.0.1:{self.port}"

    async def download(
        self, order_id: int, email: str = "jane@example.org", role: str = "REGISTERED_USER"
    ) -> httpx.Response:
        async with self.client(email, role) as client:
            return await client.get(f"/user/orders/{order_id}/download")

    def client(
        self, email: str, role: str = "REGISTERED_USER", tenant: str = TENANT
    ) -> httpx.AsyncClient:
        """Return a client of the REST API with a token of the user."""
        return httpx.AsyncClient(
            base_url=self.url,
            headers={"Authorization": f"Bearer {self.sandbox.token(email, role, tenant)}"},
            timeout=60,
            trust_env=False,
        )

    async def zip_of(self, order_id: int) -> dict[str, bytes]:
        """Download the order's zip and return the content of its entries by name."""
        response = await self.download(order_id)
        assert response.status_code == 200, response.text
        with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
            assert archive.testzip() is None
            return {name: archive.read(name) for name in archive.namelist()}

    @asynccontextmanager
    async def service(self, role: Role = Role.ALL, **overrides: Any) -> AsyncIterator[int]:
        """Run rs_order in this process until the end of the block; yield the port of its REST API."""
        stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
        serving = asyncio.create_task(
            serve(
                self.settings.model_copy(update=overrides),
                role,
                stop,
                on_ready=ready.set_result,
                clock=self.clock,
            )
        )
        await asyncio.wait({serving, ready}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            await serving
        self.port = ready.result()
        await self._until_up()
        if Service.ADMIN not in self.sandbox.faults.outages:
            await self.until_rights_known()
        try:
            yield self.port
        finally:
            stop.set()
            await asyncio.wait_for(serving, STOP_SECONDS)

    async def health(self) -> dict[str, Any]:
        """Return the components of the service's health."""
        async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
            answer = await client.get(f"http://127.0.0.1:{self.port}/actuator/health")
        components: dict[str, Any] = answer.json()["components"]
        return components

    async def until_rights_known(self) -> None:
        """Wait until the service has the rights of the roles of every tenant."""

        async def known() -> bool:
            roles = (await self.health()).get("roles")
            return roles is None or roles["status"] == "UP"

        await eventually(known, "rights known")

    async def _until_up(self) -> None:
        """Poll the health address, as an orchestrator does."""
        async with httpx.AsyncClient(timeout=60) as client:

            async def is_up() -> bool:
                answer = await client.get(f"http://127.0.0.1:{self.port}/actuator/health")
                return answer.status_code == 200

            await eventually(is_up, "health UP", seconds=STOP_SECONDS)


@asynccontextmanager
async def running_platform(
    broker: FreshBroker,
    database_url: str,
    *,
    archive: Path | None = BUNDLED_ARCHIVE,
    synthetic: tuple[SyntheticDataset, ...] = (),
    faults: Faults | None = None,
    **settings: Any,
) -> AsyncIterator[Platform]:
    """Run sandbox and peer, and prepare the settings of rs_order; the test starts it by ``service``."""
    options = SandboxOptions(
        archive=archive,
        amqp_url=broker.url,
        vhost=broker.vhost,
        instance_vhost=broker.instance_vhost,
        tenants=[TENANT, "project2"],
        synthetic=synthetic,
        faults=faults or Faults(nearline_seconds=0.05),
    )
    async with (
        running_sandbox(options) as sandbox,
        Peer.connected(broker.url, broker.vhost, TENANT) as peer,
    ):
        values = {
            "database_url": database_url,
            "amqp_url": broker.url,
            "amqp_vhost": broker.vhost,
            "amqp_instance_vhost": broker.instance_vhost,
            "jwt_key_hs512": DEVELOPMENT_KEY,
            "amqp_microservice_instance_identifier": INSTANCE,
            "http_host": "127.0.0.1",
            "http_port": 0,
            "tenants": [TENANT],
            "database_pool_size": 10,
            "external_allowed_networks": ["127.0.0.0/8"],
            "file_url_folders": [str(sandbox.executions.folder)],
            **{name.lower(): url for name, url in sandbox.urls.items()},
            **settings,
        }
        yield Platform(Settings(**values), sandbox, peer, ManualClock(start=None), database_url)
