"""The links of an order show the actions that are possible (rest.md 5.6)."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from rs_order.sandbox.faults import Outage, OutageMode, Service
from rs_order.sandbox.user_directory import User
from tests.acceptance.platform import Platform
from tests.acceptance.shared_platform import new_user
from tests.api.given import given_order, given_task

EXTRAS = [
    ("PENDING", "", ["pause"]),
    ("PENDING", "pa", ["pause"]),
    ("RUNNING", "p", ["pause"]),
    ("RUNNING", "pa", ["download", "pause"]),
    ("PAUSED", "pa", ["download", "resume", "delete"]),
    ("PAUSED", "p", ["resume", "delete"]),
    ("EXPIRED", "aa", ["delete"]),
    ("DONE", "a", ["download", "delete", "restart"]),
    ("DONE", "d", ["delete", "restart"]),
    ("DONE_WITH_WARNING", "ae", ["download", "delete", "restart", "retry"]),
    ("FAILED", "e", ["delete", "restart", "retry"]),
    ("DELETED", "a", ["remove"]),
    ("ERROR", "a", ["download", "delete"]),
]
"""Status, files, expected links. EXPIRED orders have no files; ERROR orders can be deleted (decisions.md).

The files of a PENDING order are not all known yet, so none is offered.
"""
TARGETS = {
    "self": "/user/orders/{}",
    "list": "/user/orders",
    "download": "/user/orders/{}/download",
    "pause": "/user/orders/pause/{}",
    "resume": "/user/orders/resume/{}",
    "delete": "/user/orders/{}",
    "remove": "/user/orders/remove/{}",
    "restart": "/user/orders/{}/restart",
    "retry": "/user/orders/{}/retry",
}


def expiry_date(status: str) -> datetime | None:
    """Return the expiry date, which an order has once all its files are known."""
    return None if status == "PENDING" else datetime(2100, 1, 1, tzinfo=UTC)


async def links_of(here: Platform, order: int, email: str, role: str) -> dict[str, str]:
    """Return the links by relation, in the order of the response, without the service's address."""
    async with here.client(email, role) as client:
        answer = await client.get(f"/user/orders/{order}")
    base = f"http://127.0.0.1:{here.port}"
    return {link["rel"]: link["href"].removeprefix(base) for link in answer.json()["links"]}


def administrator(here: Platform, role: str = "PROJECT_ADMIN") -> str:
    """Add a user whom rs-admin knows as an administrator and return their e-mail address."""
    user = User(email=f"{uuid4().hex[:12]}@example.org", role=role)
    here.sandbox.directory.put(user)
    return user.email


@pytest.mark.parametrize(("status", "files", "extras"), EXTRAS)
async def test_links_of_the_owner(
    status: str, files: str, extras: list[str], here: Platform
) -> None:
    """They equal the contract's table, without ``remove`` (rest.md 14, links)."""
    jane = new_user(here)
    order = await given_order(here, jane, status, files=files, expires_at=expiry_date(status))
    links = await links_of(here, order, jane, "REGISTERED_USER")
    expected = ["self", "list", *(rel for rel in extras if rel != "remove")]

    assert links == {rel: TARGETS[rel].format(order) for rel in expected}
    assert list(links) == expected


@pytest.mark.parametrize(("status", "files", "extras"), EXTRAS)
@pytest.mark.parametrize("role", ["PROJECT_ADMIN", "INSTANCE_ADMIN"])
async def test_links_of_an_administrator(
    role: str, status: str, files: str, extras: list[str], here: Platform
) -> None:
    """They equal the owner's, with ``remove`` for a deleted order (rest.md 14, links)."""
    order = await given_order(
        here, new_user(here), status, files=files, expires_at=expiry_date(status)
    )
    links = await links_of(here, order, administrator(here), role)

    assert list(links) == ["self", "list", *extras]
    assert links == {rel: TARGETS[rel].format(order) for rel in links}


async def test_an_order_that_was_paused_while_its_files_were_read_offers_no_download(
    here: Platform,
) -> None:
    """It has no expiry date yet."""
    jane = new_user(here)
    order = await given_order(here, jane, "PAUSED", files="pa", expires_at=None)
    links = await links_of(here, order, jane, "REGISTERED_USER")

    assert list(links) == ["self", "list", "resume", "delete"]


@pytest.mark.parametrize("status", ["DONE_WITH_WARNING", "FAILED"])
async def test_a_processed_order_cannot_be_retried(status: str, here: Platform) -> None:
    """One dataset with a process rules out a retry."""
    jane = new_user(here)
    order = await given_order(here, jane, status, files="e")
    await given_task(here, order, "a")
    await given_task(here, order, "b", process_id=uuid4(), process_parameters="{}")

    assert "retry" not in await links_of(here, order, jane, "REGISTERED_USER")


async def test_the_link_remove_is_for_administrators_of_rs_admin(here: Platform) -> None:
    """An administrator's role in the token isn't enough (rest.md 2.4)."""
    order = await given_order(here, new_user(here), "DELETED")

    assert "remove" not in await links_of(here, order, new_user(here), "PROJECT_ADMIN")
    assert "remove" in await links_of(here, order, administrator(here, "ADMIN"), "PROJECT_ADMIN")


@pytest.mark.parametrize("mode", [OutageMode.DOWN, OutageMode.STATUS, OutageMode.GARBAGE])
async def test_a_failing_rs_admin_only_hides_a_link(mode: OutageMode, here: Platform) -> None:
    """The order is shown without ``remove``; the link returns with the next good response."""
    order, alan = await given_order(here, new_user(here), "DELETED"), administrator(here)
    here.sandbox.faults.outages = {Service.ADMIN: Outage(mode=mode)}

    assert list(await links_of(here, order, alan, "PROJECT_ADMIN")) == ["self", "list"]

    here.sandbox.faults.outages = {}

    assert list(await links_of(here, order, alan, "PROJECT_ADMIN")) == ["self", "list", "remove"]


async def test_w32_rs_admin_is_called_once_for_a_page_of_any_size(here: Platform) -> None:
    """Links need no further call or SQL statement per order."""
    jane, alan = new_user(here), administrator(here)
    for _ in range(5):
        await given_order(here, jane, "DELETED")
    before = here.sandbox.calls.counters[Service.ADMIN]
    async with here.client(alan, "PROJECT_ADMIN") as client:
        for _ in range(2):
            answer = await client.post("/orders/search", json={"owner": jane})
            last = [item["links"][-1]["rel"] for item in answer.json()["content"]]

            assert last == ["remove"] * 5

    assert here.sandbox.calls.counters[Service.ADMIN] == before + 1


async def test_links_have_the_address_that_the_caller_uses(here: Platform) -> None:
    """Behind a gateway they have its scheme, host, port and prefix (rest.md 1.2)."""
    jane = new_user(here)
    order = await given_order(here, jane, "DONE")
    async with here.client(jane) as client:
        answer = await client.get(
            f"/user/orders/{order}",
            headers={
                "X-Forwarded-Proto": "https",
                "X-Forwarded-Host": "regards.example.org",
                "X-Forwarded-Port": "443",
                "X-Forwarded-Prefix": "/api/v1/rs-order",
            },
        )

    assert answer.json()["links"][0] == {
        "rel": "self",
        "href": f"https://regards.example.org/api/v1/rs-order/user/orders/{order}",
    }
