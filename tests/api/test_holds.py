"""Holds over HTTP: who may hold what, pages, and the answers to bad input."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.acceptance.platform import Platform

TENANT, OTHER = "project2", "project1"
UNTIL = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
REPAIR = {"reason": "repair", "until": UNTIL}


@pytest.fixture
async def root(here: Platform) -> AsyncIterator[httpx.AsyncClient]:
    """An administrator of the instance. After the test nothing is held."""
    async with here.client("root@example.org", "INSTANCE_ADMIN", "instance") as client:
        yield client
        for hold in (await client.get("/holds")).json()["content"]:
            assert (await client.delete(f"/holds/{hold['id']}")).status_code == 200


@pytest.fixture
async def eve(here: Platform) -> AsyncIterator[httpx.AsyncClient]:
    """An administrator of the project."""
    async with here.client("eve@example.org", "PROJECT_ADMIN", TENANT) as client:
        yield client


async def test_a_project_is_held_listed_and_released(
    here: Platform, root: httpx.AsyncClient, eve: httpx.AsyncClient
) -> None:
    """Administrators of a project see and end the holds of their own, those of the instance all."""
    own = await eve.post("/holds", json=REPAIR)
    others = await root.post("/holds", json={**REPAIR, "tenant": OTHER})
    seen = [one.json()["content"] for one in (await eve.get("/holds"), await root.get("/holds"))]
    page = (await root.get("/holds?size=1")).json()
    (following,) = [one["href"] for one in page["links"] if one["rel"] == "next"]
    second = (await root.get(following)).json()
    foreign = [
        await eve.post("/holds", json={**REPAIR, "tenant": OTHER}),
        await eve.get(f"/holds?tenant={OTHER}"),
        await eve.delete(f"/holds/{others.json()['content']['id']}"),
    ]
    ended = await eve.delete(f"/holds/{own.json()['content']['id']}?reason=repaired")
    again = await eve.delete(f"/holds/{own.json()['content']['id']}")

    assert (own.status_code, others.status_code, ended.status_code) == (201, 201, 200)
    content = own.json()["content"]
    assert {name: content[name] for name in ("tenant", "by", "reason", "until")} == {
        "tenant": TENANT,
        "by": "eve@example.org",
        **REPAIR,
    }
    assert seen == [[content], [content, others.json()["content"]]]
    assert [page["content"], second["content"]] == [[content], [others.json()["content"]]]
    assert [answer.status_code for answer in foreign] == [403, 403, 404]
    assert (ended.json()["content"], again.json()["code"]) == (content, "unknown-hold")


@pytest.mark.parametrize(
    ("wanted", "status", "code"),
    [
        ({"until": "2020-01-01T00:00:00Z"}, 422, "hold-has-ended"),
        ({"reason": " "}, 422, "reason-missing"),
        ({"reason": "x" * 501}, 422, "reason-too-long"),
        ({"user": "jane@example.org", "orderId": 1}, 422, "hold-of-two"),
        ({"orderId": 2**62}, 404, "nothing-to-hold"),
        ({"user": "nobody@example.org"}, 404, "nothing-to-hold"),
        ({"tenant": "nowhere"}, 404, None),
        ({"until": "tomorrow"}, 400, "malformed-request"),
        ({"until": None}, 400, "malformed-request"),
        ({"orderId": 2**70}, 400, "malformed-request"),
        ({"owner": "jane@example.org"}, 400, "malformed-request"),
    ],
)
async def test_a_bad_hold_changes_nothing(
    root: httpx.AsyncClient, wanted: dict[str, Any], status: int, code: str | None
) -> None:
    """The answer has a code and a sentence; a member that doesn't exist is rejected, too."""
    answer = await root.post("/holds", json={"tenant": TENANT, **REPAIR, **wanted})

    assert (answer.status_code, answer.json().get("code")) == (status, code), answer.text
    assert len(answer.json()["messages"][0]) > 10
    assert (await root.get("/holds")).json()["content"] == []
