"""Maintenance mode (rest.md 2.6, 11.2)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import httpx
import pytest

from rs_order.domain.instants import parse_instant
from tests.acceptance.platform import Platform
from tests.acceptance.shared_platform import EVE_01, new_user
from tests.support.polling import eventually

TENANT = "project2"
OTHER = "project1"
ADMIN = "admin@example.org"
REFUSED = (515, {"messages": [f"Tenant {TENANT} in maintenance!"]})


@pytest.fixture
async def admin(here: Platform) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of the project's administrator and end the maintenance afterwards."""
    async with here.client(ADMIN, "PROJECT_ADMIN", TENANT) as client:
        yield client
        assert (await client.put(f"/maintenance/{TENANT}/disable")).status_code == 200


@asynccontextmanager
async def in_maintenance(admin: httpx.AsyncClient) -> AsyncIterator[None]:
    answer = await admin.put(f"/maintenance/{TENANT}/enable")
    assert (answer.status_code, answer.content) == (200, b"")
    yield


async def state(client: httpx.AsyncClient) -> dict[str, dict[str, object]]:
    answer = await client.get("/maintenance")
    assert answer.status_code == 200
    assert answer.json()["links"] == []
    content: dict[str, dict[str, object]] = answer.json()["content"]
    return content


async def test_the_state_of_the_own_project(admin: httpx.AsyncClient) -> None:
    """A project administrator sees the own project, with the date of the last change."""
    before = await state(admin)
    assert (list(before), before[TENANT]["active"]) == ([TENANT], False)

    async with in_maintenance(admin):
        after = await state(admin)

    assert after[TENANT]["active"] is True
    assert _date(after) > _date(before)


def _date(states: dict[str, dict[str, object]]) -> datetime:
    return parse_instant(str(states[TENANT]["lastUpdate"]))


async def test_the_state_of_all_projects(here: Platform) -> None:
    """Instance administrators see every project."""
    for role in ("INSTANCE_ADMIN", "ROLE_SYS_rs-admin"):
        async with here.client(ADMIN, role, "instance") as client:
            assert {OTHER, TENANT} <= (await state(client)).keys()


async def test_the_date_stays_when_nothing_changes(
    here: Platform, admin: httpx.AsyncClient
) -> None:
    """A second change to the same state keeps the date of the first."""
    dates = []
    async with here.client(ADMIN, "INSTANCE_ADMIN", "instance") as instance:
        for _ in range(2):
            async with in_maintenance(instance):
                dates.append((await state(admin))[TENANT]["lastUpdate"])

    assert dates[0] == dates[1]


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("PUT", "/settings/app_sub_order_duration"),
        ("DELETE", "/settings/app_sub_order_duration"),
        ("POST", "/microservice/configuration"),
        ("PUT", f"/maintenance/{TENANT}/enable"),
        ("POST", "/order/basket/selection"),
        ("PUT", "/order/basket/dataset/x/updateFileFilters"),
        ("DELETE", "/order/basket/dataset/1"),
    ],
)
async def test_changes_are_rejected(admin: httpx.AsyncClient, verb: str, path: str) -> None:
    """515 with the contract's text, before anything else of the request is checked."""
    async with in_maintenance(admin):
        answer = await admin.request(verb, path)

    assert (answer.status_code, answer.json()) == REFUSED
    assert answer.headers["Retry-After"] == "300"


@pytest.mark.parametrize(
    "path", ["/settings", "/maintenance", "/microservice/configuration", "/actuator/health"]
)
async def test_reading_is_possible(admin: httpx.AsyncClient, path: str) -> None:
    """GET requests are answered."""
    async with in_maintenance(admin):
        assert (await admin.get(path)).status_code == 200


async def test_other_projects_are_not_affected(here: Platform, admin: httpx.AsyncClient) -> None:
    """Promise 7: tenants never meet. The maintenance of one doesn't affect another."""
    async with in_maintenance(admin), here.client(ADMIN, "ADMIN", OTHER) as other:
        answer = await other.delete("/settings/app_sub_order_duration")

    assert answer.status_code == 200


async def test_maintenance_is_checked_before_the_role(
    here: Platform, admin: httpx.AsyncClient
) -> None:
    """Like the reference's filters: maintenance is checked before the role."""
    async with in_maintenance(admin), here.client("jane@example.org", tenant=TENANT) as jane:
        answer = await jane.delete("/settings/app_sub_order_duration")

    assert (answer.status_code, answer.json()) == REFUSED


async def test_a_basket_stays_as_it_is(here: Platform, admin: httpx.AsyncClient) -> None:
    """Its changes find out about maintenance with their first statement, and can be read all the time."""
    search = {"engineType": "legacy", "searchParameters": {"q": ["*"]}}
    async with here.client(new_user(here), tenant=TENANT) as jane, in_maintenance(admin):
        answer = await jane.post("/order/basket/selection", json=search)
        read = await jane.get("/order/basket")

    assert (answer.status_code, answer.json()) == REFUSED
    assert answer.headers["Retry-After"] == "300"
    assert read.status_code == 204


async def test_disable_ends_the_maintenance(admin: httpx.AsyncClient) -> None:
    """``disable`` is the only change that is accepted."""
    async with in_maintenance(admin):
        ended = await admin.put(f"/maintenance/{TENANT}/disable")

    assert (ended.status_code, ended.content) == (200, b"")
    assert (await admin.delete("/settings/app_sub_order_duration")).status_code == 200


async def test_instances_agree_at_once(here: Platform, admin: httpx.AsyncClient) -> None:
    """The state is in the database, so another instance's change holds for the next request."""
    await here.rows(
        "update rs_order.tenant set maintenance = true where name = $1 returning name", TENANT
    )

    answer = await admin.delete("/settings/app_sub_order_duration")

    assert (answer.status_code, answer.json()) == REFUSED


async def test_health_names_the_tenants_and_stays_up(admin: httpx.AsyncClient) -> None:
    """OUT_OF_SERVICE names the tenants. The service is UP, since it serves the others (rest.md 11.7)."""

    async def reported(expected: dict[str, object]) -> httpx.Response | None:
        answer = await admin.get("/actuator/health")
        return answer if answer.json()["components"]["maintenance"] == expected else None

    # A check answers for a second.
    await eventually(lambda: reported({"status": "UP"}), "no tenant is in maintenance")
    async with in_maintenance(admin):
        named: dict[str, object] = {"status": "OUT_OF_SERVICE", "details": {"tenant": TENANT}}
        answer = await eventually(lambda: reported(named), "the tenant is named")

    assert (answer.status_code, answer.json()["status"]) == (200, "UP")


@pytest.mark.parametrize(
    ("role", "tenant", "target", "status"),
    [
        ("PROJECT_ADMIN", OTHER, TENANT, 403),
        ("PROJECT_ADMIN", TENANT, TENANT, 200),
        ("INSTANCE_ADMIN", "instance", TENANT, 200),
        ("ROLE_SYS_rs-admin", OTHER, TENANT, 200),
        ("ADMIN", TENANT, TENANT, 403),
        ("REGISTERED_USER", TENANT, TENANT, 403),
        ("INSTANCE_ADMIN", "instance", "nowhere", 404),
        ("INSTANCE_ADMIN", "instance", "no%20where%00", 404),
    ],
)
@pytest.mark.usefixtures("admin")
async def test_who_may_switch(
    here: Platform, role: str, tenant: str, target: str, status: int
) -> None:
    """Project administrators their own project, instance administrators all; an unknown one is 404."""
    async with here.client(ADMIN, role, tenant) as client:
        disabled = await client.put(f"/maintenance/{target}/disable")
        enabled = await client.put(f"/maintenance/{target}/enable")

    assert (disabled.status_code, enabled.status_code) == (status, status)


async def test_messages_are_still_handled(here: Platform, admin: httpx.AsyncClient) -> None:
    """Maintenance only affects REST; orders over AMQP are processed."""
    async with here.client(ADMIN, "INSTANCE_ADMIN", "instance") as instance:
        await instance.put(f"/maintenance/{OTHER}/enable")
        try:
            done = await here.peer.until_final(await here.peer.order(EVE_01, user=new_user(here)))
        finally:
            await instance.put(f"/maintenance/{OTHER}/disable")

    assert done.body["status"] == "DONE"
