"""Signing in and out, in a real browser and by what a hostile page might send."""

import httpx
import pytest
from playwright.async_api import Browser, Route

from rs_order.sandbox.faults import Outage, OutageMode, Service
from rs_order.sandbox.user_directory import User
from tests.acceptance.platform import Platform
from tests.acceptance.shared_platform import new_user
from tests.console.browsing import Visitor, proof_in, session
from tests.console.silent_orders import ordered

LIVE = "**/console/live?*"
"""The stream of a page. Without a session it ends, and htmx writes that into the browser's console."""


async def test_a_visitor_signs_in_goes_where_they_wanted_and_signs_out(
    here: Platform, visitor: Visitor
) -> None:
    jane = new_user(here)
    await visitor.go("my-orders?status=DONE")
    assert "/console/sign-in" in visitor.page.url
    assert await visitor.violations() == []
    await visitor.fill_sign_in(jane)

    assert visitor.page.url.endswith("/console/my-orders?status=DONE")
    assert jane in await visitor.text(".who")
    await visitor.page.get_by_role("button", name="Sign out").click()
    await visitor.page.wait_for_url("**/console/sign-in")
    await visitor.go("my-orders")
    assert "/console/sign-in" in visitor.page.url


async def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(
    here: Platform, visitor: Visitor
) -> None:
    await visitor.sign_in(new_user(here))
    cookies = {one.get("name"): one for one in await visitor.page.context.cookies()}

    kept = cookies["rs-order-session"]
    assert (kept.get("httpOnly"), kept.get("sameSite"), kept.get("path")) == (
        True,
        "Strict",
        "/console",
    )
    assert (kept.get("expires") or 0) > 0
    assert await visitor.page.evaluate("document.cookie") == ""


async def test_five_wrong_passwords_make_the_sixth_wait(here: Platform, visitor: Visitor) -> None:
    jane = new_user(here)
    for _ in range(5):
        await visitor.sign_in(jane, "wrong")
        assert "doesn't accept this project, e-mail and password" in await visitor.text()
    await visitor.fill_sign_in(jane)

    assert "Five wrong passwords within a minute. Try again in" in await visitor.text()
    assert await visitor.violations() == []
    here.clock.move(seconds=0)
    john = new_user(here)
    await visitor.fill_sign_in(john)
    assert john in await visitor.text(".who")


async def test_a_session_that_ends_during_an_act_changes_nothing(
    here: Platform, visitor: Visitor
) -> None:
    """The visitor signs in again, and is where they were."""
    jane = new_user(here)
    here.sandbox.faults.silence = True
    order = await ordered(here, jane)
    async with visitor.page.expect_response(LIVE):
        await visitor.sign_in(jane, to=f"orders/{order}")
    await visitor.page.route(f"**/console/orders/{order}*", _nothing_new)
    await visitor.page.context.clear_cookies(name="rs-order-session")
    await visitor.page.context.add_cookies(
        [{"name": "rs-order-session", "value": "a.b.c", "url": f"{here.url}/console/"}]
    )
    await visitor.page.get_by_role("button", name="Pause").click()
    await visitor.page.wait_for_url("**/console/sign-in**")

    assert "nothing was changed" in await visitor.text()
    await visitor.fill_sign_in(jane)
    assert visitor.page.url.endswith(f"/console/orders/{order}")
    assert "Running" in await visitor.text(".answer")


async def _nothing_new(route: Route) -> None:
    """Answer the page when it fetches itself, so that it doesn't find the end of its session itself."""
    if "hx-request" in route.request.headers and route.request.method == "GET":
        await route.fulfill(status=204)
    else:
        await route.fallback()


async def test_a_page_whose_session_has_ended_leads_to_the_sign_in_page(
    here: Platform, visitor: Visitor
) -> None:
    """It does so by itself, when it fetches itself, and leads back."""
    jane = new_user(here)
    async with visitor.page.expect_response(LIVE):
        await visitor.sign_in(jane, to="my-orders?text=scan")
    await visitor.page.context.clear_cookies(name="rs-order-session")
    await visitor.page.evaluate("htmx.trigger('#region', 'refresh')")
    await visitor.page.wait_for_url("**/console/sign-in**")
    await visitor.fill_sign_in(jane)

    assert visitor.page.url.endswith("/console/my-orders?text=scan")


async def test_a_stream_without_a_session_ends(here: Platform) -> None:
    """Browsers don't open it again after 204; of a page for people they would complain."""
    async with httpx.AsyncClient(base_url=here.url, timeout=60) as client:
        answer = await client.get("/console/live", headers={"Accept": "text/event-stream"})

    assert (answer.status_code, answer.content) == (204, b"")


async def test_a_link_on_another_site_leads_to_the_page(here: Platform, visitor: Visitor) -> None:
    """The browser keeps the cookie back at first, and the visitor notices nothing of it."""
    await visitor.sign_in(new_user(here))
    other = here.url.replace("127.0.0.1", "localhost")
    await visitor.page.goto(f"{other}/actuator/health")
    link = (
        f"const a = document.createElement('a'); a.href = '{here.url}/console/my-orders'; a.click()"
    )
    await visitor.page.evaluate(link)
    await visitor.page.wait_for_url(f"{here.url}/console/my-orders")

    assert "My orders" in await visitor.text()


async def test_a_platform_without_answer_is_said(here: Platform, visitor: Visitor) -> None:
    here.sandbox.faults.outages = {Service.AUTHENTICATION: Outage(mode=OutageMode.DOWN)}
    await visitor.sign_in(new_user(here))

    assert "rs-authentication" in await visitor.text()
    assert "Nothing was changed" in await visitor.text()


async def test_an_answer_without_token_is_said(here: Platform) -> None:
    here.sandbox.faults.outages = {Service.AUTHENTICATION: Outage(mode=OutageMode.GARBAGE)}
    async with httpx.AsyncClient(base_url=here.url, trust_env=False) as client:
        page = await client.get("/console/sign-in")
        form = {"project": "project1", "name": "jane", "password": "x", "csrf": proof_in(page.text)}
        answer = await client.post("/console/sign-in", data=form, headers={"Origin": here.url})

    assert answer.status_code == 503
    assert "Another service gives no answer" in answer.text


@pytest.mark.parametrize("project", ["nowhere", "project2"])
async def test_a_user_of_another_project_is_not_let_in(here: Platform, project: str) -> None:
    jane = new_user(here)
    here.sandbox.directory.put(User(email=jane, tenants={"project1"}))
    async with httpx.AsyncClient(base_url=here.url, trust_env=False) as client:
        page = await client.get("/console/sign-in")
        form = {"project": project, "name": jane, "password": "orbit", "csrf": proof_in(page.text)}
        answer = await client.post("/console/sign-in", data=form, headers={"Origin": here.url})

    assert answer.status_code == 401
    assert "rs-order-session" not in answer.headers.get("set-cookie", "")


@pytest.mark.parametrize(
    ("origin", "proof"),
    [
        ("https://evil.example", None),
        (None, None),
        ("null", None),
        ("own", "0" * 64),
        ("own", ""),
    ],
    ids=["other-origin", "no-origin", "null-origin", "wrong-proof", "no-proof"],
)
async def test_a_form_of_another_page_changes_nothing(
    here: Platform, origin: str | None, proof: str | None
) -> None:
    jane = new_user(here)
    here.sandbox.faults.silence = True
    order = await ordered(here, jane)
    async with session(here, jane) as client:
        page = await client.get(f"/console/orders/{order}")
        sent = {"csrf": proof_in(page.text) if proof is None else proof}
        headers = {"Origin": here.url if origin == "own" else origin} if origin else {}
        answer = await client.post(f"/console/orders/{order}/pause", data=sent, headers=headers)

    assert answer.status_code == 403
    assert "This form can&#39;t be accepted" in answer.text
    (stored,) = await here.rows("select status from orders where id = $1", order)
    assert stored["status"] == "RUNNING"


async def test_a_form_proves_nothing_for_another_user(here: Platform) -> None:
    jane, john = new_user(here), new_user(here)
    async with session(here, jane) as client:
        proof = proof_in((await client.get("/console/my-orders")).text)
        client.cookies.set("rs-order-session", here.sandbox.token(john, tenant="project1"))
        sent = await client.post(
            "/console/orders/1/pause", data={"csrf": proof}, headers={"Origin": here.url}
        )

    assert sent.status_code == 403


async def test_every_page_forbids_what_it_does_not_need(here: Platform) -> None:
    async with session(here, new_user(here)) as client:
        answers = [
            await client.get(f"/console/{path}")
            for path in ("sign-in", "my-orders", "orders/999999", "orders/x", "live?after=x")
        ]

    for answer in answers:
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert "no-store" in answer.headers["Cache-Control"]


async def test_behind_https_and_a_prefix_cookies_and_links_are_those_of_the_gateway(
    here: Platform,
) -> None:
    async with httpx.AsyncClient(base_url=here.url, trust_env=False) as client:
        answer = await client.get("/api/v1/rs-order/console/sign-in")

    assert 'action="/api/v1/rs-order/console/sign-in"' in answer.text
    assert "Path=/api/v1/rs-order/console" in answer.headers["set-cookie"]


async def test_the_header_of_a_proxy_counts_only_if_it_is_set(here: Platform) -> None:
    async with here.client(new_user(here)) as client:
        assert (await client.get("/console/my-orders")).status_code == 303


async def test_the_sign_in_page_speaks_french(here: Platform, browser: Browser) -> None:
    async with Visitor.at(browser, here.url, locale="fr-FR") as visitor:
        await visitor.go("sign-in")

        assert "Mot de passe" in await visitor.text()
        assert await visitor.page.get_attribute("html", "lang") == "fr"
