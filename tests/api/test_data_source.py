"""The database of a project, and the list of resources (rest.md 11.4, 11.6)."""

import httpx
import pytest

from rs_order.rest.resources import RESOURCES
from tests.acceptance.platform import Platform

PROPERTIES = {
    "Max connections",
    "Min idle connections",
    "Idle timeout",
    "Total connections",
    "Idle connections",
    "Active connection",
}


async def test_a_database_that_answers(here: Platform) -> None:
    """A project administrator tests the own project, an instance administrator any."""
    for role, tenant in (("ADMIN", "project1"), ("INSTANCE_ADMIN", "instance")):
        async with here.client("admin@example.org", role, tenant) as client:
            answer = await client.get("/regards/project1/datasource/test")

        assert (answer.status_code, answer.json()) == (
            200,
            {"message": "The database of project1 answers", "properties": {}},
        )


async def test_a_database_that_is_broken(here: Platform) -> None:
    """400 with a message while the project's schema is missing; 200 once it is restored."""
    async with here.client("admin@example.org", "ADMIN", "project2") as client:
        await here.execute("alter schema order_project2 rename to elsewhere")
        try:
            answer = await client.get("/regards/project2/datasource/test")
        finally:
            await here.execute("alter schema elsewhere rename to order_project2")
        mended = await client.get("/regards/project2/datasource/test")

    assert answer.status_code == 400
    assert answer.json() == {
        "message": "The database of project2 doesn't answer: UndefinedTableError",
        "properties": {},
    }
    assert mended.status_code == 200


@pytest.mark.parametrize(
    ("role", "tenant", "target", "status"),
    [
        ("INSTANCE_ADMIN", "instance", "nowhere", 400),
        ("ADMIN", "project1", "project2", 403),
        ("REGISTERED_USER", "project1", "project1", 403),
    ],
)
async def test_databases_that_are_not_tested(
    here: Platform, role: str, tenant: str, target: str, status: int
) -> None:
    """An unknown one, another project's (promise 7), and any for users."""
    async with here.client("admin@example.org", role, tenant) as client:
        answer = await client.get(f"/regards/{target}/datasource/test")

    assert answer.status_code == status


async def test_the_use_of_connections(here: Platform) -> None:
    """Public for every caller with a scope; the figures are consistent."""
    async with httpx.AsyncClient(base_url=here.url, trust_env=False, timeout=60) as client:
        answer = await client.get("/regards/project1/datasource/status?scope=project1")

    properties = answer.json()["properties"]
    assert (answer.status_code, set(properties)) == (200, PROPERTIES)
    assert properties["Max connections"] == here.settings.database_pool_size
    assert properties["Total connections"] == (
        properties["Idle connections"] + properties["Active connection"]
    )
    assert 0 < properties["Total connections"] <= properties["Max connections"]
    assert properties["Idle timeout"] == 300_000


async def test_the_use_of_connections_of_an_unknown_project(here: Platform) -> None:
    async with httpx.AsyncClient(base_url=here.url, trust_env=False, timeout=60) as client:
        answer = await client.get("/regards/nowhere/datasource/status?scope=project1")

    assert (answer.status_code, answer.json()) == (
        400,
        {"messages": ["There is no project nowhere here"]},
    )


async def test_the_list_of_resources(here: Platform) -> None:
    """Every endpoint with access rights, in rs-admin's format, without this endpoint itself."""
    async with httpx.AsyncClient(base_url=here.url, trust_env=False, timeout=60) as client:
        answer = await client.get("/security/resources?scope=anything")

    listed = {(one["fullPath"], one["method"]): one for one in answer.json()}
    assert answer.status_code == 200
    assert set(listed) == {(resource.template, resource.verb) for resource in RESOURCES}
    assert listed["/user/orders/{orderId}", "GET"] == {
        "resourceAccess": {"role": "REGISTERED_USER", "description": "Get an order"},
        "fullPath": "/user/orders/{orderId}",
        "controllerSimpleName": "OrderController",
        "method": "GET",
        "authorizedRoles": [{"autority": "ROLE_REGISTERED_USER", "authorizedIpAdresses": []}],
    }


async def test_the_list_of_resources_needs_a_caller(here: Platform) -> None:
    async with httpx.AsyncClient(base_url=here.url, trust_env=False, timeout=60) as client:
        assert (await client.get("/security/resources")).status_code == 401
