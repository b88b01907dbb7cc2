"""The page of a project's settings."""

import pytest
from playwright.async_api import Browser, expect

from tests.acceptance.platform import Platform
from tests.acceptance.shared_platform import new_user
from tests.console.browsing import DESK, PHONE, Visitor, proof_in, session
from tests.console.test_letters import ADMIN


@pytest.mark.parametrize("phone", [False, True], ids=["desk", "phone"])
async def test_a_setting_is_changed_rejected_and_reset(
    here: Platform, browser: Browser, phone: bool
) -> None:
    """Each act says what it did; a wrong value says why, and the audit has who did it."""
    async with Visitor.at(browser, here.url, PHONE if phone else DESK) as visitor:
        page = visitor.page
        main = page.locator("main")
        await visitor.sign_in(ADMIN, to="settings")
        assert await visitor.violations() == []
        assert await visitor.overflow() == 0
        hours = page.locator("#expiration_max_duration_in_hours-value")
        save = page.locator("section", has=hours).get_by_role("button", name="Save")

        await hours.fill("200")
        await save.click()
        await expect(main).to_contain_text("Saved: Longest life of an order.")
        await expect(main).to_contain_text("last change:")
        assert await visitor.violations() == []
        await hours.fill("0")
        await save.click()
        await expect(main).to_contain_text("must be a valid positive number")
        await expect(hours).to_have_value("200")
        await page.get_by_role("button", name="Back to the default").click()
        await expect(main).to_contain_text("Back to the default: Longest life of an order.")
        await expect(hours).to_have_value("168")
        assert visitor.complaints == []


async def test_an_export_can_be_imported(here: Platform, visitor: Visitor) -> None:
    await visitor.sign_in(ADMIN, to="settings")
    async with visitor.page.expect_download() as waiting:
        await visitor.page.get_by_role("link", name="Export").click()
    path = await (await waiting.value).path()
    await visitor.page.locator("#file").set_input_files(path)
    await visitor.page.get_by_role("button", name="Import").click()

    await expect(visitor.page.locator("main")).to_contain_text("The settings are imported.")


async def test_a_file_that_is_none_is_rejected(here: Platform) -> None:
    async with session(here, ADMIN, "PROJECT_ADMIN") as client:
        proof = proof_in((await client.get("/console/settings")).text)
        await client.post(
            "/console/settings/file",
            data={"csrf": proof},
            files={"file": ("x.json", b"no JSON")},
            headers={"Origin": here.url},
        )
        page = await client.get("/console/settings")

    assert "Nothing was changed." in page.text


async def test_users_see_no_settings(here: Platform) -> None:
    async with session(here, new_user(here)) as client:
        home = await client.get("/console/my-orders")
        sent = {"csrf": proof_in(home.text), "value": "1"}
        answers = [
            await client.get("/console/settings"),
            await client.post(
                "/console/settings/expiration_max_duration_in_hours",
                data=sent,
                headers={"Origin": here.url},
            ),
        ]

    assert "/console/settings" not in home.text
    assert [answer.status_code for answer in answers] == [403, 403]
