"""The page of the projects: what they are, and their maintenance."""

import pytest
from playwright.async_api import Browser, expect

from tests.acceptance.platform import Platform
from tests.acceptance.shared_platform import new_user
from tests.console.browsing import DESK, PHONE, Visitor, proof_in, session
from tests.console.test_letters import ADMIN


@pytest.mark.parametrize("phone", [False, True], ids=["desk", "phone"])
async def test_maintenance_is_begun_after_a_question_and_ended(
    here: Platform, browser: Browser, phone: bool
) -> None:
    """In maintenance acts are refused with a sentence; only its end is allowed."""
    async with Visitor.at(browser, here.url, PHONE if phone else DESK) as visitor:
        page = visitor.page
        main = page.locator("main")
        await visitor.sign_in(ADMIN, to="projects")
        await expect(main).to_contain_text("Served")
        assert await visitor.violations() == []
        assert await visitor.overflow() == 0
        await page.get_by_role("link", name="Begin maintenance").click()
        await expect(main).to_contain_text("Every change in the project is refused")
        assert await visitor.violations() == []
        await main.get_by_role("button", name="Begin maintenance").click()
        try:
            await expect(main).to_contain_text("project1 is in maintenance.")
            assert await visitor.violations() == []
            await visitor.go("queue")
            await page.locator("#limit-reason").fill("a campaign")
            await page.get_by_role("button", name="Set the limits", exact=True).click()
            await expect(main).to_contain_text("The project is in maintenance.")
            await visitor.go("projects")
            await page.get_by_role("button", name="End maintenance").click()
            await expect(main).to_contain_text("The maintenance of project1 has ended.")
        finally:
            await here.execute("update rs_order.tenant set maintenance = false")
        assert visitor.complaints == []
    entries = await here.rows(
        "select actor from rs_order.audit where action = 'maintenance.switched' order by id desc limit 2"
    )
    assert [entry["actor"] for entry in entries] == [ADMIN, ADMIN]


async def test_a_project_that_one_may_not_see_has_a_sentence(here: Platform) -> None:
    """An administrator of a project sees theirs alone; one of the instance sees all, and what isn't there."""
    async with session(here, ADMIN, "PROJECT_ADMIN") as client:
        page = (await client.get("/console/projects")).text
        headers, sent = {"Origin": here.url}, {"csrf": proof_in(page)}
        refused = [
            await client.get("/console/projects/project2/maintenance"),
            await client.post(
                "/console/projects/project2/maintenance/on", data=sent, headers=headers
            ),
            await client.get("/console/queue?project=project2"),
        ]
    async with session(here, "root@example.org", "INSTANCE_ADMIN", "instance") as client:
        every = (await client.get("/console/projects")).text
        headers, sent = {"Origin": here.url}, {"csrf": proof_in(every)}
        question = await client.get("/console/projects/nowhere/maintenance")
        await client.post("/console/projects/nowhere/maintenance/on", data=sent, headers=headers)
        said = (await client.get("/console/projects")).text
        queue = await client.get("/console/queue?project=nowhere")

    assert "project2" not in page
    assert [answer.status_code for answer in refused] == [403, 403, 403]
    assert all("You may not see or do this." in answer.text for answer in refused)
    assert "project1" in every
    assert "project2" in every
    assert (question.status_code, queue.status_code) == (404, 404)
    assert "There is no project nowhere here" in said
    assert "There is no project nowhere here" in queue.text


async def test_users_see_no_projects(here: Platform) -> None:
    async with session(here, new_user(here)) as client:
        home = await client.get("/console/my-orders")
        answer = await client.get("/console/projects")

    assert "/console/projects" not in home.text
    assert answer.status_code == 403
