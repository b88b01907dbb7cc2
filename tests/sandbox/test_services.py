"""Tokens, users, roles, projects, mail, and the records of calls."""

from __future__ import annotations

import time
from typing import Any

import httpx
import jwt
import pytest

from rs_order.sandbox.service_protocol import DEVELOPMENT_KEY
from rs_order.sandbox.simulated_platform import Sandbox
from rs_order.sandbox.user_directory import User
from tests.sandbox.client import Client

CLAIMS: dict[str, Any] = {
    "tenant": "demo",
    "role": "EXPLOIT",
    "sub": "someone",
    "email": "exploit@example.org",
}


def _token(
    *, key: str = DEVELOPMENT_KEY, lives: float = 60, without: str = "", **changes: Any
) -> str:
    claims = CLAIMS | {"exp": int(time.time() + lives)} | changes
    claims.pop(without, None)
    return jwt.encode(claims, key, algorithm="HS512")


@pytest.mark.parametrize(
    "header",
    [
        None,
        "Basic abc",
        "Bearer nonsense",
        f"Bearer {_token(key='another-key-' * 8)}",
        f"Bearer {_token(lives=-60)}",
        *(f"Bearer {_token(without=claim)}" for claim in CLAIMS),
    ],
)
@pytest.mark.parametrize("setting", ["CATALOG_URL", "ADMIN_URL", "ADMIN_INSTANCE_URL"])
async def test_call_without_valid_token_is_401(
    sandbox: Sandbox, header: str | None, setting: str
) -> None:
    async with httpx.AsyncClient(timeout=60) as http:
        headers = {"Authorization": header} if header else {}
        answer = await http.get(f"{sandbox.urls[setting]}/anything", headers=headers)

    assert answer.status_code == 401
    assert answer.json()["messages"]


async def test_tenant_that_is_not_served_is_403(sandbox: Sandbox) -> None:
    headers = {"Authorization": f"Bearer {_token(tenant='elsewhere')}"}
    async with httpx.AsyncClient(headers=headers, timeout=60) as http:
        project_service = await http.get(f"{sandbox.urls['ADMIN_URL']}/roles")
        instance_service = await http.get(f"{sandbox.urls['ADMIN_INSTANCE_URL']}/tenants")

    assert (project_service.status_code, instance_service.status_code) == (403, 200)


async def test_every_call_is_recorded_with_its_identity(sandbox: Sandbox) -> None:
    """Rejected calls are recorded too; each service has a counter."""
    headers = {"Authorization": f"Bearer {_token()}"}
    async with httpx.AsyncClient(headers=headers, timeout=60) as http:
        await http.get(f"{sandbox.urls['ADMIN_URL']}/roles")
        await http.post(f"{sandbox.urls['STORAGE_URL']}/nowhere", headers={"Authorization": ""})
        record = (await http.get(f"{sandbox.url}/sandbox/calls")).json()

    first, second = record["calls"]
    assert record["counters"] == {"rs-admin": 1, "rs-storage": 1}
    assert (first["service"], first["verb"], first["path"]) == ("rs-admin", "GET", "/roles")
    assert (first["tenant"], first["role"], first["email"]) == (
        "demo",
        "EXPLOIT",
        "exploit@example.org",
    )
    assert (first["status"], second["status"], second["email"]) == (200, 401, None)


@pytest.mark.parametrize(
    ("path", "status"), [("/rs-catalog/nowhere", 404), ("/rs-admin-instance/email", 405)]
)
async def test_unknown_route_or_verb_answers_with_messages(
    sandbox: Sandbox, client: Client, path: str, status: int
) -> None:
    answer = await client.http.get(sandbox.url + path)

    assert answer.status_code == status
    assert answer.json()["messages"]


@pytest.mark.parametrize(
    ("email", "role", "admin"),
    [
        ("jane@example.org", "REGISTERED_USER", False),
        ("john@example.org", "REGISTERED_USER", False),
        ("exploit@example.org", "EXPLOIT", False),
        ("admin@example.org", "PROJECT_ADMIN", True),
    ],
)
async def test_default_users_are_known(client: Client, email: str, role: str, admin: bool) -> None:
    user = (await client.get("ADMIN_URL", f"/users/email/{email}")).json()["content"]

    assert (user["email"], user["role"]["name"]) == (email, role)
    assert user["status"] == "ACCESS_GRANTED"
    assert (await client.get("ADMIN_URL", f"/users/email/{email}/admin")).json() is admin


async def test_unknown_user_is_404_until_added(sandbox: Sandbox, client: Client) -> None:
    path = "/users/email/new@example.org"
    before = (await client.get("ADMIN_URL", path)).status_code
    await client.http.put(
        f"{sandbox.url}/sandbox/users/new@example.org", json={"email": "x", "role": "ADMIN"}
    )
    added = (await client.get("ADMIN_URL", path)).json()["content"]
    await client.http.delete(f"{sandbox.url}/sandbox/users/new@example.org")
    after = (await client.get("ADMIN_URL", path)).status_code

    assert (before, after) == (404, 404)
    assert (added["email"], added["role"]["name"]) == ("new@example.org", "ADMIN")


async def test_user_may_be_known_in_one_tenant_only(sandbox: Sandbox, client: Client) -> None:
    sandbox.directory.put(User(email="local@example.org", tenants={"project1"}))

    here = await client.get("ADMIN_URL", "/users/email/local@example.org")
    client.http.headers["Authorization"] = f"Bearer {sandbox.token(tenant='project1')}"
    there = await client.get("ADMIN_URL", "/users/email/local@example.org")

    assert (here.status_code, there.status_code) == (404, 200)


async def test_registered_endpoints_belong_to_their_role_and_those_above(
    sandbox: Sandbox, client: Client
) -> None:
    endpoint = {
        "fullPath": "/user/orders/{orderId}",
        "controllerSimpleName": "OrderController",
        "method": "GET",
        "resourceAccess": {"role": "REGISTERED_USER", "description": "Get an order"},
        "authorizedRoles": [],
    }
    url = f"{sandbox.urls['ADMIN_URL']}/resources/microservices/rs-order"
    registered = await client.http.post(url, json=[endpoint])

    async def templates(role: str) -> list[str]:
        answer = await client.get("ADMIN_URL", f"/roles/{role}/resources/rs-order")
        return [f"{one['content']['resource']}@{one['content']['verb']}" for one in answer.json()]

    assert registered.status_code == 200
    assert await templates("PUBLIC") == []
    assert await templates("REGISTERED_USER") == ["/user/orders/{orderId}@GET"]
    assert await templates("EXPLOIT") == ["/user/orders/{orderId}@GET"]
    roles = (await client.get("ADMIN_URL", "/roles")).json()
    assert [role["content"]["name"] for role in roles][:2] == ["PUBLIC", "REGISTERED_USER"]


async def test_malformed_registration_is_422(sandbox: Sandbox, client: Client) -> None:
    url = f"{sandbox.urls['ADMIN_URL']}/resources/microservices/rs-order"

    assert (await client.http.post(url, json=[{"method": "GET"}])).status_code == 422


async def test_tenants_and_connections_are_listed(sandbox: Sandbox, client: Client) -> None:
    """Reports are stored by service and tenant."""
    url = f"{sandbox.urls['ADMIN_INSTANCE_URL']}/connections/rs-order"
    await client.http.put(url, json={"tenant": "demo", "state": "ENABLED"})
    tenants = (await client.get("ADMIN_INSTANCE_URL", "/tenants/rs-order")).json()
    connections = (await client.http.get(url)).json()

    assert tenants == ["demo", "project1"]
    assert [one["tenant"] for one in connections] == tenants
    assert sandbox.projects.connection_states["rs-order", "demo"][0]["state"] == "ENABLED"


async def test_unknown_project_is_404(client: Client) -> None:
    assert (await client.get("ADMIN_INSTANCE_URL", "/projects/nobody")).status_code == 404


async def test_mail_is_recorded(sandbox: Sandbox, client: Client) -> None:
    mail = {"from": "regards@noreply.com", "to": ["jane@example.org"], "subject": "s", "text": "t"}
    answer = await _mailed(sandbox, client, mail)
    [received] = await sandbox.mailbox.wait_for(1)
    [listed] = (await client.http.get(f"{sandbox.url}/sandbox/emails")).json()

    assert (answer.status_code, answer.content) == (201, b"")
    assert (received.sender, received.to) == ("regards@noreply.com", ["jane@example.org"])
    assert listed.items() >= mail.items()


async def test_only_administrators_may_send_mails(sandbox: Sandbox, client: Client) -> None:
    mail = {"to": ["jane@example.org"], "subject": "s", "text": "t"}
    rejected = await _mailed(sandbox, client, mail, role="REGISTERED_USER")
    taken = await _mailed(sandbox, client, mail, role="PROJECT_ADMIN")

    assert (rejected.status_code, taken.status_code) == (403, 201)
    assert len(sandbox.mailbox.mails) == 1


async def test_mail_can_fail_alone(sandbox: Sandbox, client: Client) -> None:
    """The other endpoints of rs-admin-instance work meanwhile."""
    sandbox.faults.mail_status = 500
    mail = {"to": ["jane@example.org"], "subject": "s", "text": "t"}
    failed = await _mailed(sandbox, client, mail)
    project = await client.get("ADMIN_INSTANCE_URL", "/projects/demo")

    assert (failed.status_code, project.status_code) == (500, 200)
    assert sandbox.mailbox.mails == []


async def _mailed(
    sandbox: Sandbox, client: Client, mail: dict[str, Any], *, role: str = "INSTANCE_ADMIN"
) -> httpx.Response:
    return await client.http.post(
        f"{sandbox.urls['ADMIN_INSTANCE_URL']}/email",
        json=mail,
        headers={"Authorization": f"Bearer {sandbox.token(role=role)}"},
    )


async def test_datasets_can_be_added_over_http(sandbox: Sandbox, client: Client) -> None:
    url = f"{sandbox.url}/sandbox/datasets"
    added = await client.http.post(url, json={"name": "live", "products": 3})
    found = await client.found("dataset:live")
    await client.http.delete(f"{url}/live")

    assert added.status_code == 201
    assert found == [f"SYN_live_000000{number}" for number in (1, 2, 3)]
    assert await client.found("dataset:live") == []
