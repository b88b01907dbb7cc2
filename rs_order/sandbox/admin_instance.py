"""rs-admin-instance: projects, tenants, connections and mail (remote-services.md 6)."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Body
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from starlette.requests import Request
from starlette.responses import Response

from rs_order.sandbox.answers import answer, date, failure, item
from rs_order.sandbox.calls import Changes
from rs_order.sandbox.faults import Faults
from rs_order.sandbox.gate import caller

_KEPT = 10_000
_MAY_SEND = ("PROJECT_ADMIN", "INSTANCE_ADMIN")


class Mail(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, serialize_by_alias=True
    )

    sender: Annotated[str | None, Field(alias="from")] = None
    reply_to: str | None = None
    to: list[str]
    cc: list[str] = []
    bcc: list[str] = []
    subject: str
    text: str
    sent_date: str | None = None


class Mailbox:
    """Mails that would have been sent."""

    def __init__(self) -> None:
        self._mails: deque[Mail] = deque(maxlen=_KEPT)
        self._changes = Changes()

    @property
    def mails(self) -> list[Mail]:
        return list(self._mails)

    def receive(self, mail: Mail) -> None:
        mail.sent_date = date(datetime.now(UTC))
        self._mails.append(mail)
        self._changes.tell()

    async def wait_for(self, count: int, timeout_seconds: float = 30) -> list[Mail]:
        """The mails, once there are so many; raises TimeoutError."""
        await self._changes.until(lambda: len(self._mails) >= count, timeout_seconds)
        return self.mails

    def clear(self) -> None:
        self._mails.clear()


class Projects:
    """The tenants of the platform, their host, and how services are connected to them."""

    def __init__(self, tenants: list[str], host: str) -> None:
        self._names = list(tenants)
        self._host = host
        self._connections: dict[tuple[str, str], dict[str, Any]] = {}
        self._taken_away: set[tuple[str, str]] = set()
        self._changes = Changes()
        self.connection_states: dict[tuple[str, str], list[dict[str, Any]]] = {}
        """States that a service reported for a tenant, oldest first."""

    def __contains__(self, tenant: object) -> bool:
        return tenant in self._names

    def __iter__(self) -> Any:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def add(self, tenant: str) -> None:
        if tenant not in self._names:
            self._names.append(tenant)

    def remove(self, tenant: str) -> bool:
        """Whether there was such a project."""
        known = tenant in self._names
        if known:
            self._names.remove(tenant)
        return known

    def project(self, name: str, *, with_host: bool) -> dict[str, Any] | None:
        """The project of a name, whatever its case."""
        known = next((one for one in self._names if one.lower() == name.lower()), None)
        if known is None:
            return None
        written = {
            "id": self._names.index(known) + 1,
            "name": known,
            "label": known,
            "description": "Sandbox project",
            "icon": "",
            "isPublic": True,
            "isAccessible": True,
            "isDeleted": False,
            "crs": "WGS_84",
            "isPoleToBeManaged": False,
            "licenceLink": "",
        }
        return written | {"host": self._host} if with_host else written

    def connections(self, service: str) -> list[dict[str, Any]]:
        """A service's connections; one that nobody touched is enabled."""
        keys = ((service, tenant) for tenant in self._names)
        return [self._connection(key) for key in keys if key not in self._taken_away]

    def connect(self, service: str, tenant: str) -> dict[str, Any]:
        """Give a service a new connection, of which it has to say something."""
        self._taken_away.discard((service, tenant))
        new = connection(tenant) | {"state": None, "errorCause": None}
        self._connections[service, tenant] = new
        return new

    def disconnect(self, service: str, tenant: str) -> dict[str, Any]:
        self._taken_away.add((service, tenant))
        self._connections.pop((service, tenant), None)
        return connection(tenant) | {"state": None, "errorCause": None}

    def report(self, service: str, reported: dict[str, Any]) -> bool:
        """Take what a service says; whether the project exists."""
        key = (service, str(reported.get("tenant")))
        if key[1] not in self._names:
            return False
        self.connection_states.setdefault(key, []).append(reported)
        self._connections[key] = self._connection(key) | reported
        self._changes.tell()
        return True

    async def wait_for_state(
        self, service: str, tenant: str, state: str, timeout_seconds: float = 30
    ) -> None:
        """Until a service's last word on a tenant is this state; raises TimeoutError."""

        def said() -> bool:
            states = self.connection_states.get((service, tenant), [])
            return bool(states) and states[-1].get("state") == state

        await self._changes.until(said, timeout_seconds)

    def _connection(self, key: tuple[str, str]) -> dict[str, Any]:
        return self._connections.get(key) or connection(key[1])


def connection(tenant: str) -> dict[str, Any]:
    """A tenant's database connection as the platform would describe it; it leads nowhere."""
    return {
        "tenant": tenant,
        "url": f"jdbc:postgresql://rs-postgres:5432/rs_{tenant}",
        "userName": "sandbox",
        "password": "",
        "driverClassName": "org.postgresql.Driver",
        "state": "ENABLED",
    }


def admin_instance_router(projects: Projects, mailbox: Mailbox, faults: Faults) -> APIRouter:
    router = APIRouter(prefix="/rs-admin-instance")
    _add_projects(router, projects, faults)
    _add_connections(router, projects)
    _add_mails(router, mailbox, faults)
    return router


def _add_projects(router: APIRouter, projects: Projects, faults: Faults) -> None:
    @router.get("/projects/{name}")
    async def project(name: str) -> Response:
        found = projects.project(name, with_host=not faults.project_without_host)
        if found is None:
            return failure(404, f"Project {name} does not exist")
        return answer(item(found))

    @router.get("/tenants")
    async def tenants() -> Response:
        return answer(list(projects))


def _add_connections(router: APIRouter, projects: Projects) -> None:
    @router.get("/tenants/{service}")
    async def active_tenants(service: str) -> Response:
        connections = projects.connections(service)
        return answer([one["tenant"] for one in connections if one["state"] == "ENABLED"])

    @router.get("/connections/{service}")
    async def connections(service: str) -> Response:
        return answer(projects.connections(service))

    @router.post("/connections/{service}")
    @router.put("/connections/{service}")
    async def report(service: str, body: Annotated[dict[str, Any], Body()]) -> Response:
        if not projects.report(service, body):
            return failure(404, f"Project {body.get('tenant')} does not exist")
        return answer(body)


def _add_mails(router: APIRouter, mailbox: Mailbox, faults: Faults) -> None:
    @router.post("/email")
    async def email(request: Request, mail: Mail) -> Response:
        if faults.mail_status is not None:
            return failure(faults.mail_status, "Sandbox: no mail is taken")
        if caller(request).role not in _MAY_SEND:
            return failure(403, "Only administrators of a project or of the instance send mails")
        mailbox.receive(mail)
        return Response(status_code=201)
