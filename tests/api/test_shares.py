"""Shares and the queue over HTTP."""

from typing import Any

import pytest

from tests.acceptance.platform import Platform

TENANT, OTHER = "project2", "project1"


async def test_weights_are_set_listed_and_previewed(here: Platform) -> None:
    """Administrators of a project set those of its users and roles, those of the instance all."""
    user = {"user": "weighty@example.org", "weight": 2.5, "reason": "a campaign"}
    async with here.client("eve@example.org", "PROJECT_ADMIN", TENANT) as eve:
        preview = await eve.post("/shares/preview", json=user)
        changed = await eve.put("/shares", json=user)
        listed = (await eve.get("/shares")).json()
        queue = await eve.get("/queue")
        rejected = [
            await eve.put("/shares", json={"weight": 2, "reason": "of the project"}),
            await eve.put("/shares", json={**user, "tenant": OTHER}),
            await eve.get(f"/shares?tenant={OTHER}"),
        ]
    async with here.client("root@example.org", "INSTANCE_ADMIN", "instance") as root:
        weight = {"tenant": TENANT, "reason": "pays for it"}
        project = await root.put("/shares", json={**weight, "weight": 2})
        of_project = (await root.get(f"/shares?tenant={TENANT}")).json()["shares"]
        await root.put("/shares", json=weight)
        unknown = await root.get("/shares")

    nobody_waits = {"limit": 0, "used": 0, "promised": 0, "next": []}
    for answer in (preview, changed, queue, project):
        assert (answer.status_code, answer.json()["next"]) == (200, nobody_waits["next"])
        assert answer.json().keys() == nobody_waits.keys()
    assert listed["tenant"] == TENANT
    assert {"kind": "user", "name": user["user"], "weight": 2.5, "usedBytes": 0} in listed["shares"]
    assert [answer.status_code for answer in rejected] == [403, 403, 403]
    assert {"kind": "tenant", "name": TENANT, "weight": 2.0, "usedBytes": 0} in of_project
    assert unknown.status_code == 404


@pytest.mark.parametrize(
    ("wanted", "status", "code"),
    [
        ({"weight": 0}, 422, "weight-out-of-range"),
        ({"weight": 1e9}, 422, "weight-out-of-range"),
        ({"reason": ""}, 422, "reason-missing"),
        ({"role": "ADMIN"}, 422, "weight-of-two"),
        ({"weight": "heavy"}, 400, "malformed-request"),
        ({"reason": None}, 400, "malformed-request"),
        ({"share": 1}, 400, "malformed-request"),
    ],
)
async def test_a_bad_weight_changes_nothing(
    here: Platform, wanted: dict[str, Any], status: int, code: str
) -> None:
    """The answer has a code and a sentence."""
    good = {"user": "bad@example.org", "weight": 1, "reason": "a campaign"}
    async with here.client("eve@example.org", "PROJECT_ADMIN", TENANT) as eve:
        answer = await eve.put("/shares", json={**good, **wanted})
        listed = (await eve.get("/shares")).json()["shares"]

    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert len(answer.json()["messages"][0]) > 10
    assert "bad@example.org" not in [one["name"] for one in listed]


async def test_limits_are_set_listed_and_previewed(here: Platform) -> None:
    """Administrators of a project set those of its users, those of the instance all."""
    none = {"subOrders": 0, "files": 0, "bytes": 0}
    users = {"kind": "user", "files": 10**6, "reason": "a campaign"}
    async with here.client("eve@example.org", "PROJECT_ADMIN", TENANT) as eve:
        preview = await eve.post("/limits/preview", json=users)
        before = (await eve.get("/limits")).json()
        changed = await eve.put("/limits", json=users)
        listed = (await eve.get("/limits")).json()
        rejected = [
            await eve.put("/limits", json={**users, "kind": "tenant"}),
            await eve.put("/limits", json={**users, "tenant": OTHER}),
            await eve.get(f"/limits?tenant={OTHER}"),
        ]
    async with here.client("root@example.org", "INSTANCE_ADMIN", "instance") as root:
        limit = {"tenant": TENANT, "kind": "tenant", "reason": "a small library"}
        project = await root.put("/limits", json={**limit, "bytes": 10**15})
        of_project = (await root.get(f"/limits?tenant={TENANT}")).json()
        for kind in ("tenant", "user"):
            await root.put("/limits", json={**limit, "kind": kind})
        after = (await root.get(f"/limits?tenant={TENANT}")).json()
        unknown = await root.get("/limits")

    for answer in (preview, changed, project):
        assert (answer.status_code, answer.json()["next"]) == (200, [])
    assert (before["ofUser"], before["ofTenant"], before["ofService"]) == (none, none, none)
    assert listed["ofUser"] == {**none, "files": 10**6}
    assert [answer.status_code for answer in rejected] == [403, 403, 403]
    assert of_project["ofTenant"] == {**none, "bytes": 10**15}
    assert (after["ofUser"], after["ofTenant"]) == (none, none)
    assert unknown.status_code == 404


@pytest.mark.parametrize(
    ("wanted", "status", "code"),
    [
        ({"files": -1}, 422, "limit-out-of-range"),
        ({"bytes": 10**18 + 1}, 422, "limit-out-of-range"),
        ({"subOrders": 2**70}, 400, "malformed-request"),
        ({"reason": ""}, 422, "reason-missing"),
        ({"kind": "role"}, 400, "malformed-request"),
        ({"kind": None}, 400, "malformed-request"),
        ({"files": "many"}, 400, "malformed-request"),
        ({"files": 1.5}, 400, "malformed-request"),
        ({"weight": 1}, 400, "malformed-request"),
    ],
)
async def test_a_bad_limit_changes_nothing(
    here: Platform, wanted: dict[str, Any], status: int, code: str
) -> None:
    """The answer has a code and a sentence."""
    async with here.client("eve@example.org", "PROJECT_ADMIN", TENANT) as eve:
        before = (await eve.get("/limits")).json()
        answer = await eve.put("/limits", json={"kind": "user", "reason": "a campaign", **wanted})
        preview = await eve.post(
            "/limits/preview", json={"kind": "user", "reason": "a campaign", **wanted}
        )
        after = (await eve.get("/limits")).json()

    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert preview.status_code == (200 if code == "reason-missing" else status)
    assert len(answer.json()["messages"][0]) > 10
    assert after == before
