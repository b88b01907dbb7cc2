"""The audit over HTTP: what is recorded, who may read it, pages and CSV."""

import csv
import json
from uuid import uuid4

import httpx
import pytest

from rs_order.sandbox.user_directory import User
from tests.acceptance.platform import Platform
from tests.acceptance.shared_platform import EVE_01, new_user

TENANT, OTHER = "project2", "project1"
SETTING = "app_sub_order_duration"


@pytest.fixture
def boss() -> str:
    """Return the e-mail of an administrator whose acts no other test has done."""
    return f"=boss-{uuid4().hex[:12]}@example.org"


async def found(here: Platform, query: str, tenant: str = TENANT) -> httpx.Response:
    async with here.client("eve@example.org", "PROJECT_ADMIN", tenant) as client:
        return await client.get(f"/audit{query}")


async def test_settings_imports_and_maintenance_are_audited(here: Platform, boss: str) -> None:
    """With who, when, how, before and after; a request that changes nothing leaves no entry."""
    imported = {
        "microservice": "rs-order",
        "modules": [
            {
                "module": {"id": "order"},
                "configuration": [
                    {
                        "key": "fr.cnes.regards.framework.modules.tenant.settings.domain."
                        "DynamicTenantSetting",
                        "value": {"name": SETTING, "value": "6"},
                    }
                ],
            }
        ],
    }
    async with here.client(boss, "PROJECT_ADMIN", TENANT) as client:
        client.headers["correlation-id"] = "gateway-1"
        for _ in range(2):
            await client.put(f"/settings/{SETTING}", json={"value": 5})
        file = {"file": ("config.json", json.dumps(imported).encode())}
        assert (await client.post("/microservice/configuration", files=file)).status_code == 201
        await client.delete(f"/settings/{SETTING}")
        for switch in ("enable", "disable"):
            await client.put(f"/maintenance/{TENANT}/{switch}")

    entries = (await found(here, f"?actor={boss}")).json()["content"]
    acts = [(one["action"], one.get("before"), one.get("after")) for one in reversed(entries)]
    assert acts == [
        ("setting.changed", None, 5),
        ("setting.changed", 5, 6),
        ("setting.reset", 6, None),
        ("maintenance.switched", False, True),
        ("maintenance.switched", True, False),
    ]
    assert entries[-2]["reason"] == "import of a configuration"
    common = ("tenant", "actor", "role", "door", "correlationId")
    assert {tuple(one[name] for name in common) for one in entries} == {
        (TENANT, boss, "PROJECT_ADMIN", "rest", "gateway-1")
    }


async def test_the_audit_has_what_others_do_with_an_order(here: Platform) -> None:
    """An act of the owner is in the history of the order. The audit has no entry of it."""
    owner, admin = new_user(here), f"{uuid4().hex[:12]}@example.org"
    here.sandbox.directory.put(User(email=admin, role="ADMIN"))
    done = await here.peer.until_final(await here.peer.order(EVE_01, user=owner))
    order = done.body["orderId"]
    async with here.client(admin, "ADMIN") as client:
        again = await client.post(f"/user/orders/{order}/restart", json={"label": uuid4().hex[:20]})
        await client.delete(f"/user/orders/{order}")
    async with here.client(owner) as client:
        await client.put(f"/user/orders/pause/{again.json()['content']['id']}")

    entries = (await found(here, f"?actor={admin}", OTHER)).json()["content"]
    owners = (await found(here, f"?actor={owner}", OTHER)).json()["content"]
    deleted, restarted = entries
    assert (deleted["action"], deleted["objectKind"]) == ("order.deleted", "order")
    assert deleted["objectId"] == str(order)
    assert deleted["before"] == {"status": "DONE", "owner": owner}
    assert deleted["after"] == {"status": "DELETED"}
    assert restarted["action"] == "order.restarted"
    assert restarted["after"]["newOrder"] == again.json()["content"]["id"]
    assert owners == []


async def test_only_instance_administrators_see_other_projects(here: Platform, boss: str) -> None:
    """Others get the entries of their own project, and 403 if they ask for another's."""
    async with here.client(boss, "PROJECT_ADMIN", TENANT) as client:
        await client.put(f"/settings/{SETTING}", json={"value": 7})
        await client.delete(f"/settings/{SETTING}")

    own = await found(here, f"?actor={boss}")
    elsewhere = await found(here, f"?actor={boss}", OTHER)
    asked = await found(here, f"?actor={boss}&tenant={TENANT}", OTHER)
    async with here.client("root@example.org", "INSTANCE_ADMIN", "instance") as client:
        every = await client.get("/audit", params={"actor": boss})
    assert [len(one.json()["content"]) for one in (own, elsewhere, every)] == [2, 0, 2]
    assert asked.status_code == 403


async def test_pages_and_csv_have_the_same_entries(here: Platform, boss: str) -> None:
    """The link ``next`` keeps the filter; cells that a spreadsheet would run are made harmless."""
    async with here.client(boss, "PROJECT_ADMIN", TENANT) as client:
        for hours in (3, 4, 5):
            await client.put(f"/settings/{SETTING}", json={"value": hours})
        await client.delete(f"/settings/{SETTING}")
        query = f"?actor={boss}&action=setting&objectKind=setting&objectId={SETTING}"

        first = (await client.get(f"/audit{query}&size=3")).json()
        (following,) = [one["href"] for one in first["links"] if one["rel"] == "next"]
        second = (await client.get(following)).json()
        lines = (await client.get(f"/audit/csv{query}")).text.splitlines()
        none = await client.get(f"/audit{query}&to=2020-01-01T00:00:00Z")

    pages = [one.get("after") for one in (*first["content"], *second["content"])]
    rows = list(csv.DictReader(lines, delimiter=";"))
    assert pages == [None, 5, 4, 3]
    assert [row["AFTER"] for row in rows] == ["", "5", "4", "3"]
    assert {row["ACTOR"] for row in rows} == {f"'{boss}"}
    assert none.json()["content"] == []


@pytest.mark.parametrize("query", ["?size=0", "?after=x", "?from=yesterday", "?actor=%00"])
async def test_a_parameter_that_cannot_be_read(here: Platform, query: str) -> None:
    """400 names it, before the database is asked."""
    answer = await found(here, query)

    name = query[1:].partition("=")[0]
    assert (answer.status_code, answer.json()["messages"][0][: len(name)]) == (400, name)
