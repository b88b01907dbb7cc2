"""The page of all orders of a project, as operators use it."""

import csv
from datetime import UTC, datetime

from playwright.async_api import Browser, expect

from tests.acceptance.platform import Platform
from tests.acceptance.shared_platform import new_user
from tests.api.given import given_order
from tests.console.browsing import PHONE, Visitor, proof_in, session
from tests.console.silent_orders import ordered

ADMIN = "admin@example.org"


async def test_orders_are_searched_sorted_and_exported(here: Platform, visitor: Visitor) -> None:
    jane, john = sorted(new_user(here) for _ in range(2))
    created = datetime(2026, 4, 1, 12, tzinfo=UTC)
    for number, owner in enumerate([jane, john, jane]):
        label = f"Export {number} {jane[:6]}"
        await given_order(here, owner, "DONE", label=label, created_at=created)
    await given_order(here, jane, "FAILED", label=f"Export 9 {jane[:6]}", created_at=created)
    query = f"label=export&status=DONE&since=2026-04-01&until=2026-04-01&owner={jane[:8]}"
    await visitor.sign_in(ADMIN, to=f"orders?{query}")
    rows = visitor.page.locator("tbody tr")

    assert await rows.count() == 2
    assert await visitor.violations() == []
    await visitor.go(f"orders?label={jane[:6]}")
    assert await rows.count() == 4
    await visitor.page.get_by_role("link", name="Owner").click()
    first = await rows.first.locator("td[data-name=Owner]").inner_text()
    await visitor.page.get_by_role("link", name="Owner").click()
    again = await rows.first.locator("td[data-name=Owner]").inner_text()
    assert (first, again) == (john, jane)
    async with visitor.page.expect_download() as waiting:
        await visitor.page.get_by_role("link", name="CSV").click()
    path = await (await waiting.value).path()
    lines = list(csv.reader(path.read_text().splitlines(), delimiter=";"))
    assert lines[0][0] == "ORDER_ID"
    assert sorted(line[3] for line in lines[1:]) == sorted([jane, john, jane, jane])


async def test_an_order_is_found_by_number_and_correlation_id(here: Platform) -> None:
    order = await given_order(here, new_user(here), label="Found", correlation_id="c-found")
    async with session(here, ADMIN, "PROJECT_ADMIN") as client:
        by_number = await client.get(f"/console/orders?id={order}")
        by_correlation = await client.get("/console/orders?correlation=c-found")
        by_nothing = await client.get("/console/orders?correlation=none-such")
        unreadable = await client.get("/console/orders?id=x")
        odd = await client.get("/console/orders?since=never&sort=password&status=NONE")

    assert f"/console/orders/{order}" in by_number.text
    assert f"/console/orders/{order}" in by_correlation.text
    assert "No order matches." in by_nothing.text
    assert (unreadable.status_code, odd.status_code) == (400, 200)


async def test_many_orders_are_paused_at_once_with_a_result_for_each(
    here: Platform, browser: Browser
) -> None:
    jane = new_user(here)
    here.sandbox.faults.silence = True
    running = await ordered(here, jane)
    done = await given_order(here, jane, "DONE", label="Long done")
    async with Visitor.at(browser, here.url, PHONE) as visitor:
        page = visitor.page
        await visitor.sign_in(ADMIN, to=f"orders?owner={jane}")
        assert await visitor.violations() == []
        assert await visitor.overflow() == 0
        for order in (running, done):
            await page.locator(f"input[value='{order}']").check()
        await page.get_by_role("button", name="Pause the chosen").click()
        await expect(page.locator("h1")).to_have_text("Pause 2 orders?")
        assert await visitor.violations() == []
        await page.get_by_role("button", name="Pause").click()

        await expect(page.locator("main")).to_contain_text("1 of 2 done")
        await expect(page.locator("main")).to_contain_text(f"Order {running} is paused.")
        await expect(page.locator("main")).to_contain_text("Only an order that is running")
        assert await visitor.violations() == []
        assert await visitor.overflow() == 0
        assert visitor.complaints == []


async def test_who_may_not_search_sees_no_orders_of_others(here: Platform) -> None:
    async with session(here, new_user(here)) as client:
        home = await client.get("/console/my-orders")
        sent = {"csrf": proof_in(home.text), "ids": "1"}
        answers = [
            await client.get("/console/orders"),
            await client.get("/console/orders.csv"),
        ]
        await client.post("/console/orders/many/delete", data=sent, headers={"Origin": here.url})

    assert '/console/orders"' not in home.text
    assert [answer.status_code for answer in answers] == [403, 403]


async def test_an_operator_without_the_right_to_act_gets_no_buttons(here: Platform) -> None:
    """EXPLOIT may search, and acts on nobody's orders but its own."""
    order = await given_order(here, new_user(here), "RUNNING", label="Theirs", files="p")
    async with session(here, "exploit@example.org", "EXPLOIT") as client:
        page = await client.get(f"/console/orders?id={order}")
        sent = {"csrf": proof_in(page.text), "ids": str(order)}
        act = await client.post(
            "/console/orders/many/pause", data=sent, headers={"Origin": here.url}
        )

    assert "Theirs" in page.text
    assert "/many/" not in page.text.replace('action="/console/orders/many/pause/ask"', "")
    assert "Only its owner and administrators may do this." in act.text
