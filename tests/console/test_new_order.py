"""The pages of a new order: choose, see what it would be, order."""

import asyncio
import re
from datetime import timedelta
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, expect

from rs_order.sandbox.faults import Outage, OutageMode, Service
from tests.acceptance.platform import Platform
from tests.acceptance.shared_platform import EVE_01, new_user
from tests.console.browsing import DESK, PHONE, TENANT, Visitor, proof_in, session
from tests.support.baskets import put_basket

HOSTILE = "<script>document.title='owned'</script> \"'> \u202ecod.exe " + "W" * 200


async def send(
    client: httpx.AsyncClient, here: Platform, path: str, page: str = "new-order", **form: Any
) -> httpx.Response:
    """Send a form of a page."""
    proof = proof_in((await client.get(f"/console/{page}")).text)
    data = {"csrf": proof, **form}
    return await client.post(f"/console/{path}", data=data, headers={"Origin": here.url})


async def quoted(client: httpx.AsyncClient, here: Platform, queries: str = EVE_01) -> str:
    """Have a search quoted, and return the place of the quote below the console."""
    answer = await send(client, here, "quotes", queries=queries, kind=["RAWDATA", "QUICKLOOK"])
    assert answer.status_code == 303, answer.text
    return answer.headers["Location"].removeprefix("/console/")


async def orders_of(here: Platform, user: str) -> list[int]:
    return [
        int(row["id"]) for row in await here.rows("select id from orders where owner = $1", user)
    ]


async def test_products_are_chosen_counted_and_ordered(here: Platform, visitor: Visitor) -> None:
    """From the first page to the order, with a name; what was entered can be changed."""
    jane = new_user(here)
    page, main = visitor.page, visitor.page.locator("main")
    await visitor.sign_in(jane)
    await page.locator("main").get_by_role("link", name="New order").click()
    await page.wait_for_url("**/console/new-order")
    assert await visitor.violations() == []
    await page.get_by_label("Products").fill("EVE_01\nEVE_02\nNO_SUCH_PRODUCT")
    await page.get_by_role("button", name="See what it would be").click()
    await expect(main).to_contain_text("2 files,")
    await expect(main).to_contain_text("On tape")
    await expect(main).to_contain_text("Counted file by file")
    assert await visitor.violations() == []

    await page.get_by_role("link", name="Change").click()
    await page.get_by_label("Only files whose name is like").fill("eve_01.*")
    await page.get_by_role("button", name="See what it would be").click()
    await expect(main).to_contain_text("1 file, 4.2 KB, in 1 sub-order.")
    await expect(main).to_contain_text("names like eve_01.*")
    await page.get_by_label("Name of the new order").fill("Flare of today")
    await page.get_by_role("button", name="Order").click()

    await expect(page.locator("h1")).to_have_text("Flare of today")
    (order,) = await orders_of(here, jane)
    await expect(main).to_contain_text(f"Order {order} is placed.")


async def test_the_basket_is_ordered_by_keyboard_in_french(
    here: Platform, browser: Browser
) -> None:
    """On a phone, in the dark, with hostile names; the basket stays."""
    jane = new_user(here)
    await put_basket(here, jane, EVE_01)
    await here.rows(
        "update dataset_selection set dataset_label = $2 where basket_id ="
        " (select id from basket where owner = $1)",
        jane,
        HOSTILE[:255],
    )
    async with Visitor.at(browser, here.url, PHONE, locale="fr-FR", color_scheme="dark") as visitor:
        page = visitor.page
        await visitor.sign_in(jane, to="new-order")
        for button, place in (
            ("Voir ce que serait le panier", "**/console/quotes/q-*"),
            ("Commander", "**/console/orders/*"),
        ):
            assert HOSTILE[:50] in await visitor.text()
            assert await visitor.page.title() != "owned"
            assert await page.locator("main script").count() == 0
            assert await visitor.overflow() == 0
            assert await visitor.violations() == []
            await page.get_by_role("button", name=button, exact=True).focus()
            await page.keyboard.press("Enter")
            await page.wait_for_url(place)
        await expect(page.locator("main")).to_contain_text("est passée")
        await visitor.go("new-order")
        assert HOSTILE[:50] in await visitor.text()
        assert visitor.complaints == []


async def test_a_hostile_search_is_only_text(here: Platform, browser: Browser) -> None:
    """Beside the problem, which names no attribute of the catalog, the text is as it was entered."""
    async with Visitor.at(browser, here.url, DESK) as visitor:
        await visitor.sign_in(new_user(here), to="new-order")
        await visitor.page.get_by_label("Search").fill(HOSTILE)
        await visitor.page.get_by_label("Only files whose name is like").fill("\"'><b>")
        await visitor.page.get_by_role("button", name="See what it would be").click()
        await expect(visitor.page.get_by_role("alert")).to_be_visible()

        assert await visitor.page.get_by_label("Search").input_value() == HOSTILE
        assert await visitor.page.title() != "owned"
        assert await visitor.page.locator("main script, main b").count() == 0
        assert await visitor.overflow() == 0
        assert await visitor.violations() == []


@pytest.mark.parametrize(
    ("form", "status", "text"),
    [
        ({"queries": ""}, 422, "Enter a search, or the ids of products."),
        ({"queries": EVE_01, "kind": ["DOCUMENT"]}, 422, "Choose at least one kind of files."),
        ({"queries": EVE_01, "pattern": "(?=x)"}, 422, "This can&#39;t be ordered:"),
        ({"queries": "no_such_attribute:1"}, 422, "The catalog doesn&#39;t accept the search."),
    ],
    ids=["nothing", "no-kind", "pattern", "attribute"],
)
async def test_what_cannot_be_quoted_is_said_beside_what_was_entered(
    here: Platform, form: dict[str, Any], status: int, text: str
) -> None:
    async with session(here, new_user(here)) as client:
        answer = await send(client, here, "quotes", **{"kind": ["RAWDATA"], **form})

    assert (answer.status_code, text in answer.text) == (status, True), answer.text
    assert form["queries"] in answer.text


async def test_a_catalog_without_answer_is_said(here: Platform) -> None:
    here.sandbox.faults.outages = {Service.CATALOG: Outage(mode=OutageMode.DOWN)}
    async with session(here, new_user(here)) as client:
        answer = await send(client, here, "quotes", queries=EVE_01, kind=["RAWDATA"])

    assert answer.status_code == 503
    assert "The catalog gives no answer. Try again in a moment." in answer.text
    assert EVE_01 in answer.text


async def test_too_many_quotes_are_said_with_the_time_to_wait(here: Platform) -> None:
    jane = new_user(here)
    async with session(here, jane) as client:
        await quoted(client, here)
        await here.rows(
            "insert into quote (owner, role, created_at, updated_at, state, failure)"
            " select owner, role, created_at, updated_at, 'failed', 'quote-not-made' from quote,"
            " generate_series(2, 30) where owner = $1",
            jane,
        )
        answer = await send(client, here, "quotes", queries=EVE_01, kind=["RAWDATA"])

    assert (answer.status_code, int(answer.headers["Retry-After"]) > 3000) == (429, True)
    assert "Too many selections were counted for you" in answer.text


async def test_a_large_selection_shows_its_quote_when_it_is_ready(
    here: Platform, visitor: Visitor
) -> None:
    """Steps count it while its page is open."""
    jane = new_user(here)
    async with session(here, jane) as client:
        place = await quoted(client, here)
    number = int(place.removeprefix("quotes/q-"))
    (ready,) = await here.rows("select document from quote where id = $1", number)
    await here.rows("update quote set state = 'at-work', document = null where id = $1", number)
    await visitor.sign_in(jane, to=place)
    answer = visitor.page.locator(".answer")
    await expect(answer).to_contain_text("The files are being counted.")
    await expect(answer).to_contain_text("1 of 1 file were read.")
    assert await visitor.violations() == []
    await here.rows(
        "update quote set state = 'ready', document = $2 where id = $1", number, ready["document"]
    )

    await expect(answer).to_contain_text("1 file, 4.2 KB, in 1 sub-order.")
    assert await visitor.page.locator("[data-poll]").count() == 0


async def test_a_form_sent_twice_orders_once(here: Platform) -> None:
    """At the same time, and once more later, with the name that is taken then."""
    jane = new_user(here)
    async with session(here, jane) as client:
        place = await quoted(client, here)
        sent = {"path": f"{place}/order", "page": place, "label": "Once"}
        twins = await asyncio.gather(*(send(client, here, **sent) for _ in range(3)))
        proof = proof_in((await client.get("/console/new-order")).text)
        data = {"csrf": proof, "label": "Once"}
        again = await client.post(
            f"/console/{place}/order", data=data, headers={"Origin": here.url}
        )
        shown = await client.get(again.headers["Location"])
        page = await client.get(f"/console/{place}")

    (order,) = await orders_of(here, jane)
    assert {one.headers["Location"] for one in (*twins, again)} == {f"/console/orders/{order}"}
    assert f"You ordered this already, as order {order}. Nothing more was ordered." in shown.text
    assert "This was ordered:" in page.text
    assert f"{place}/order" not in page.text


async def test_a_quote_that_is_too_old_is_counted_again(here: Platform) -> None:
    jane = new_user(here)
    async with session(here, jane) as client:
        place = await quoted(client, here)
        proof = proof_in((await client.get(f"/console/{place}")).text)
        await here.rows(
            "update quote set created_at = created_at - $2::interval where owner = $1",
            jane,
            timedelta(hours=1),
        )
        headers = {"Origin": here.url}
        late = await client.post(f"/console/{place}/order", data={"csrf": proof}, headers=headers)
        page = await client.get(f"/console/{place}")
        again = await client.post(f"/console/{place}/again", data={"csrf": proof}, headers=headers)

    assert late.headers["Location"] == f"/console/{place}"
    assert "Nothing was ordered. It could be ordered for an hour." in page.text
    assert "This could be ordered until" in page.text
    assert re.fullmatch(r"/console/quotes/q-\d+", again.headers["Location"])
    assert not again.headers["Location"].endswith(f"/{place}")
    assert await orders_of(here, jane) == []


async def test_a_catalog_that_has_changed_is_said_with_both_figures(here: Platform) -> None:
    jane = new_user(here)
    async with session(here, jane) as client:
        place = await quoted(client, here, "productId:EVE_0*")
        here.sandbox.faults.created = {"EVE_01": here.clock.now() + timedelta(days=1)}
        await send(client, here, f"{place}/order", page=place)
        page = await client.get(f"/console/{place}")

    said = re.search(r"it was (\d+) files, .*, and would be (\d+) files, .* now", page.text)
    assert said is not None, page.text
    assert int(said[1]) > int(said[2])
    assert await orders_of(here, jane) == []


async def test_an_order_that_would_be_refused_is_not_offered(here: Platform) -> None:
    jane = new_user(here)
    async with session(here, jane) as client:
        place = await quoted(client, here, "productId:NO_SUCH_PRODUCT")
        page = await client.get(f"/console/{place}")
        answer = await send(client, here, f"{place}/order", page=place)
        said = await client.get(answer.headers["Location"])

    assert "It would be refused:" in page.text
    assert f"{place}/order" not in page.text
    assert "Nothing was ordered. No file that you may order was found." in said.text


async def test_quotes_of_others_do_not_exist(here: Platform) -> None:
    jane, john = new_user(here), new_user(here)
    async with session(here, jane) as client:
        place = await quoted(client, here)
    async with session(here, john) as client:
        page = await client.get(f"/console/{place}")
        act = await send(client, here, f"{place}/order")
        like = await client.get(f"/console/new-order?like={place.removeprefix('quotes/')}")

    assert [one.status_code for one in (page, act, like)] == [404, 404, 404]
    assert "You have no quote" in page.text
    assert await orders_of(here, john) == []


async def test_a_role_that_may_not_order_sees_no_page(here: Platform) -> None:
    async with session(here, new_user(here), "PUBLIC", TENANT) as client:
        page = await client.get("/console/new-order")

    assert page.status_code == 403
    assert "Your role doesn&#39;t include this page or action." in page.text


async def test_a_session_that_ends_while_one_chooses_orders_nothing(
    here: Platform, visitor: Visitor
) -> None:
    jane = new_user(here)
    await visitor.sign_in(jane, to="new-order")
    await visitor.page.get_by_label("Search").fill(EVE_01)
    await visitor.page.context.clear_cookies(name="rs-order-session")
    await visitor.page.get_by_role("button", name="See what it would be").click()
    await visitor.page.wait_for_url("**/console/sign-in**")
    await visitor.fill_sign_in(jane)

    assert visitor.page.url.endswith("/console/new-order")
    assert await here.rows("select from quote where owner = $1", jane) == []
