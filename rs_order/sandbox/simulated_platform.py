"""The parts of the simulated platform, and the operations that change several of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from rs_order.sandbox import published_events
from rs_order.sandbox.amqp_wire import PROCESS_RIGHTS, Event
from rs_order.sandbox.archive_folder import ArchiveHolding
from rs_order.sandbox.broker_consumers import Broker
from rs_order.sandbox.faults import Faults, Service
from rs_order.sandbox.file_hosts import Quotas
from rs_order.sandbox.holdings import Holdings
from rs_order.sandbox.process_catalog import Processes, RightsChange
from rs_order.sandbox.process_executions import Executions
from rs_order.sandbox.projects import Projects
from rs_order.sandbox.published_events import ConnectionEvent
from rs_order.sandbox.records import (
    WAIT_SECONDS,
    Calls,
    Mailbox,
    Notifications,
    SentEvent,
    SentEvents,
)
from rs_order.sandbox.restores import Restores
from rs_order.sandbox.role_registry import Role, Roles
from rs_order.sandbox.service_protocol import DEVELOPMENT_KEY, Identity, bearer
from rs_order.sandbox.synthetic import SyntheticDataset, SyntheticHolding
from rs_order.sandbox.user_directory import Directory

DEFAULT_TENANTS = ("demo", "project1")
DEFAULT_VHOST = "regards.multitenant.manager"
DEFAULT_INSTANCE_VHOST = "regards.instance.manager"
DEFAULT_PROJECT_HOST = "http://localhost:9043"
"""The default address of rs-order, so that the download links in its messages work."""
BUNDLED_ARCHIVE = Path(__file__).parent / "archive"

VARIABLES = {
    "CATALOG_URL": Service.CATALOG,
    "STORAGE_URL": Service.STORAGE,
    "DAM_URL": Service.DAM,
    "PROCESSING_URL": Service.PROCESSING,
    "ADMIN_URL": Service.ADMIN,
    "ADMIN_INSTANCE_URL": Service.ADMIN_INSTANCE,
    "AUTHENTICATION_URL": Service.AUTHENTICATION,
}
"""Settings of rs-order with the URLs of the services, without their prefix ``RS_ORDER_``."""
SERVICE = "rs-order"
_TOKEN_SECONDS = 7200


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxOptions:
    """The parameters of a simulated platform."""

    archive: Path | None = BUNDLED_ARCHIVE
    """Folder with a ``manifest.json``; None for an empty catalog."""
    synthetic: Sequence[SyntheticDataset] = ()
    """Generated datasets that it serves from the start."""
    tenants: Sequence[str] = DEFAULT_TENANTS
    """The projects that it serves."""
    jwt_key: str = DEVELOPMENT_KEY
    """The HS512 key that it verifies tokens with."""
    project_host: str = DEFAULT_PROJECT_HOST
    """The host that rs-admin-instance returns for each project."""
    faults: Faults = field(default_factory=Faults)
    host: str = "127.0.0.1"
    port: int = 0
    """0 for a free port."""
    amqp_url: str | None = None
    """None for a platform without broker, where nothing can be restored."""
    vhost: str = DEFAULT_VHOST
    instance_vhost: str = DEFAULT_INSTANCE_VHOST


class Sandbox:
    """The parts of a simulated platform. ``running_sandbox`` starts one that listens."""

    def __init__(self, options: SandboxOptions, *, processing_folder: Path) -> None:
        """Create the parts of a platform that doesn't listen yet.

        Args:
            options: its parameters.
            processing_folder: rs-processing writes its outputs into it.

        Raises:
            ArchiveError: the archive can't be served.
        """
        self._options = options
        self._broker: Broker | None = None
        self._sent = SentEvents()
        self.url = ""
        self.faults = options.faults
        self.calls = Calls()
        self.holdings = Holdings(ArchiveHolding.read(options.archive) if options.archive else ())
        self.projects = Projects(list(options.tenants), options.project_host)
        self.processes = Processes()
        self.directory = Directory()
        self.roles = Roles()
        self.mailbox = Mailbox()
        self.notifications = Notifications()
        self.quotas = Quotas(self.faults)
        self.executions = Executions(self.processes, self.faults, self.send, processing_folder)
        self.restores = Restores(self.holdings, self.faults, self.send, self._until_sent, _now)

    @property
    def urls(self) -> dict[str, str]:
        """URLs of the services by the names of rs-order's settings, such as ``CATALOG_URL``."""
        return {
            **{name: f"{self.url}/{service}" for name, service in VARIABLES.items()},
            "CATALOG_STAC_URL": f"{self.url}/{Service.CATALOG}/stac",
            "TOKEN_URL": f"{self.url}/{Service.AUTHENTICATION}/oauth/token",
        }

    def token(
        self, email: str = "jane@example.org", role: str = "REGISTERED_USER", tenant: str = "demo"
    ) -> str:
        """Return a bearer token that this platform accepts for two hours."""
        expires_at = int(datetime.now(UTC).timestamp()) + _TOKEN_SECONDS
        return bearer(Identity(tenant, role, email), self._options.jwt_key, expires_at=expires_at)

    def connect_broker(self) -> Broker | None:
        """Create the broker side, to which all events go from now on; None without broker."""
        if self._options.amqp_url is not None:
            self._broker = Broker(
                self._options.amqp_url,
                vhost=self._options.vhost,
                instance_vhost=self._options.instance_vhost,
                restores=self.restores,
                executions=self.executions,
                notifications=self.notifications,
                tenants=self.projects,
            )
        return self._broker

    async def add_dataset(self, spec: SyntheticDataset) -> SyntheticHolding:
        """Generate a dataset and serve it, in place of one with the same name."""
        holding = await SyntheticHolding.create(spec)
        self.holdings.add(holding)
        return holding

    def add_tenant(self, tenant: str) -> None:
        """Add a project and publish the events of rs-admin-instance (amqp.md 3.9)."""
        self.projects.add(tenant)
        self.send(published_events.tenant_created(tenant))
        self.announce_connection(tenant, ConnectionEvent.CREATED)

    def remove_tenant(self, tenant: str) -> bool:
        """Remove a project and publish the events; False if it doesn't exist."""
        if tenant not in self.projects:
            return False
        self.announce_connection(tenant, ConnectionEvent.DELETED)
        self.projects.remove(tenant)
        self.send(published_events.tenant_deleted(tenant))
        return True

    def announce_connection(
        self, tenant: str, event: ConnectionEvent, service: str = SERVICE
    ) -> None:
        """Change a service's connection to a project's database and publish the event."""
        if event is ConnectionEvent.DELETED:
            connection = self.projects.disconnect(service, tenant)
        else:
            connection = self.projects.connect(service, tenant)
        self.send(published_events.connection_changed(event, service, connection))

    def initialise_rights(self, tenant: str) -> None:
        """Request all services to register their endpoints, as rs-admin does for a new project."""
        self.send(published_events.rights_initialised(tenant))

    def put_role(self, tenant: str, name: str, role: Role) -> None:
        """Add or change a role of a project and publish the event; raises UnknownError."""
        self.roles.put(tenant, name, role)
        self.send(published_events.role_changed(tenant, name))

    def remove_role(self, tenant: str, name: str) -> None:
        """Remove a role of a project and publish the event; raises UnknownError."""
        self.roles.remove(tenant, name)
        self.send(published_events.role_changed(tenant, name))

    def grant(
        self, tenant: str, role: str, resource: str, verb: str, service: str = SERVICE
    ) -> None:
        """Grant a registered endpoint to a role and publish the event; raises UnknownError."""
        self.roles.grant(tenant, role, (service, resource, verb))
        self.send(published_events.access_changed(tenant, service, role))

    def revoke(
        self, tenant: str, role: str, resource: str, verb: str, service: str = SERVICE
    ) -> None:
        """Revoke an endpoint from a role and publish the event; raises UnknownError."""
        self.roles.revoke(tenant, role, (service, resource, verb))
        self.send(published_events.access_changed(tenant, service, role))

    def publish_rights(self, process_id: UUID, change: RightsChange) -> None:
        """Publish a change of the rights of a process, as rs-processing does (amqp.md 3.3)."""
        self.send(Event(PROCESS_RIGHTS, change.tenant, change.event(process_id)))

    def events_since(self, number: int = 0) -> list[SentEvent]:
        """Return the recorded events that were sent after the one of this number."""
        return self._sent.since(number)

    async def wait_for_restore(
        self, requests: int = 1, timeout_seconds: float = WAIT_SECONDS
    ) -> None:
        """Wait until this many restoration requests were received; raises TimeoutError."""
        await self.restores.wait_for_requests(requests, timeout_seconds)

    async def wait_until_up(self, timeout_seconds: float = WAIT_SECONDS) -> None:
        """Wait until the broker is connected; raises TimeoutError."""
        if self._broker is not None:
            await self._broker.wait_until_up(timeout_seconds)

    def reset(self) -> None:
        """Clear faults, records, pending and restored files, added users and processes, changed rights.

        Datasets, tenants and registered endpoints remain.
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
            self.send(published_events.role_changed(tenant, ""))

    def send(self, event: Event) -> None:
        self._sent.add(event)
        if self._broker is not None:
            self._broker.send(event)

    async def _until_sent(self) -> None:
        if self._broker is not None:
            await self._broker.until_sent()


def _now() -> float:
    return asyncio.get_running_loop().time()
