"""The page of the audit."""

import csv

from playwright.async_api import Browser, expect

from tests.acceptance.platform import Platform
from tests.acceptance.shared_platform import new_user
from tests.console.browsing import PHONE, Visitor, proof_in, session
from tests.console.silent_orders import ordered
from tests.console.test_letters import ADMIN, HOSTILE, dead_letter


async def test_an_act_is_found_with_before_after_and_reason(
    here: Platform, browser: Browser
) -> None:
    """A reason with markup is text; the phone shows the same as the desk."""
    letter = await dead_letter(here)
    async with session(here, ADMIN, "PROJECT_ADMIN") as client:
        page = await client.get(f"/console/dead-letters/{letter}")
        sent = {"csrf": proof_in(page.text), "because": HOSTILE}
        await client.post(
            f"/console/dead-letters/{letter}/discard", data=sent, headers={"Origin": here.url}
        )
    async with Visitor.at(browser, here.url, PHONE) as visitor:
        await visitor.sign_in(ADMIN, to=f"audit?object={letter}&action=dead-letter.discarded")
        main = visitor.page.locator("main")

        assert await visitor.page.locator("tbody tr").count() == 1
        await expect(main).to_contain_text("discarded a dead letter")
        await expect(main).to_contain_text("state: open")
        await expect(main).to_contain_text("<script>alert(1)</script>")
        assert await visitor.violations() == []
        assert await visitor.overflow() == 0
        assert visitor.complaints == []


async def test_the_audit_is_exported(here: Platform) -> None:
    jane = new_user(here)
    here.sandbox.faults.silence = True
    order = await ordered(here, jane)
    async with session(here, ADMIN, "PROJECT_ADMIN") as client:
        page = await client.get(f"/console/orders/{order}")
        sent = {"csrf": proof_in(page.text)}
        await client.post(f"/console/orders/{order}/pause", data=sent, headers={"Origin": here.url})
        answer = await client.get(f"/console/audit.csv?object={order}")

    lines = list(csv.DictReader(answer.text.splitlines(), delimiter=";"))
    assert [(line["ACTOR"], line["ACTION"]) for line in lines] == [(ADMIN, "order.paused")]


async def test_other_projects_stay_unseen(here: Platform) -> None:
    """Whatever an administrator of one project asks for, it is of theirs."""
    async with session(here, ADMIN, "PROJECT_ADMIN") as client:
        other = await client.get("/console/audit?project=project2&since=never")
    async with session(here, new_user(here)) as client:
        user = await client.get("/console/audit")

    assert other.status_code == 200
    assert "project2" not in other.text.replace("project=project2", "")
    assert user.status_code == 403
