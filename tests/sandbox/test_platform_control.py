"""Changes of roles and projects by administrators, and the events that the platform publishes."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from rs_order.sandbox.published_events import ConnectionEvent
from rs_order.sandbox.role_registry import Role, UnknownError
from rs_order.sandbox.simulated_platform import Sandbox
from rs_order.sandbox.user_directory import User
from tests.sandbox.client import Client

GET = "/user/orders/{orderId}"
SECURITY = "fr.cnes.regards.framework.security.event."
TENANT = "fr.cnes.regards.framework.amqp.event.tenant."
CONNECTION = "fr.cnes.regards.framework.jpa.multitenant.event.TenantConnection"


def endpoint(path: str, role: str, verb: str = "GET") -> dict[str, Any]:
    return {
        "fullPath": path,
        "controllerSimpleName": "C",
        "method": verb,
        "resourceAccess": {"role": role, "description": "d"},
        "authorizedRoles": [],
    }


async def register(client: Client, *endpoints: dict[str, Any]) -> None:
    url = f"{client.sandbox.urls['ADMIN_URL']}/resources/microservices/rs-order"
    assert (await client.http.post(url, json=list(endpoints))).status_code == 200


async def granted(client: Client, role: str) -> set[str]:
    answer = await client.get("ADMIN_URL", f"/roles/{role}/resources/rs-order")
    return {f"{one['content']['resource']}@{one['content']['verb']}" for one in answer.json()}


def sent_events(sandbox: Sandbox) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (sent.event.type, sent.event.tenant, sent.event.body) for sent in sandbox.events_since()
    ]


async def control(client: Client, verb: str, path: str, body: Any = None) -> httpx.Response:
    return await client.http.request(verb, f"{client.sandbox.url}/sandbox{path}", json=body)


async def test_changed_rights_remain_after_a_registration(client: Client) -> None:
    """A second registration keeps the changes of administrators and adds new endpoints."""
    await register(client, endpoint("/a", "EXPLOIT"))
    body = {"resource": "/a", "verb": "GET"}
    revoked = await control(client, "POST", "/tenants/demo/roles/EXPLOIT/revoke", body)
    given = await control(client, "POST", "/tenants/demo/roles/PUBLIC/grant", body)
    await register(client, endpoint("/a", "EXPLOIT"), endpoint("/b", "EXPLOIT"))

    assert (revoked.status_code, given.status_code) == (204, 204)
    assert await granted(client, "EXPLOIT") == {"/b@GET"}
    assert await granted(client, "ADMIN") == {"/a@GET", "/b@GET"}
    assert await granted(client, "PUBLIC") == {"/a@GET"}
    access = {"microservice": "rs-order"}
    assert sent_events(client.sandbox) == [
        (f"{SECURITY}ResourceAccessEvent", "demo", access | {"roleName": "EXPLOIT"}),
        (f"{SECURITY}ResourceAccessEvent", "demo", access | {"roleName": "PUBLIC"}),
    ]


async def test_a_project_can_have_its_own_role(client: Client, sandbox: Sandbox) -> None:
    """It has the grants of its parent and of the roles below it, until it is removed."""
    await register(client, endpoint("/a", "EXPLOIT"))
    body = {"parent": "ADMIN", "authorizedAddresses": ["10.0.0.1"]}
    put = await control(client, "PUT", "/tenants/demo/roles/BOSS", body)
    await register(client, endpoint("/b", "REGISTERED_USER"), endpoint("/c", "PROJECT_ADMIN"))
    rights = await granted(client, "BOSS")
    sandbox.directory.put(User(email="boss@example.org", role="BOSS"))
    user = (await client.get("ADMIN_URL", "/users/email/boss@example.org")).json()["content"]
    is_admin = (await client.get("ADMIN_URL", "/users/email/boss@example.org/admin")).json()
    client.http.headers["Authorization"] = f"Bearer {sandbox.token(tenant='project1')}"
    elsewhere = await client.get("ADMIN_URL", "/roles/BOSS/resources/rs-order")
    removed = await control(client, "DELETE", "/tenants/demo/roles/BOSS")

    assert (put.status_code, removed.status_code, elsewhere.status_code) == (204, 204, 404)
    assert rights == {"/a@GET", "/b@GET"}
    assert user["role"]["authorizedAddresses"] == ["10.0.0.1"]
    assert user["role"]["parentRole"]["name"] == "ADMIN"
    assert user["role"]["isNative"] is False
    assert is_admin is True
    assert sent_events(sandbox) == [(f"{SECURITY}RoleEvent", "demo", {"role": "BOSS"})] * 2


async def test_addresses_of_a_native_role(client: Client) -> None:
    """The addresses can be set; the parent can't be changed."""
    body = {"parent": "ADMIN", "authorizedAddresses": ["::1"]}
    await control(client, "PUT", "/tenants/demo/roles/EXPLOIT", body)
    roles = {
        one["content"]["name"]: one["content"]
        for one in (await client.get("ADMIN_URL", "/roles")).json()
    }

    assert roles["EXPLOIT"]["authorizedAddresses"] == ["::1"]
    assert roles["EXPLOIT"]["parentRole"]["name"] == "REGISTERED_USER"


@pytest.mark.parametrize(
    ("verb", "path", "body", "status"),
    [
        ("PUT", "/tenants/demo/roles/ORPHAN", {"parent": "NOBODY"}, 422),
        ("PUT", "/tenants/demo/roles/ORPHAN", {}, 422),
        ("DELETE", "/tenants/demo/roles/EXPLOIT", None, 404),
        ("POST", "/tenants/demo/roles/NOBODY/grant", {"resource": "/a", "verb": "GET"}, 404),
        ("POST", "/tenants/demo/roles/PUBLIC/revoke", {"resource": "/a", "verb": "GET"}, 404),
        ("DELETE", "/tenants/nobody", None, 404),
        ("POST", "/tenants/demo/connection", {"event": "lost"}, 422),
    ],
)
async def test_invalid_changes_are_rejected(
    client: Client, verb: str, path: str, body: Any, status: int
) -> None:
    """No event is published."""
    assert (await control(client, verb, path, body)).status_code == status
    assert sent_events(client.sandbox) == []


async def test_a_reset_undoes_changes(client: Client, sandbox: Sandbox) -> None:
    """Endpoints remain registered with their defaults, and services receive an event."""
    await register(client, endpoint("/a", "EXPLOIT"))
    sandbox.put_role("demo", "BOSS", Role(parent="ADMIN"))
    sandbox.revoke("demo", "EXPLOIT", "/a", "GET")
    sandbox.reset()

    assert await granted(client, "EXPLOIT") == {"/a@GET"}
    with pytest.raises(UnknownError):
        sandbox.remove_role("demo", "BOSS")
    assert sent_events(sandbox) == [(f"{SECURITY}RoleEvent", "demo", {"role": ""})]
    sandbox.reset()
    assert sent_events(sandbox) == []


async def test_a_project_is_active_once_its_service_reports_it(
    client: Client, sandbox: Sandbox
) -> None:
    """Until then its connection has no state; each service reports its own state."""
    await control(client, "PUT", "/tenants/project2")
    url = f"{sandbox.urls['ADMIN_INSTANCE_URL']}/connections/rs-order"
    before = (await client.http.get(url)).json()[-1]
    active = (await client.get("ADMIN_INSTANCE_URL", "/tenants/rs-order")).json()
    everywhere = (await client.get("ADMIN_INSTANCE_URL", "/tenants")).json()
    for state in ("CONNECTING", "ENABLED"):
        await client.http.put(url, json={"tenant": "project2", "state": state})
    await sandbox.projects.wait_for_state("rs-order", "project2", "ENABLED")
    after = (await client.get("ADMIN_INSTANCE_URL", "/tenants/rs-order")).json()
    unknown = await client.http.put(url, json={"tenant": "nobody", "state": "ENABLED"})

    assert (before["tenant"], before["state"]) == ("project2", None)
    assert (active, everywhere) == (["demo", "project1"], ["demo", "project1", "project2"])
    assert after == ["demo", "project1", "project2"]
    assert unknown.status_code == 404


async def test_events_of_a_project(client: Client, sandbox: Sandbox) -> None:
    """A project is added and removed with its connection; the header names the instance."""
    await control(client, "PUT", "/tenants/project2")
    await control(client, "POST", "/tenants/project2/connection", {"event": "updated"})
    await control(
        client, "POST", "/tenants/project2/connection", {"event": "failed", "service": "rs-dam"}
    )
    await control(client, "DELETE", "/tenants/project2")
    types, tenants, bodies = zip(*sent_events(sandbox), strict=True)

    assert types == (
        f"{TENANT}TenantCreatedEvent",
        f"{CONNECTION}ConfigurationCreated",
        f"{CONNECTION}ConfigurationUpdated",
        f"{CONNECTION}Failed",
        f"{CONNECTION}ConfigurationDeleted",
        f"{TENANT}TenantDeletedEvent",
    )
    assert set(tenants) == {"instance"}
    assert (bodies[1]["tenant"]["tenant"], bodies[1]["microserviceName"]) == (
        "project2",
        "rs-order",
    )
    assert bodies[1]["tenant"]["state"] is None
    assert bodies[3] == {"tenant": "project2", "microserviceName": "rs-dam"}
    assert "project2" not in sandbox.projects


async def test_a_deleted_connection(client: Client, sandbox: Sandbox) -> None:
    """The project remains; the service has no connection to it until there is a new one."""
    sandbox.announce_connection("demo", ConnectionEvent.DELETED)
    remaining = (await client.get("ADMIN_INSTANCE_URL", "/connections/rs-order")).json()
    others = (await client.get("ADMIN_INSTANCE_URL", "/tenants/rs-dam")).json()
    sandbox.announce_connection("demo", ConnectionEvent.CREATED)
    again = (await client.get("ADMIN_INSTANCE_URL", "/connections/rs-order")).json()

    assert [one["tenant"] for one in remaining] == ["project1"]
    assert others == ["demo", "project1"]
    assert [one["tenant"] for one in again] == ["demo", "project1"]


async def test_rights_are_initialised(client: Client, sandbox: Sandbox) -> None:
    """The event is empty and has the project's tenant, as from a new rs-admin."""
    await control(client, "POST", "/tenants/demo/initialised")

    assert sent_events(sandbox) == [(f"{SECURITY}ResourceAccessInit", "demo", {})]
