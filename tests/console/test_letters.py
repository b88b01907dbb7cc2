"""Dead letters as operators walk through them: correct, compare, replay, discard, and the audit behind it."""

import asyncio
import json
from uuid import uuid4

import pytest
from playwright.async_api import Browser, expect

from tests.acceptance.platform import Platform
from tests.acceptance.shared_platform import REQUEST_QUEUE, new_user, put_in_queue
from tests.console.browsing import DESK, PHONE, Visitor, proof_in, session
from tests.support.polling import eventually

ADMIN = "admin@example.org"
HOSTILE = "<script>alert(1)</script>\"'\u202e"


async def dead_letter(here: Platform, tenant: str = "project1", **changed: object) -> str:
    """Let an order request die because a member is wrong, and return the id of its dead letter."""
    request = {
        "correlationId": f"{HOSTILE}{uuid4().hex}",
        "user": "jane@example.org",
        "queries": "productId:EVE_01",
        **changed,
    }
    body = json.dumps(request).encode()
    await put_in_queue(here, REQUEST_QUEUE, body, {"regards.tenant": tenant})

    async def indexed() -> str | None:
        rows = await here.rows("select id from rs_order.dead_letter where body = $1", body)
        return str(rows[0]["id"]) if rows else None

    return str(await eventually(indexed, "dead letter indexed"))


async def state_of(here: Platform, letter: str) -> str:
    (row,) = await here.rows("select state from rs_order.dead_letter where id = $1", letter)
    return str(row["state"])


@pytest.mark.parametrize("phone", [False, True], ids=["desk", "phone"])
async def test_a_letter_is_corrected_compared_and_replayed(
    here: Platform, browser: Browser, phone: bool
) -> None:
    """A wrong correction names the member where it stands; the right one shows its difference first."""
    letter = await dead_letter(here)
    async with Visitor.at(browser, here.url, PHONE if phone else DESK) as visitor:
        page = visitor.page
        await visitor.sign_in(ADMIN, to="dead-letters")
        assert await visitor.violations() == []
        assert await visitor.overflow() == 0
        await visitor.go(f"dead-letters/{letter}")
        assert await visitor.violations() == []
        body = page.get_by_role("textbox", name="Body")
        text = await body.input_value()
        assert '"queries": "productId:EVE_01"' in text
        await page.get_by_role("button", name="Check and compare").click()
        await expect(page.locator(".wrong")).to_contain_text("queries")
        assert await visitor.violations() == []

        await body.fill(text.replace('"productId:EVE_01"', '["productId:EVE_01"]'))
        await page.get_by_role("button", name="Check and compare").click()
        await expect(page.locator(".removed")).to_contain_text('"queries": "productId:EVE_01"')
        await expect(page.locator(".added").first).to_contain_text('"queries": [')
        assert await visitor.violations() == []
        assert await visitor.overflow() == 0
        await page.get_by_role("button", name="Replay the corrected message").click()

        await expect(page.locator("main")).to_contain_text("sent back to its queue")
        await expect(page.locator("main")).to_contain_text("corrected")
        assert visitor.complaints == []
    assert await state_of(here, letter) == "replayed"
    acts = await here.rows(
        "select actor, action from rs_order.audit where object_id = $1 order by id", letter
    )
    assert {(row["actor"], row["action"]) for row in acts} == {
        (ADMIN, "dead-letter.replayed"),
        (ADMIN, "dead-letter.corrected"),
    }


async def test_chosen_letters_are_discarded_with_a_reason(here: Platform, visitor: Visitor) -> None:
    letter = await dead_letter(here)
    await visitor.sign_in(ADMIN, to="dead-letters")
    await visitor.page.locator(f"input[value='{letter}']").check()
    await visitor.page.get_by_role("button", name="Discard the chosen").click()
    await expect(visitor.page.locator("h1")).to_have_text("Discard 1 dead letter?")
    assert await visitor.violations() == []
    await visitor.page.locator("#because").fill("A test of the sender")
    await visitor.page.get_by_role("button", name="Discard").click()

    await expect(visitor.page.locator("main")).to_contain_text("Discarded: 1 dead letter.")
    assert await state_of(here, letter) == "discarded"
    await visitor.go(f"dead-letters/{letter}")
    await expect(visitor.page.locator("main")).to_contain_text("A test of the sender")


async def test_nothing_chosen_is_said(here: Platform, visitor: Visitor) -> None:
    await dead_letter(here)
    await visitor.sign_in(ADMIN, to="dead-letters")
    await visitor.page.get_by_role("button", name="Replay the chosen").click()

    await expect(visitor.page.locator("main")).to_contain_text("Choose dead letters first.")


async def test_all_of_a_filter_are_replayed_with_progress(here: Platform, visitor: Visitor) -> None:
    for _ in range(3):
        await dead_letter(here)
    await visitor.sign_in(ADMIN, to="dead-letters?reason=not-converted-message")
    await visitor.page.get_by_role("link", name="Replay all").click()
    await expect(visitor.page.locator("h1")).to_contain_text("Replay")
    await visitor.page.locator("#rate").fill("1000")
    await visitor.page.get_by_role("button", name="Replay").click()

    await expect(visitor.page.locator("#region")).to_contain_text("Done", timeout=15_000)
    assert await visitor.violations() == []


async def test_of_two_operators_one_replays_a_letter(here: Platform) -> None:
    """The other is told who was faster. The message is published once."""
    letter = await dead_letter(here)
    async with (
        session(here, ADMIN, "PROJECT_ADMIN") as one,
        session(here, "second@example.org", "PROJECT_ADMIN") as other,
    ):
        forms = []
        for client in (one, other):
            page = await client.get(f"/console/dead-letters/{letter}")
            forms.append((client, {"csrf": proof_in(page.text)}))
        answers = await asyncio.gather(
            *(
                client.post(
                    f"/console/dead-letters/{letter}/replay",
                    data=form,
                    headers={"Origin": here.url},
                )
                for client, form in forms
            )
        )
        said = [
            (await client.get(f"/console/dead-letters/{letter}")).text for client in (one, other)
        ]

    assert {answer.status_code for answer in answers} == {303}
    assert sum("The message was sent back to its queue." in text for text in said) == 1
    assert sum("was replayed by" in text for text in said) == 1
    acts = await here.rows("select action from rs_order.audit where object_id = $1", letter)
    assert [row["action"] for row in acts] == ["dead-letter.replayed"]


async def test_users_see_no_dead_letters(here: Platform) -> None:
    """Neither the page nor the link; and what a form would do answers 403."""
    letter, jane = await dead_letter(here), new_user(here)
    async with session(here, jane) as client:
        home = await client.get("/console/my-orders")
        sent = {"csrf": proof_in(home.text)}
        answers = [
            await client.get("/console/dead-letters"),
            await client.get(f"/console/dead-letters/{letter}"),
            await client.post(
                f"/console/dead-letters/{letter}/replay", data=sent, headers={"Origin": here.url}
            ),
        ]

    assert "dead-letters" not in home.text
    assert [answer.status_code for answer in answers] == [403, 403, 403]
    assert await state_of(here, letter) == "open"


async def test_letters_of_another_project_are_not_found(here: Platform) -> None:
    letter = await dead_letter(here, tenant="project2")
    async with session(here, ADMIN, "PROJECT_ADMIN") as client:
        page = await client.get(f"/console/dead-letters/{letter}")
        other = await client.get("/console/dead-letters?project=project2")

    assert page.status_code == 404
    assert other.status_code == 422
