"""The page of the queue: shares, limits and holds, each changed after a preview."""

import pytest
from playwright.async_api import Browser, expect

from tests.acceptance.platform import Platform
from tests.acceptance.shared_platform import new_user
from tests.api.given import given_order
from tests.console.browsing import DESK, PHONE, Visitor, proof_in, session
from tests.console.test_letters import ADMIN, HOSTILE


@pytest.mark.parametrize("phone", [False, True], ids=["desk", "phone"])
async def test_a_weight_is_previewed_set_and_taken_back(
    here: Platform, browser: Browser, phone: bool
) -> None:
    jane = new_user(here)
    async with Visitor.at(browser, here.url, PHONE if phone else DESK) as visitor:
        page = visitor.page
        main = page.locator("main")
        await visitor.sign_in(ADMIN, to="queue")
        assert await visitor.violations() == []
        assert await visitor.overflow() == 0
        form = page.locator("form[action$='/queue/share']")
        await page.locator("#share-user").fill(jane)
        await page.locator("#share-weight").fill("2.5")
        await page.locator("#share-reason").fill(HOSTILE)
        await form.get_by_role("button", name="Preview").click()
        await expect(main).to_contain_text("Who would start next with this weight")
        await expect(page.locator("#share-weight")).to_have_value("2.5")
        assert await visitor.violations() == []
        await form.get_by_role("button", name="Set the weight").click()

        await expect(main).to_contain_text("The weight is set.")
        await expect(main).to_contain_text(jane)
        assert await visitor.overflow() == 0
        assert visitor.complaints == []
    (entry,) = await here.rows(
        "select actor, reason from rs_order.audit where action = 'weight.changed'"
        " order by id desc limit 1"
    )
    assert (entry["actor"], entry["reason"]) == (ADMIN, HOSTILE)
    async with session(here, ADMIN, "PROJECT_ADMIN") as client:
        proof = proof_in((await client.get("/console/queue")).text)
        sent = {"csrf": proof, "user": jane, "weight": "", "reason": "over"}
        await client.post("/console/queue/share", data=sent, headers={"Origin": here.url})


async def test_a_user_is_held_and_let_go(here: Platform, visitor: Visitor) -> None:
    jane = new_user(here)
    await given_order(here, jane, "RUNNING", label="Held", files="p")
    await visitor.sign_in(ADMIN, to="queue")
    main = visitor.page.locator("main")
    await visitor.page.locator("#hold-user").fill(jane)
    await visitor.page.locator("#hold-reason").fill("tape library in repair")
    await visitor.page.get_by_role("button", name="Hold").click()
    await expect(main).to_contain_text("It is held.")
    await expect(main).to_contain_text("tape library in repair")
    assert await visitor.violations() == []
    row = visitor.page.locator("tr", has_text=jane)
    await row.get_by_role("button", name="End the hold").click()

    await expect(main).to_contain_text("has ended.")


async def test_limits_are_set_and_taken_back(here: Platform, visitor: Visitor) -> None:
    await visitor.sign_in(ADMIN, to="queue")
    main = visitor.page.locator("main")
    for files, shown in (("500", "500 files"), ("0", "none")):
        await visitor.page.locator("#limit-files").fill(files)
        await visitor.page.locator("#limit-reason").fill("a campaign")
        await visitor.page.get_by_role("button", name="Set the limits").click()
        await expect(main).to_contain_text("The limits are set.")
        row = visitor.page.locator("tr", has_text="each user of the project")
        await expect(row).to_contain_text(shown)


async def test_an_administrator_of_the_instance_limits_a_whole_project(here: Platform) -> None:
    """They choose the project. One of a project is offered no such form, and sending it anyway is refused."""
    limits = {"sub_orders": "7", "reason": "a campaign"}
    async with session(here, "root@example.org", "INSTANCE_ADMIN", "instance") as client:
        page = (await client.get("/console/queue?project=project2")).text
        sent = {"csrf": proof_in(page), "project": "project2", **limits}
        headers = {"Origin": here.url}
        preview = await client.post(
            "/console/queue/project-limit/preview", data=sent, headers=headers
        )
        made = await client.post("/console/queue/project-limit", data=sent, headers=headers)
        said = (await client.get(made.headers["Location"])).text
        stored = await here.rows("select tenant, kind, sub_orders from rs_order.storage_limit")
        none = {**sent, "sub_orders": "0"}
        await client.post("/console/queue/project-limit", data=none, headers=headers)
    async with session(here, ADMIN, "PROJECT_ADMIN") as client:
        own = (await client.get("/console/queue")).text
        sent = {"csrf": proof_in(own), **limits}
        refused = await client.post("/console/queue/project-limit", data=sent, headers=headers)

    assert "Who would start next with these limits of the project" in preview.text
    assert "The limits of the project are set." in said
    assert [tuple(row) for row in stored] == [("project2", "tenant", 7)]
    assert "/queue/project-limit" not in own
    assert refused.status_code == 403


async def test_what_breaks_a_rule_is_said(here: Platform) -> None:
    async with session(here, ADMIN, "PROJECT_ADMIN") as client:
        proof = proof_in((await client.get("/console/queue")).text)
        said = []
        for path, fields in (
            ("share", {"user": "jane@example.org", "weight": "much", "reason": "x"}),
            ("share", {"user": "jane@example.org", "weight": "1e9", "reason": "x"}),
            ("hold", {"user": "nobody@example.org", "hours": "1", "reason": "x"}),
            ("hold", {"user": "jane@example.org", "hours": "-1", "reason": "x"}),
        ):
            sent = {"csrf": proof, **fields}
            headers = {"Origin": here.url}
            await client.post(f"/console/queue/{path}", data=sent, headers=headers)
            said.append((await client.get("/console/queue")).text)
        whole = await client.post(
            "/console/queue/share",
            data={"csrf": proof, "weight": "2", "reason": "x"},
            headers={"Origin": here.url},
        )

    assert all("Nothing was changed." in text for text in said)
    assert "A number can&#39;t be read." in said[0]
    assert whole.status_code == 403


async def test_users_see_no_queue(here: Platform) -> None:
    async with session(here, new_user(here)) as client:
        home = await client.get("/console/my-orders")
        answer = await client.get("/console/queue")

    assert "/console/queue" not in home.text
    assert answer.status_code == 403
