"""The simulated platform as one object: its parts, wired, and its life."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from rs_order.sandbox import announcing
from rs_order.sandbox.admin_instance import Mailbox, Projects
from rs_order.sandbox.announcing import ConnectionEvent
from rs_order.sandbox.app import build_app
from rs_order.sandbox.archive_holding import ArchiveHolding
from rs_order.sandbox.broker import Broker, Notifications
from rs_order.sandbox.calls import Calls
from rs_order.sandbox.directory import Directory
from rs_order.sandbox.executions import Executions
from rs_order.sandbox.faults import Faults, Service
from rs_order.sandbox.holdings import Holdings
from rs_order.sandbox.processing import Processes, RightsChange
from rs_order.sandbox.restores import Restores
from rs_order.sandbox.roles import Role, Roles
from rs_order.sandbox.server import listening
from rs_order.sandbox.storage import Quotas
from rs_order.sandbox.synthetic import SyntheticDataset, SyntheticHolding
from rs_order.sandbox.tokens import DEVELOPMENT_KEY, Identity, bearer
from rs_order.sandbox.wire import PROCESS_RIGHTS, Event

DEFAULT_TENANTS = ("demo", "project1")
DEFAULT_VHOST = "regards.multitenant.manager"
DEFAULT_INSTANCE_VHOST = "regards.instance.manager"
DEFAULT_PROJECT_HOST = "http://localhost:9043"
"""Where rs-order listens by default, so that the download links it sends can be followed."""
BUNDLED_ARCHIVE = Path(__file__).parent / "archive"

VARIABLES = {
    "CATALOG_URL": Service.CATALOG,
    "STORAGE_URL": Service.STORAGE,
    "DAM_URL": Service.DAM,
    "PROCESSING_URL": Service.PROCESSING,
    "ADMIN_URL": Service.ADMIN,
    "ADMIN_INSTANCE_URL": Service.ADMIN_INSTANCE,
}
"""Settings of rs-order that tell where services are, without their prefix ``RS_ORDER_``."""
SERVICE = "rs-order"
_KEPT_EVENTS = 10_000
_TOKEN_SECONDS = 7200


@dataclass(frozen=True, slots=True)
class SentEvent:
    number: int
    """1 for the first event sent; never reused."""
    event: Event


class Sandbox:
    """A REGARDS platform in a box; ``Sandbox.running`` makes one that listens."""

    def __init__(
        self,
        archive: Path | None = BUNDLED_ARCHIVE,
        *,
        tenants: Sequence[str] = DEFAULT_TENANTS,
        jwt_key: str = DEVELOPMENT_KEY,
        project_host: str = DEFAULT_PROJECT_HOST,
        faults: Faults | None = None,
        processing_folder: Path = Path("/processing"),
    ) -> None:
        """The platform before it listens.

        Args:
            archive: folder with a ``manifest.json``; None for an empty catalog.
            tenants: projects it serves.
            jwt_key: HS512 key that tokens are verified with.
            project_host: host that rs-admin-instance tells of each project.
            faults: what goes wrong from the start.
            processing_folder: below it rs-processing writes its outputs.

        Raises:
            ArchiveError: the archive can't be served.
        """
        self._jwt_key = jwt_key
        self._broker: Broker | None = None
        self._sent: deque[SentEvent] = deque(maxlen=_KEPT_EVENTS)
        self._sent_count = 0
        self.url = ""
        self.faults = faults or Faults()
        self.calls = Calls()
        self.holdings = Holdings(ArchiveHolding.read(archive) if archive else ())
        self.projects = Projects(list(tenants), project_host)
        self.processes = Processes()
        self.directory = Directory()
        self.roles = Roles()
        self.mailbox = Mailbox()
        self.notifications = Notifications()
        self.quotas = Quotas(self.faults)
        self.executions = Executions(
            self.processes,
            self.faults,
            self._send,
            processing_folder,
        )
        self.restores = Restores(self.holdings, self.faults, self._send, self._until_room, _now)

    @classmethod
    @contextlib.asynccontextmanager
    async def running(
        cls,
        archive: Path | None = BUNDLED_ARCHIVE,
        *,
        amqp_url: str | None = None,
        vhost: str = DEFAULT_VHOST,
        instance_vhost: str = DEFAULT_INSTANCE_VHOST,
        host: str = "127.0.0.1",
        port: int = 0,
        tenants: Sequence[str] = DEFAULT_TENANTS,
        jwt_key: str = DEVELOPMENT_KEY,
        project_host: str = DEFAULT_PROJECT_HOST,
        faults: Faults | None = None,
        processing_folder: Path | None = None,
        synthetic: Sequence[SyntheticDataset] = (),
    ) -> AsyncIterator[Sandbox]:
        """A platform that listens over HTTP, and on a broker when ``amqp_url`` is given.

        Without a ``processing_folder`` the outputs of processes go to a folder that ends with it.

        Raises:
            ArchiveError: the archive can't be served.
            OSError: the address can't be bound.
            TimeoutError: the broker doesn't answer, or hasn't the virtual hosts.
        """
        async with contextlib.AsyncExitStack() as stack:
            own_folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="rs-processing-"))
            sandbox = cls(
                archive,
                tenants=tenants,
                jwt_key=jwt_key,
                project_host=project_host,
                faults=faults,
                processing_folder=processing_folder or Path(own_folder),
            )
            for spec in synthetic:
                await sandbox.add_dataset(spec)
            stack.push_async_callback(sandbox.executions.stop)
            if amqp_url is not None:
                broker = sandbox._attach(amqp_url, vhost, instance_vhost)
                await stack.enter_async_context(broker.running())
                await broker.wait_until_up()
            bound = await stack.enter_async_context(
                listening(build_app(sandbox, jwt_key), host, port)
            )
            sandbox.url = f"http://{host}:{bound}"
            robot = asyncio.create_task(sandbox.restores.run())
            try:
                yield sandbox
            finally:
                robot.cancel()
                await asyncio.wait({robot})

    @property
    def urls(self) -> dict[str, str]:
        """Base URL of each service by the name of rs-order's setting, ``CATALOG_URL`` and on."""
        return {name: f"{self.url}/{service}" for name, service in VARIABLES.items()}

    def token(
        self, email: str = "jane@example.org", role: str = "REGISTERED_USER", tenant: str = "demo"
    ) -> str:
        """A bearer token that this platform accepts, for two hours."""
        expires_at = int(datetime.now(UTC).timestamp()) + _TOKEN_SECONDS
        return bearer(Identity(tenant, role, email), self._jwt_key, expires_at=expires_at)

    async def add_dataset(self, spec: SyntheticDataset) -> SyntheticHolding:
        """Serve a generated dataset from now on; one of the same name is replaced."""
        holding = await SyntheticHolding.create(spec)
        self.holdings.add(holding)
        return holding

    def add_tenant(self, tenant: str) -> None:
        """Serve another project and tell the platform, as rs-admin-instance does (amqp.md 3.9)."""
        self.projects.add(tenant)
        self._send(announcing.tenant_created(tenant))
        self.announce_connection(tenant, ConnectionEvent.CREATED)

    def remove_tenant(self, tenant: str) -> bool:
        """Serve a project no more and tell the platform; whether there was one."""
        if tenant not in self.projects:
            return False
        self.announce_connection(tenant, ConnectionEvent.DELETED)
        self.projects.remove(tenant)
        self._send(announcing.tenant_deleted(tenant))
        return True

    def announce_connection(
        self, tenant: str, event: ConnectionEvent, service: str = SERVICE
    ) -> None:
        """Change a service's connection to a project's database and tell the platform."""
        if event is ConnectionEvent.DELETED:
            connection = self.projects.disconnect(service, tenant)
        else:
            connection = self.projects.connect(service, tenant)
        self._send(announcing.connection_changed(event, service, connection))

    def initialise_rights(self, tenant: str) -> None:
        """Ask services to register their endpoints, as rs-admin does once it knows a project."""
        self._send(announcing.rights_initialised(tenant))

    def put_role(self, tenant: str, name: str, role: Role) -> None:
        """Add or change a role of a project and tell the platform; raises UnknownError."""
        self.roles.put(tenant, name, role)
        self._send(announcing.role_changed(tenant, name))

    def remove_role(self, tenant: str, name: str) -> None:
        """Remove a role of a project and tell the platform; raises UnknownError."""
        self.roles.remove(tenant, name)
        self._send(announcing.role_changed(tenant, name))

    def grant(
        self, tenant: str, role: str, resource: str, verb: str, service: str = SERVICE
    ) -> None:
        """Let a role use a registered endpoint and tell the platform; raises UnknownError."""
        self.roles.grant(tenant, role, (service, resource, verb))
        self._send(announcing.access_changed(tenant, service, role))

    def revoke(
        self, tenant: str, role: str, resource: str, verb: str, service: str = SERVICE
    ) -> None:
        """Let a role use an endpoint no more and tell the platform; raises UnknownError."""
        self.roles.revoke(tenant, role, (service, resource, verb))
        self._send(announcing.access_changed(tenant, service, role))

    def tell_rights(self, process_id: UUID, change: RightsChange) -> None:
        """Tell a project that the rights of a process changed, as rs-processing does (amqp.md 3.3)."""
        self._send(Event(PROCESS_RIGHTS, change.tenant, change.event(process_id)))

    def events_since(self, number: int = 0) -> list[SentEvent]:
        """Events given to the broker after the one of this number, as far as they are kept."""
        return [sent for sent in self._sent if sent.number > number]

    async def wait_for_restore(self, requests: int = 1, timeout_seconds: float = 30) -> None:
        """Until so many restoration requests were taken; raises TimeoutError."""
        await self.restores.wait_for_requests(requests, timeout_seconds)

    async def wait_until_up(self, timeout_seconds: float = 30) -> None:
        """Until the broker is connected (again); raises TimeoutError."""
        if self._broker is not None:
            await self._broker.wait_until_up(timeout_seconds)

    def reset(self) -> None:
        """Back to the start: no faults, records, waits, restored files, added users, processes or rights.

        Datasets, tenants and registered endpoints stay.
        """
        self.faults.become(Faults())
        self.calls.clear()
        self.restores.clear()
        self.executions.clear()
        self.quotas.clear()
        self.notifications.clear()
        self.mailbox.clear()
        self.directory.reset()
        self.processes.reset()
        self._sent.clear()
        for tenant in self.roles.reset():
            self._send(announcing.role_changed(tenant, ""))

    def _attach(self, amqp_url: str, vhost: str, instance_vhost: str) -> Broker:
        self._broker = Broker(
            amqp_url,
            vhost=vhost,
            instance_vhost=instance_vhost,
            restores=self.restores,
            executions=self.executions,
            notifications=self.notifications,
            tenants=self.projects,
        )
        return self._broker

    def _send(self, event: Event) -> None:
        self._sent_count += 1
        self._sent.append(SentEvent(self._sent_count, event))
        if self._broker is not None:
            self._broker.send(event)

    async def _until_room(self) -> None:
        if self._broker is not None:
            await self._broker.until_room()


def _now() -> float:
    return asyncio.get_running_loop().time()
