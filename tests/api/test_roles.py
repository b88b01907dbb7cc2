"""Rights of roles from rs-admin, in the complete service (rest.md 2.3; amqp.md 3.7)."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY

from rs_order.sandbox.faults import Outage, OutageMode, Service
from rs_order.sandbox.role_registry import Role
from tests.acceptance.platform import Platform, running_platform
from tests.support.polling import eventually
from tests.support.servers import FreshBroker

TENANT = "project2"
"""Other tests don't order in this project, so its rights may change."""
TEMPLATE = "/user/orders/{orderId}/download"
NO_ORDER = "/user/orders/987654321/download"
"""An order that doesn't exist: 404 for whoever may use the endpoint."""
ALLOWED, REFUSED, UNKNOWN = 404, 403, 503

_SECURITY = "fr.cnes.regards.framework.security.event"
ROLE_EVENT = f"regards.broadcast.{_SECURITY}.RoleEvent"
ACCESS_EVENT = f"regards.broadcast.{_SECURITY}.ResourceAccessEvent"
INIT_EVENT = f"regards.broadcast.{_SECURITY}.ResourceAccessInit"


@pytest.fixture
async def rights(here: Platform) -> AsyncIterator[Platform]:
    """Yield the shared service, then restore its rights and wait until it has read them."""
    yield here
    here.reset_sandbox()
    await until(here, "REGISTERED_USER", ALLOWED)
    await until(here, "PUBLIC", REFUSED)


async def status(
    here: Platform, role: str, headers: dict[str, str] | None = None, *, port: int | None = None
) -> int:
    async with here.client("jane@example.org", role, TENANT) as client:
        base = f"http://127.0.0.1:{port or here.port}"
        return (await client.get(f"{base}{NO_ORDER}", headers=headers)).status_code


async def until(here: Platform, role: str, expected: int, *, port: int | None = None) -> None:
    async def is_so() -> bool:
        return await status(here, role, port=port) == expected

    await eventually(is_so, f"{role} gets {expected}")


def dropped(reason: str, queue_end: str) -> float:
    """Return how many messages were dropped for a reason on queues whose names end so."""
    return sum(
        sample.value
        for metric in REGISTRY.collect()
        for sample in metric.samples
        if sample.name == "rs_order_messages_dropped_total"
        and sample.labels["reason"] == reason
        and sample.labels["queue"].endswith(queue_end)
    )


def jackson(event_exchange: str, tenant: str = TENANT) -> dict[str, Any]:
    return {
        "regards.tenant": tenant,
        "regards.converter": "JACKSON",
        "__TypeId__": event_exchange.removeprefix("regards.broadcast."),
    }


async def test_endpoints_are_registered_in_every_tenant(here: Platform) -> None:
    """They have the templates and default roles that the interface looks up."""
    for tenant in ("project1", TENANT):
        resources = here.sandbox.roles.resources(tenant, "EXPLOIT", "rs-order") or []
        found = {f"{one['resource']}@{one['verb']}": one["defaultRole"] for one in resources}
        assert found["/user/orders/{orderId}/download@GET"] == "REGISTERED_USER"
        assert found["/orders/search@POST"] == "EXPLOIT"
        assert "/settings@GET" not in found


async def test_a_right_is_revoked_and_granted_again(rights: Platform) -> None:
    """Each change takes effect with rs-admin's event, for that role only."""
    rights.sandbox.revoke(TENANT, "REGISTERED_USER", TEMPLATE, "GET")
    await until(rights, "REGISTERED_USER", REFUSED)
    others = [await status(rights, role) for role in ("EXPLOIT", "PROJECT_ADMIN", "ROLE_SYS_x")]
    rights.sandbox.grant(TENANT, "REGISTERED_USER", TEMPLATE, "GET")
    await until(rights, "REGISTERED_USER", ALLOWED)

    assert others == [ALLOWED] * 3


async def test_a_right_belongs_to_one_tenant(rights: Platform) -> None:
    """A right revoked in one project stays in the others."""
    rights.sandbox.revoke(TENANT, "REGISTERED_USER", TEMPLATE, "GET")
    await until(rights, "REGISTERED_USER", REFUSED)
    async with rights.client("jane@example.org", tenant="project1") as client:
        elsewhere = await client.get(NO_ORDER)

    assert elsewhere.status_code == ALLOWED


async def test_the_public_may_be_given_a_right(rights: Platform) -> None:
    """The public role has the granted right, like any other role."""
    before = await status(rights, "PUBLIC")
    rights.sandbox.grant(TENANT, "PUBLIC", TEMPLATE, "GET")
    await until(rights, "PUBLIC", ALLOWED)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{rights.port}", timeout=60) as client:
        answer = await client.get(NO_ORDER, params={"scope": TENANT})

    assert (before, answer.status_code) == (REFUSED, ALLOWED)


async def test_a_custom_role_of_a_project(rights: Platform) -> None:
    """It has exactly the granted rights; a removed or unknown role has none."""
    before = await status(rights, "OPERATOR")
    rights.sandbox.put_role(TENANT, "OPERATOR", Role(parent="REGISTERED_USER"))
    await until(rights, "OPERATOR", ALLOWED)
    rights.sandbox.remove_role(TENANT, "OPERATOR")
    await until(rights, "OPERATOR", REFUSED)

    assert before == REFUSED


async def test_a_role_that_may_only_be_used_from_some_addresses(rights: Platform) -> None:
    """Other addresses get 401 on every endpoint. A forged X-Forwarded-For isn't trusted."""
    allowed = Role(authorized_addresses=[r"10\.0\.0\.\d+"])
    rights.sandbox.put_role(TENANT, "REGISTERED_USER", allowed)
    rights.sandbox.put_role(TENANT, "PROJECT_ADMIN", allowed)
    await until(rights, "REGISTERED_USER", 401)
    inside = {"X-Forwarded-For": "10.0.0.9"}
    forged = {"X-Forwarded-For": "10.0.0.9, 203.0.113.7"}
    async with rights.client("jane@example.org", tenant=TENANT) as client:
        refused = await client.get(NO_ORDER, headers=forged)

    assert refused.status_code == 401
    assert refused.json() == {
        "messages": [
            "Authentication failed: the role REGISTERED_USER may not be used from 203.0.113.7"
        ]
    }
    assert await status(rights, "REGISTERED_USER", inside) == ALLOWED
    assert await status(rights, "PROJECT_ADMIN") == 401
    assert await status(rights, "PROJECT_ADMIN", inside) == ALLOWED
    for exempt in ("INSTANCE_ADMIN", "ROLE_SYS_rs-delivery", "EXPLOIT"):
        assert await status(rights, exempt) == ALLOWED


async def test_an_rs_admin_that_starts_a_tenant_anew(rights: Platform) -> None:
    """It requests the endpoints, and they are registered again."""
    rights.sandbox.calls.clear()
    rights.sandbox.initialise_rights(TENANT)
    await eventually(
        lambda: (
            [
                call.tenant
                for call in rights.sandbox.calls.recent("rs-admin")
                if call.path == "/resources/microservices/rs-order"
            ]
            == [TENANT]
        ),
        "registered again",
    )


async def test_events_of_others_are_dropped(rights: Platform) -> None:
    """Events of an unserved tenant or another service are dropped and counted without a call."""
    rights.sandbox.calls.clear()
    foreign = dropped("foreign-tenant", "$ResourceAccessUpdateHandler")
    others = dropped("foreign-service", "$ResourceAccessUpdateHandler")
    body = json.dumps({"microservice": "rs-catalog", "roleName": "EXPLOIT"}).encode()
    await rights.peer.send(ACCESS_EVENT, body, jackson(ACCESS_EVENT, "elsewhere"))
    await rights.peer.send(ACCESS_EVENT, body, jackson(ACCESS_EVENT))
    await eventually(
        lambda: (
            dropped("foreign-tenant", "$ResourceAccessUpdateHandler") == foreign + 1
            and dropped("foreign-service", "$ResourceAccessUpdateHandler") == others + 1
        ),
        "both are dropped",
    )

    assert rights.sandbox.calls.recent("rs-admin") == []


@pytest.mark.parametrize(
    ("exchange", "body", "reason"),
    [
        (ROLE_EVENT, b"{", "not-converted-message"),
        (ACCESS_EVENT, b'{"microservice": "rs-order"}', "not-converted-message"),
        (ACCESS_EVENT, b"[]", "not-converted-message"),
        (INIT_EVENT, b"null", "not-converted-message"),
    ],
)
async def test_events_that_cannot_be_read(
    rights: Platform, exchange: str, body: bytes, reason: str
) -> None:
    """They go to the platform's dead-letter queue with a reason; the next event is handled."""
    await rights.peer.send(exchange, body, jackson(exchange))
    letter = await rights.peer.dead_letter("regards.DLQ")
    rights.sandbox.put_role(TENANT, "LATER", Role(parent="REGISTERED_USER"))
    await until(rights, "LATER", ALLOWED)

    assert letter.body == body
    assert letter.headers["rs-order.reason"] == reason


async def test_rights_are_unknown_until_rs_admin_answers_once(
    broker: FreshBroker, database_url: str
) -> None:
    """503 until it answers once. Later outages don't matter: its last answer stays in force."""
    async with running_platform(broker, database_url, tenants=["project1", TENANT]) as here:
        away = {Service.ADMIN: Outage(mode=OutageMode.DOWN)}
        here.sandbox.faults.outages = away
        async with here.service():
            unknown = [
                await status(here, role) for role in ("PUBLIC", "ADMIN", "NOBODY", "PROJECT_ADMIN")
            ]
            exempt = [await status(here, role) for role in ("INSTANCE_ADMIN", "ROLE_SYS_x")]
            health = (await here.health())["roles"]
            async with here.client("jane@example.org", tenant=TENANT) as client:
                told = (await client.get(NO_ORDER)).json()["messages"]
            here.sandbox.faults.outages = {}
            await here.until_rights_known()
            known = [await status(here, role) for role in ("PUBLIC", "ADMIN", "PROJECT_ADMIN")]
            here.sandbox.faults.outages = away
            here.sandbox.put_role(TENANT, "OPERATOR", Role(parent="ADMIN"))
            await here.sandbox.calls.wait_for(
                "rs-admin", here.sandbox.calls.counters["rs-admin"] + 1
            )
            away_again = [await status(here, role) for role in ("PUBLIC", "ADMIN", "OPERATOR")]

    assert (unknown, exempt) == ([UNKNOWN] * 4, [ALLOWED] * 2)
    assert health["status"] == "OUT_OF_SERVICE"
    assert sorted(health["details"]["unknown"]) == ["project1", TENANT]
    assert "rs-admin" in health["details"]["unknown"][TENANT]
    (sentence,) = told
    assert sentence.startswith("What the roles of the project project2 may do isn't known yet: ")
    assert known == [REFUSED, ALLOWED, ALLOWED]
    assert away_again == [REFUSED, ALLOWED, REFUSED]


async def test_without_rs_admin(broker: FreshBroker, database_url: str) -> None:
    """The declared role and higher ones have access, unknown roles count as registered.

    remote-services.md 5.4.
    """
    async with (
        running_platform(broker, database_url, tenants=[TENANT], admin_url=None) as here,
        here.service(),
    ):
        statuses = [await status(here, role) for role in ("PUBLIC", "REGISTERED_USER", "OPERATOR")]
        components = await here.health()

    assert statuses == [REFUSED, ALLOWED, ALLOWED]
    assert "roles" not in components
