"""The overview: one look says whether it is well."""

import re

import pytest
from playwright.async_api import Browser, expect

from rs_order.regards.call_watch import RECEIVERS
from rs_order.regards.http import CALLS
from rs_order.sandbox.faults import Outage, OutageMode, Service
from tests.acceptance.platform import Platform
from tests.acceptance.shared_platform import new_user
from tests.api.given import given_order
from tests.console.browsing import DESK, PHONE, Visitor, session
from tests.console.test_letters import ADMIN, dead_letter


@pytest.fixture(autouse=True)
def _every_service_answered() -> None:
    """Begin with good answers, because earlier tests of this process let services fail."""
    for name in CALLS.services():
        CALLS.note(name, "ok")


@pytest.mark.parametrize("phone", [False, True], ids=["desk", "phone"])
async def test_one_look_says_what_is_not_well(
    here: Platform, browser: Browser, phone: bool
) -> None:
    """A dead letter is counted, and leads to its page; the own project is the only row."""
    await dead_letter(here)
    await given_order(here, new_user(here), "PAUSED", label="Counted")
    async with Visitor.at(browser, here.url, PHONE if phone else DESK) as visitor:
        await visitor.sign_in(ADMIN, to="overview")
        main = visitor.page.locator("main")

        await expect(main).to_contain_text("wait for an operator.")
        await expect(main).to_contain_text("rs-authentication")
        await expect(main).to_contain_text("Database")
        assert (
            await visitor.page.locator("h2 + table tbody tr").last.locator("th").inner_text()
            == "project1"
        )
        await expect(main).to_contain_text("made this page")
        await expect(main.get_by_role("img").first).to_have_attribute(
            "aria-label", re.compile("Files restored per hour")
        )
        assert await visitor.violations() == []
        assert await visitor.overflow() == 0
        assert visitor.complaints == []
        await main.get_by_role("link", name="dead letter").click()
        await visitor.page.wait_for_url("**/console/dead-letters")


async def test_a_service_without_answer_is_named(here: Platform, visitor: Visitor) -> None:
    await visitor.sign_in(ADMIN, to="overview")
    here.sandbox.faults.outages = {Service.AUTHENTICATION: Outage(mode=OutageMode.DOWN)}
    async with Visitor.at(visitor.page.context.browser, here.url) as other:  # type: ignore[arg-type]
        await other.sign_in(new_user(here))

    await expect(visitor.page.locator(".answer")).to_contain_text(
        "No good answer to the last call of: rs-authentication."
    )


async def test_dead_hosts_of_users_are_no_trouble_of_the_service(here: Platform) -> None:
    CALLS.note(RECEIVERS, "unavailable")
    async with session(here, ADMIN, "PROJECT_ADMIN") as client:
        page = (await client.get("/console/overview")).text

    assert "Receivers of webhooks" in page
    assert "No good answer" not in page


async def test_an_administrator_of_the_instance_sees_every_project(here: Platform) -> None:
    async with session(here, "root@example.org", "INSTANCE_ADMIN", "instance") as client:
        home = await client.get("/console/", follow_redirects=True)

    assert home.status_code == 200
    assert "project1" in home.text
    assert "project2" in home.text
    assert "my-orders" not in home.text


async def test_users_see_no_overview(here: Platform) -> None:
    async with session(here, new_user(here)) as client:
        answer = await client.get("/console/overview")

    assert answer.status_code == 403


async def test_the_pages_of_operators_fit_a_phone_in_french(
    here: Platform, browser: Browser
) -> None:
    """French words are longer. Nothing is cut off, in the dark either, and axe finds nothing."""
    await dead_letter(here)
    async with Visitor.at(browser, here.url, PHONE, locale="fr-FR", color_scheme="dark") as visitor:
        await visitor.sign_in(ADMIN, to="overview")
        found = {}
        for path in (
            "overview",
            "orders",
            "queue",
            "standing",
            "dead-letters",
            "settings",
            "projects",
            "audit",
        ):
            await visitor.go(path)
            found[path] = (await visitor.overflow(), await visitor.violations())

        assert found == dict.fromkeys(found, (0, []))
        assert visitor.complaints == []
