"""The page of what stands still: why, what would move it, and the acts that do."""

from datetime import timedelta

import pytest
from playwright.async_api import Browser, expect

from tests.acceptance.platform import Platform
from tests.acceptance.shared_platform import new_user
from tests.api.given import given_order
from tests.console.browsing import DESK, PHONE, Visitor, proof_in, session
from tests.console.silent_orders import ordered
from tests.console.test_letters import ADMIN
from tests.console.test_orders import HOSTILE
from tests.support.polling import eventually

LONG_HOURS = 12
"""Storage was asked so long ago: it stands still, and isn't given up."""


async def silent_order(here: Platform) -> int:
    """Place an order that storage was asked for twice, long ago, and return its id."""
    here.sandbox.faults.silence = True
    order = await ordered(here, new_user(here))

    async def asked() -> bool:
        return await asks_of(here, order) == 1

    await eventually(asked, "storage asked")
    await here.rows(
        "update sub_order set asks = 2, asked_at = $2 where order_id = $1",
        order,
        here.clock.now() - timedelta(hours=LONG_HOURS),
    )
    return order


async def asks_of(here: Platform, order: int) -> int:
    (row,) = await here.rows(
        "select coalesce(sum(asks), 0) as asks from sub_order where order_id = $1", order
    )
    return int(row["asks"])


@pytest.mark.parametrize("phone", [False, True], ids=["desk", "phone"])
async def test_storage_is_asked_again_for_what_stands_still(
    here: Platform, browser: Browser, phone: bool
) -> None:
    """The row says since when and what would move it; the act moves it, and the audit has who did it."""
    order = await silent_order(here)
    async with Visitor.at(browser, here.url, PHONE if phone else DESK) as visitor:
        main = visitor.page.locator("main")
        await visitor.sign_in(ADMIN, to="standing")
        row = visitor.page.locator("tr", has_text=f"#{order}")
        await expect(row).to_contain_text("It was asked 2 times.")
        assert await visitor.violations() == []
        assert await visitor.overflow() == 0
        await row.get_by_role("button", name="Ask storage again").click()

        await expect(main).to_contain_text(
            f"Storage is asked again for 1 sub-order of order {order}."
        )
        assert await visitor.violations() == []
        assert visitor.complaints == []

    async def asked() -> bool:
        return await asks_of(here, order) == 3

    await eventually(asked, "storage asked again")
    (entry,) = await here.rows(
        "select actor from rs_order.audit where action = 'order.asked-again' and object_id = $1",
        str(order),
    )
    assert entry["actor"] == ADMIN


async def test_an_order_that_stands_still_is_cancelled_after_a_question(
    here: Platform, visitor: Visitor
) -> None:
    order = await silent_order(here)
    main = visitor.page.locator("main")
    await visitor.sign_in(ADMIN, to="standing")
    row = visitor.page.locator("tr", has_text=f"#{order}")
    await row.get_by_role("link", name="Cancel").click()
    await expect(main).to_contain_text("is paused and deleted. This can't be undone.")
    assert await visitor.violations() == []
    await main.get_by_role("button", name="Cancel").click()

    await expect(main).to_contain_text(f"Order {order} is cancelled.")
    await expect(visitor.page.locator("tr", has_text=f"#{order}")).to_have_count(0)


async def test_every_cause_says_what_would_move_it(here: Platform) -> None:
    """A lost step, a silent catalog, a long queue and an unanswered request, with hostile texts."""
    jane = new_user(here)
    reading = await given_order(here, jane, "PENDING", label=HOSTILE["script"])
    queued = await given_order(here, jane, "RUNNING", files="p")
    await here.rows(
        "insert into completion (order_id, unavailable_since, attempts) values ($1, now(), 3)",
        reading,
    )
    await here.rows(
        "insert into dataset_task (order_id, dataset_urn, dataset_label, products_count)"
        " values ($1, 'URN:A', 'A', 1)",
        queued,
    )
    await here.rows(
        "insert into sub_order (order_id, dataset_task_id, owner, kind, state, rank, pending_files)"
        " select $1, id, $2, 'STORAGE', 'READY', '2020-01-01', 1"
        " from dataset_task where order_id = $1",
        queued,
        jane,
    )
    await here.rows(
        "insert into repeated_step (step, subject, order_id, noted_at, seen_at, next_at, times, cause)"
        " values ('expire-order', $2, $1, now(), now(), now(), 2, $3)",
        queued,
        f'{{"orderId": {queued}}}',
        HOSTILE["quotes"],
    )
    await here.rows(
        "insert into order_request (correlation_id, fingerprint, body, received_at)"
        " values ($1, $2, '{}', '2020-01-01')",
        "c-unanswered",
        b"c-unanswered",
    )
    try:
        async with session(here, ADMIN, "PROJECT_ADMIN") as client:
            page = (await client.get("/console/standing")).text
    finally:
        for table, column, value in (
            ("order_request", "correlation_id", "c-unanswered"),
            ("repeated_step", "order_id", queued),
            ("completion", "order_id", reading),
            ("sub_order", "order_id", queued),
        ):
            await here.rows(f"delete from {table} where {column} = $1", value)  # noqa: S608 - names of ours
        await here.rows(
            "update orders set status = 'FAILED' where id = any ($1)", [reading, queued]
        )

    assert "An answer of the catalog, which was asked 3 times in vain." in page
    assert "it has waited there for more than a day" in page
    assert "The step expire-order." in page
    assert "c-unanswered" in page
    assert "<script>document" not in page
    assert "<img src=x" not in page


async def test_two_operators_and_a_form_sent_twice_are_told_what_happened(here: Platform) -> None:
    """The first cancels. The second, and the first once more, learn that it is gone."""
    order = await silent_order(here)
    said = []
    for operator in (ADMIN, "other@example.org", ADMIN):
        async with session(here, operator, "PROJECT_ADMIN") as client:
            sent = {"csrf": proof_in((await client.get("/console/standing")).text)}
            headers = {"Origin": here.url}
            await client.post(f"/console/orders/{order}/cancel", data=sent, headers=headers)
            said.append((await client.get("/console/standing")).text)
            if operator != ADMIN:
                await client.post(f"/console/orders/{order}/ask-again", data=sent, headers=headers)
                said.append((await client.get("/console/standing")).text)

    assert f"Order {order} is cancelled." in said[0]
    assert all(f"Order {order} was not changed." in text for text in said[1:])
    assert "It may be deleted already." in said[1]
    assert "Storage is asked only for an order that is running." in said[2]


async def test_who_may_not_act_gets_no_buttons_and_users_no_page(here: Platform) -> None:
    order = await silent_order(here)
    async with session(here, "exploit@example.org", "EXPLOIT") as client:
        page = await client.get("/console/standing")
        sent = {"csrf": proof_in(page.text)}
        headers = {"Origin": here.url}
        asked = await client.post(f"/console/orders/{order}/ask-again", data=sent, headers=headers)
        cancelled = await client.post(f"/console/orders/{order}/cancel", data=sent, headers=headers)
    async with session(here, new_user(here)) as client:
        user = await client.get("/console/standing")

    assert f"#{order}" in page.text
    assert f"/orders/{order}/ask-again" not in page.text
    assert f"/orders/{order}/cancel" not in page.text
    assert (asked.status_code, cancelled.status_code) == (403, 403)
    assert user.status_code == 403
