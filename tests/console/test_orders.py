"""The pages of orders as users walk through them, in Chromium."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import httpx
import pytest
from playwright.async_api import Browser, expect

from tests.acceptance.platform import Platform
from tests.acceptance.shared_platform import new_user
from tests.api.given import given_files, given_order, given_task
from tests.console.browsing import DESK, PHONE, Visitor, proof_in, session
from tests.console.silent_orders import ordered
from tests.support.large_orders import write_large_order
from tests.support.polling import eventually

HOSTILE = {
    "script": "<script>document.title='owned'</script>",
    "quotes": "\"'><img src=x onerror=alert(1)>",
    "right-to-left": "مرحبا \u202ecod.exe\u2066",
    "long": "W" * 50,
}
SIZES = pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])


async def finished(here: Platform, user: str) -> int:
    """Place an order of a file that storage brings back, and return its id once it is done."""
    async with here.client(user) as client:
        answer = await client.post("/user/orders/apply", json={"queries": ["productId:EVE_01"]})
    order = int(answer.json()["content"]["orderId"])

    async def done() -> bool:
        rows = await here.rows("select status from orders where id = $1", order)
        return bool(rows[0]["status"] == "DONE")

    await eventually(done, "order DONE")
    return order


async def test_an_order_is_paused_resumed_and_deleted(here: Platform, visitor: Visitor) -> None:
    """One look says why it waits; each act says what it did; a deletion asks first."""
    jane = new_user(here)
    here.sandbox.faults.silence = True
    order = await ordered(here, jane)
    await visitor.sign_in(jane)
    main = visitor.page.locator("main")
    await expect(main).to_contain_text("Files that storage is bringing back: 1.")

    await visitor.page.get_by_role("button", name="Pause").click()
    await expect(main).to_contain_text(f"Order {order} is paused.")
    await expect(main).to_contain_text("Your turn: You paused the order.")
    await visitor.page.get_by_role("button", name="Resume").click()
    await expect(main).to_contain_text(f"Order {order} goes on.")
    await visitor.page.get_by_role("button", name="Pause").click()
    await visitor.page.get_by_role("link", name="Delete").click()
    await expect(main).to_contain_text("Delete 1 order with 1 file. This can't be undone.")
    assert await visitor.violations() == []
    await visitor.page.get_by_role("link", name="Cancel").click()
    await expect(main).to_contain_text("Paused")
    await visitor.page.get_by_role("link", name="Delete").click()
    await visitor.page.get_by_role("button", name="Delete").click()

    await expect(main).to_contain_text(f"Order {order} is deleted.")
    await expect(main).to_contain_text("You have no orders.")


async def test_files_are_downloaded_as_zip_list_and_one_by_one(
    here: Platform, visitor: Visitor, tmp_path: Path
) -> None:
    jane = new_user(here)
    order = await finished(here, jane)
    await visitor.sign_in(jane, to=f"orders/{order}")
    sizes = {}
    for name in ("One zip", "Metalink", "List of links", "eve_01.txt"):
        async with visitor.page.expect_download() as waiting:
            await visitor.page.locator("main").get_by_role("link", name=name).click()
        download = await waiting.value
        await download.save_as(tmp_path / name)
        sizes[name] = (tmp_path / name).stat().st_size

    assert sizes["eve_01.txt"] == 4159
    assert (tmp_path / "One zip").read_bytes()[:2] == b"PK"
    assert "/orders/public/files/" in (tmp_path / "List of links").read_text()
    assert "<metalink" in (tmp_path / "Metalink").read_text()


async def test_an_order_is_ordered_again(here: Platform, visitor: Visitor) -> None:
    jane = new_user(here)
    order = await finished(here, jane)
    await visitor.sign_in(jane, to=f"orders/{order}")
    await visitor.page.get_by_role("link", name="Order again").click()
    await visitor.page.locator("#label").fill("Once more")
    await visitor.page.get_by_role("button", name="Order again").click()

    await expect(visitor.page.locator("main")).to_contain_text(f"was made from order {order}.")
    await expect(visitor.page.locator("h1")).to_have_text("Once more")
    await visitor.go(f"orders/{order}/restart")
    await visitor.page.locator("#label").fill("Once more")
    await visitor.page.get_by_role("button", name="Order again").click()
    await expect(visitor.page.locator("main")).to_contain_text(
        "There is an order with this name already."
    )


async def test_failed_files_are_retried(here: Platform, visitor: Visitor) -> None:
    """The reason of each error stands beside its file."""
    jane = new_user(here)
    order = await given_order(here, jane, "DONE_WITH_WARNING", label="Half")
    await given_files(here, order, await given_task(here, order), "ae")
    await here.rows(
        "update data_file set reason = 'tape <b>torn</b>' where order_id = $1 and state = 'ERROR'",
        order,
    )
    await visitor.sign_in(jane, to=f"orders/{order}?state=ERROR")

    assert "tape <b>torn</b>" in await visitor.text()
    assert await visitor.page.locator("#files ~ table tbody tr").count() == 1
    await visitor.page.get_by_role("button", name="Retry").click()
    await expect(visitor.page.locator("main")).to_contain_text(
        f"The failed files of order {order} are asked for again."
    )


async def test_a_form_sent_twice_is_rejected_with_a_sentence(here: Platform) -> None:
    jane = new_user(here)
    here.sandbox.faults.silence = True
    order = await ordered(here, jane)
    async with session(here, jane) as client:
        proof = proof_in((await client.get("/console/my-orders")).text)
        sent = {"csrf": proof, "back": "my-orders"}
        path, headers = f"/console/orders/{order}/pause", {"Origin": here.url}
        first = await client.post(path, data=sent, headers=headers)
        await client.get("/console/my-orders")
        second = await client.post(path, data=sent, headers=headers)
        page = await client.get("/console/my-orders")

    assert (first.status_code, second.status_code) == (303, 303)
    assert "Only an order that is running can be paused." in page.text


async def test_changes_show_within_two_seconds(here: Platform, visitor: Visitor) -> None:
    """Without a reload: the order ends while its page is open."""
    jane = new_user(here)
    here.sandbox.faults.silence = True
    order = await ordered(here, jane)
    await visitor.sign_in(jane, to=f"orders/{order}")
    await expect(visitor.page.locator(".answer")).to_contain_text("Running")
    await visitor.page.evaluate("window.mark = 'same page'")
    here.sandbox.faults.silence = False
    here.sandbox.restores.release()

    await expect(visitor.page.locator(".answer")).to_contain_text("Done", timeout=15_000)
    assert await visitor.page.evaluate("window.mark") == "same page"


async def test_an_order_is_deleted_while_its_page_is_open(here: Platform, visitor: Visitor) -> None:
    """The page says so by itself and offers nothing more; what others still have open is rejected."""
    jane = new_user(here)
    order = await finished(here, jane)
    await visitor.sign_in(jane, to=f"orders/{order}")
    async with session(here, jane) as client:
        stale = await client.get(f"/console/orders/{order}")
        sent = {"csrf": proof_in(stale.text), "back": f"orders/{order}"}
        delete = f"/console/orders/{order}/delete"
        await client.post(delete, data=sent, headers={"Origin": here.url})
        await client.post(delete, data=sent, headers={"Origin": here.url})
        said = await client.get(f"/console/orders/{order}")
        links = {
            path: await client.get(f"/console/orders/{order}/{path}")
            for path in ("zip", "archive.zip", "metalink", "files.txt")
        }
    answer = visitor.page.locator(".answer")
    await expect(answer).to_contain_text("It was deleted, and its files with it.", timeout=15_000)

    assert await visitor.page.locator("main .acts a, main .acts button, .downloads").count() == 0
    assert await visitor.violations() == []
    assert "It may be deleted already." in said.text
    assert {path for path, one in links.items() if one.status_code < 400} == set()
    assert all("<h1>" in one.text for one in links.values())
    async with here.client("root@example.org", "INSTANCE_ADMIN") as root:
        await root.delete(f"/user/orders/remove/{order}")

    async def removed() -> bool:
        return not await here.rows("select from orders where id = $1", order)

    await eventually(removed, "order removed")
    await visitor.page.evaluate("htmx.trigger('#region', 'refresh')")
    await expect(visitor.page.locator("main")).to_contain_text(
        f"There is no order {order} in this project, or not any more."
    )


async def test_an_archive_is_resumed_without_a_session(here: Platform) -> None:
    """Its address lives as long as the order."""
    jane = new_user(here)
    order = await finished(here, jane)
    async with session(here, jane) as client:
        answer = await client.get(f"/console/orders/{order}/archive.zip")
    address = answer.headers["Location"]
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        first = await client.get(address, headers={"Range": "bytes=0-1"})

    assert answer.status_code == 303
    assert (first.status_code, first.content) == (206, b"PK")


async def test_another_project_is_not_seen(here: Platform) -> None:
    """One that isn't served is named; in another one, the order doesn't exist."""
    jane = new_user(here)
    order = await given_order(here, jane, "RUNNING", label="Secret name", files="p")
    async with session(here, jane, tenant="project2") as client:
        other = await client.get(f"/console/orders/{order}")
    async with session(here, jane, tenant="nowhere") as client:
        unserved = await client.get("/console/my-orders")

    assert other.status_code == unserved.status_code == 404
    assert f"There is no order {order} in this project" in other.text
    assert "This project isn&#39;t served here." in unserved.text
    assert "nowhere" in unserved.text


async def test_a_stream_resumes_behind_the_last_event(here: Platform) -> None:
    """A browser that was cut off sends the id that it saw last, and misses nothing."""
    jane = new_user(here)
    await finished(here, jane)
    async with (
        session(here, jane) as client,
        client.stream("GET", "/console/live", headers={"Last-Event-ID": "0"}) as answer,
    ):
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        lines = answer.aiter_lines()
        seen = [await anext(lines) for _ in range(4)]

    assert re.fullmatch(r"id: \d+", seen[2])
    assert seen[3] == "event: changed"


@pytest.mark.parametrize("name", HOSTILE)
@SIZES
async def test_hostile_names_are_only_text(
    here: Platform, browser: Browser, name: str, size: dict[str, int]
) -> None:
    text = HOSTILE[name]
    jane = new_user(here)
    order = await given_order(here, jane, "DONE_WITH_WARNING", label=text[:50], message=text)
    task = await given_task(here, order, text * 5)
    await given_files(here, order, task, "ae")
    await here.rows(
        "update data_file set name = $2, reason = $3 where order_id = $1",
        order,
        (text * 10)[:255],
        text * 5,
    )
    async with Visitor.at(browser, here.url, DESK if size == DESK else PHONE) as visitor:
        await visitor.sign_in(jane)
        for path in ("my-orders", f"orders/{order}", f"orders/{order}/delete"):
            await visitor.go(path)
            assert text[:50] in await visitor.text()
            assert await visitor.page.title() != "owned"
            assert await visitor.page.locator("main img, main script").count() == 0
            assert await visitor.overflow() == 0
            assert await visitor.violations() == []
        assert visitor.complaints == []


@SIZES
async def test_pages_are_read_in_french_by_keyboard_in_the_dark(
    here: Platform, browser: Browser, size: dict[str, int]
) -> None:
    """Without a mouse: sign in, open the order, pause it."""
    jane = new_user(here)
    here.sandbox.faults.silence = True
    order = await ordered(here, jane)
    chosen = DESK if size == DESK else PHONE
    async with Visitor.at(
        browser, here.url, chosen, locale="fr-FR", color_scheme="dark"
    ) as visitor:
        page = visitor.page
        await visitor.go(f"orders/{order}")
        for _ in range(3):
            await page.keyboard.press("Tab")
        for typed in ("project1", jane, "orbit"):
            await page.keyboard.type(typed)
            await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"**/console/orders/{order}")
        assert await visitor.violations() == []
        for _ in range(20):
            await page.keyboard.press("Tab")
            if await page.evaluate("document.activeElement.textContent.trim()") == "Suspendre":
                break
        await page.keyboard.press("Enter")

        await expect(page.locator("main")).to_contain_text(f"La commande {order} est suspendue.")
        assert visitor.complaints == []


async def test_times_are_of_the_browsers_zone_with_utc_on_hover(
    here: Platform, visitor: Visitor
) -> None:
    jane = new_user(here)
    created = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
    order = await given_order(here, jane, "DONE", label="Old", created_at=created)
    await visitor.sign_in(jane, to=f"orders/{order}")
    shown = visitor.page.locator(".figures time").first

    assert "1 Mar 2026, 13:30" in await shown.inner_text()
    assert await shown.get_attribute("title") == "2026-03-01 12:30 UTC"


async def test_filters_and_pages_are_in_the_address(here: Platform, visitor: Visitor) -> None:
    jane = new_user(here)
    for number in range(52):
        created = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(minutes=number)
        await given_order(here, jane, "DONE", label=f"Scan {number:02}", created_at=created)
    await given_order(here, jane, "FAILED", label="Other")
    await visitor.sign_in(jane, to="my-orders?status=DONE&text=scan")
    rows = visitor.page.locator("tbody tr")

    assert await rows.count() == 50
    assert "52 orders" in await visitor.text()
    await visitor.page.get_by_role("link", name="Next").click()
    assert visitor.page.url.endswith("/console/my-orders?status=DONE&text=scan&page=2")
    assert await rows.count() == 2
    await visitor.go("my-orders?text=nothing")
    assert "No order matches." in await visitor.text()


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("orders/999999", 404, "There is no order 999999"),
        ("orders/x", 400, "can&#39;t be read"),
        ("my-orders?page=0", 400, "can&#39;t be read"),
        ("assets/0/none.js", 404, ""),
    ],
    ids=["no-order", "no-number", "no-page", "no-asset"],
)
async def test_what_is_not_there_is_said(here: Platform, path: str, status: int, text: str) -> None:
    async with session(here, new_user(here)) as client:
        answer = await client.get(f"/console/{path}")

    assert answer.status_code == status
    assert text in answer.text


async def test_orders_of_others_are_not_shown_and_not_changed(here: Platform) -> None:
    jane, john = new_user(here), new_user(here)
    order = await given_order(here, jane, "RUNNING", label="Secret name", files="p")
    async with session(here, john) as client:
        page = await client.get(f"/console/orders/{order}")
        proof = proof_in((await client.get("/console/my-orders")).text)
        sent = {"csrf": proof}
        act = await client.post(
            f"/console/orders/{order}/pause", data=sent, headers={"Origin": here.url}
        )
        said = await client.get("/console/my-orders")
        zipped = await client.get(f"/console/orders/{order}/zip")

    assert page.status_code == 403
    assert "Secret name" not in page.text
    assert act.status_code == 303
    assert "Only its owner and administrators may do this." in said.text
    assert zipped.status_code == 403
    (stored,) = await here.rows("select status from orders where id = $1", order)
    assert stored["status"] == "RUNNING"


async def test_an_administrator_sees_and_acts_and_the_audit_has_it(here: Platform) -> None:
    jane = new_user(here)
    here.sandbox.faults.silence = True
    order = await ordered(here, jane)
    async with session(here, "admin@example.org", "PROJECT_ADMIN") as client:
        page = await client.get(f"/console/orders/{order}")
        proof = proof_in(page.text)
        sent = {"csrf": proof, "back": f"orders/{order}"}
        act = await client.post(
            f"/console/orders/{order}/pause", data=sent, headers={"Origin": here.url}
        )

    assert jane in page.text
    assert act.headers["Location"] == f"/console/orders/{order}"
    found = await here.rows(
        "select actor, action from rs_order.audit where object_id = $1", str(order)
    )
    assert [(row["actor"], row["action"]) for row in found] == [
        ("admin@example.org", "order.paused")
    ]


async def test_a_page_can_be_read_without_scripts(here: Platform, browser: Browser) -> None:
    jane = new_user(here)
    here.sandbox.faults.silence = True
    order = await ordered(here, jane)
    async with Visitor.at(browser, here.url, java_script_enabled=False) as visitor:
        await visitor.sign_in(jane, to=f"orders/{order}")
        await visitor.page.get_by_role("button", name="Pause").click()

        assert f"Order {order} is paused." in await visitor.text()
        assert "UTC" in await visitor.text()


async def test_an_order_of_many_sub_orders_is_drawn_in_groups(here: Platform) -> None:
    """Two hundred sub-orders take forty lanes, and pages of fifty."""
    jane = new_user(here)
    connection = await asyncpg.connect(
        here.database_url, server_settings={"search_path": "order_project1"}
    )
    try:
        order = await write_large_order(
            connection,
            owner=jane,
            sub_orders=200,
            each=3,
            status="PAUSED",
            sub_order_state="READY",
            state="pending",
        )
        await connection.execute(
            "insert into history (order_id, sub_order_id, before, after, reason, actor)"
            " select order_id, id, 'BUILDING', 'READY', 'files-read', 'rs-order' from sub_order"
            " where order_id = $1 order by id",
            order,
        )
    finally:
        await connection.close()
    async with session(here, jane) as client:
        page = await client.get(f"/console/orders/{order}")
        older = re.search(r'href="([^"]*before=[^"]*)#sub-orders"', page.text)
        assert older is not None
        second = await client.get(older[1].replace("&amp;", "&"))

    assert page.text.count('class="lane"') == 1 + 40
    assert (page.status_code, second.status_code) == (200, 200)
    await here.execute(f"delete from order_project1.sub_order where order_id = {order}")  # noqa: S608
