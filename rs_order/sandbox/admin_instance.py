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
    """The tenants of the platform, their host and what services said of their connections."""

    def __init__(self, tenants: list[str], host: str) -> None:
        self._names = list(tenants)
        self._host = host
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

    def report(self, service: str, connection: dict[str, Any]) -> None:
        key = (service, str(connection.get("tenant")))
        self.connection_states.setdefault(key, []).append(connection)


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

    @router.get("/projects/{name}")
    async def project(name: str) -> Response:
        found = projects.project(name, with_host=not faults.project_without_host)
        if found is None:
            return failure(404, f"Project {name} does not exist")
        return answer(item(found))

    @router.get("/tenants")
    async def tenants() -> Response:
        return answer(list(projects))

    @router.get("/tenants/{service}")
    async def active_tenants(service: str) -> Response:  # noqa: ARG001 - all tenants are active
        return answer(list(projects))

    @router.get("/connections/{service}")
    async def connections(service: str) -> Response:  # noqa: ARG001 - all have the same
        return answer([connection(tenant) for tenant in projects])

    @router.post("/connections/{service}")
    @router.put("/connections/{service}")
    async def report(service: str, body: Annotated[dict[str, Any], Body()]) -> Response:
        projects.report(service, body)
        return answer(body)

    @router.post("/email")
    async def email(request: Request, mail: Mail) -> Response:
        if faults.mail_status is not None:
            return failure(faults.mail_status, "Sandbox: no mail is taken")
        if caller(request).role not in _MAY_SEND:
            return failure(403, "Only administrators of a project or of the instance send mails")
        mailbox.receive(mail)
        return Response(status_code=201)

    return router
