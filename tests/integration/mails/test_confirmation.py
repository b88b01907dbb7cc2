"""The mail about a new order leaves once, late when it must, and never at the expense of the order."""

import asyncio
import re
from datetime import timedelta
from pathlib import Path

import jwt
import pytest

from rs_order.domain.states import OrderStatus
from rs_order.store.pool import Pool
from tests.integration.conftest import OTHER, TENANT
from tests.integration.mails.office import (
    DAY,
    HOUR,
    MONDAY,
    REFUSAL,
    SECRET,
    TROUBLE,
    Office,
    Postman,
    StandingClock,
    an_order,
    completed,
    planned_mails,
)
from tests.support.rows import OWNER


async def test_a_new_order_is_confirmed_to_its_owner(office: Office, postman: Postman) -> None:
    """Number, expiry, project, and the links of domain.md 16.2 below the project's address."""
    order = await an_order(office)
    await completed(office, order)
    await office.work()

    ((tenant, mail),) = postman.taken
    assert (tenant, mail.to) == (TENANT, OWNER)
    assert mail.subject == f"Order number {order} is confirmed"
    assert "Your order number" in mail.html
    assert "project project1 is confirmed" in mail.html
    assert "until 9 Mar 2026 06:00:00 UTC" in mail.html
    assert '<a href="https://site/user/project1/orders">' in mail.html
    assert await office.rows("select * from mail") == []
    assert office.outcomes == {("ORDER_CREATED", "sent"): 1}


async def test_w24_the_mailed_token_speaks_for_the_owner(office: Office, postman: Postman) -> None:
    """Of this order, until it expires; so the files behind the link can be had."""
    order = await an_order(office)
    await completed(office, order)
    await office.work()

    ((_, mail),) = postman.taken
    (token,) = re.findall(
        r"https://site/api/v1/rs-order/user/orders/metalink/download"
        r"\?orderToken=([\w\-.]+)&amp;scope=project1",
        mail.html,
    )
    assert jwt.decode(token, SECRET, ["HS256"], options={"verify_exp": False}) == {
        "tenant": "project1",
        "role": "REGISTERED_USER",
        "sub": OWNER,
        "email": OWNER,
        "ORDER_ID": str(order),
        "exp": int((MONDAY + 7 * DAY).timestamp()),
    }


async def test_without_a_key_the_mail_has_no_metalink(
    pool: Pool, clock: StandingClock, postman: Postman
) -> None:
    """It confirms the order all the same."""
    office = Office(pool, clock, postman=postman, secret=None)
    await completed(office, await an_order(office))
    await office.work()

    ((_, mail),) = postman.taken
    assert "orderToken" not in mail.html
    assert "https://site/user/project1/orders" in mail.html


@pytest.mark.parametrize(
    ("status", "front_url", "mails"),
    [
        (OrderStatus.RUNNING, "/orders", 1),
        (OrderStatus.DONE, "/orders", 1),
        (OrderStatus.DONE_WITH_WARNING, "/orders", 0),
        (OrderStatus.FAILED, "/orders", 0),
        (OrderStatus.RUNNING, None, 0),
        (OrderStatus.RUNNING, "", 0),
    ],
)
async def test_only_orders_of_the_site_that_bring_files_are_confirmed(
    status: OrderStatus, front_url: str | None, mails: int, office: Office
) -> None:
    await completed(office, await an_order(office, status=status, front_url=front_url))

    assert len(await planned_mails(office)) == mails


@pytest.mark.parametrize(
    ("path", "link"),
    [
        ("orders", "https://site/orders"),
        ("//evil.example/x", "https://site/evil.example/x"),
        ("@evil.example", "https://site/@evil.example"),
        ('/"><script>', "https://site/&#34;&gt;&lt;script&gt;"),
    ],
)
async def test_the_link_to_the_site_never_leads_elsewhere(
    path: str, link: str, office: Office, postman: Postman
) -> None:
    """Whatever the order was made with, it is a path below the project's address, and escaped."""
    await completed(office, await an_order(office, front_url=path))
    await office.work()

    ((_, mail),) = postman.taken
    assert f'<a href="{link}">' in mail.html


async def test_promise_3_nothing_twice_for_a_step_that_comes_again(
    office: Office, postman: Postman
) -> None:
    """After the first is done, and while it is at work: the mail is sent once."""
    await completed(office, await an_order(office))
    ((_, planned), (_, step)) = await office.steps()
    assert planned["step"] == "remind"
    postman.gate = asyncio.Event()
    first = asyncio.create_task(office.do(TENANT, step))
    await postman.arrived.wait()
    await office.do(TENANT, step)
    postman.gate.set()
    await first
    await office.do(TENANT, step)

    assert postman.recipients == [OWNER]

    office.clock.at += HOUR / 2
    await office.work()

    assert postman.recipients == [OWNER]


async def test_a_mail_outlives_who_claimed_it(office: Office, postman: Postman) -> None:
    """A process that died over it: its step comes again, waits out the claim, and sends."""
    await completed(office, await an_order(office))
    (step,) = await planned_mails(office)
    postman.gate = asyncio.Event()
    dying = asyncio.create_task(office.do(TENANT, step))
    await postman.arrived.wait()
    dying.cancel()
    await asyncio.wait({dying})
    postman.gate = None
    await office.work()

    assert postman.taken == []

    office.clock.at += timedelta(minutes=5)
    await office.work()

    assert postman.recipients == [OWNER]


async def test_a_mail_waits_for_a_service_that_is_away(office: Office, postman: Postman) -> None:
    """Tried again with growing pauses; it arrives when the service is back."""
    order = await an_order(office)
    await completed(office, order)
    postman.failure = TROUBLE
    pauses = []
    for _ in range(9):
        await office.work()
        (due_at,) = [due for due, step in await office.steps() if step["step"] == "send-mail"]
        assert due_at is not None
        pauses.append((due_at - office.clock.at).total_seconds())
        office.clock.at = due_at
    postman.failure = None
    await office.work()

    assert pauses == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]
    assert postman.recipients == [OWNER]
    assert await office.rows("select status from orders") == [("RUNNING",)]
    assert office.outcomes == {("ORDER_CREATED", "sent"): 1}


async def test_a_mail_is_given_up_after_a_day(office: Office, postman: Postman) -> None:
    """Counted as given up; the order isn't touched."""
    await completed(office, await an_order(office))
    postman.failure = TROUBLE
    for _ in range(60):
        await office.work()
        office.clock.at += HOUR
    postman.failure = None
    await office.work()

    assert postman.taken == []
    assert office.outcomes == {("ORDER_CREATED", "given-up"): 1}
    assert await office.rows("select * from mail") == []
    assert await office.rows("select status from orders") == [("RUNNING",)]


async def test_a_mail_that_is_refused_is_not_sent_again(office: Office, postman: Postman) -> None:
    await completed(office, await an_order(office))
    postman.failure = REFUSAL
    await office.work()

    assert await planned_mails(office) == []
    assert office.outcomes == {("ORDER_CREATED", "refused"): 1}
    assert await office.rows("select * from mail") == []


async def test_an_owner_who_is_no_address_gets_no_mail(office: Office, postman: Postman) -> None:
    """Nor does anybody he names behind a line break."""
    await completed(office, await an_order(office, owner="a@b.c\r\nBcc: evil@example.org"))
    await office.work()

    assert postman.taken == []
    assert office.outcomes == {("ORDER_CREATED", "refused"): 1}


@pytest.mark.parametrize("status", [OrderStatus.DELETED, OrderStatus.EXPIRED])
async def test_an_order_that_is_gone_is_not_confirmed(
    status: OrderStatus, office: Office, postman: Postman
) -> None:
    """When its mail had to wait and the order didn't."""
    order = await an_order(office)
    await completed(office, order)
    await office.rows("update orders set status = 'PAUSED' where id = $1", order)
    await office.rows("update orders set status = $2 where id = $1", order, status)
    await office.work()

    assert postman.taken == []
    assert office.outcomes == {("ORDER_CREATED", "obsolete"): 1}


async def test_where_no_way_is_set_mails_are_counted_and_forgotten(
    pool: Pool, clock: StandingClock
) -> None:
    office = Office(pool, clock, postman=None)
    await completed(office, await an_order(office))
    await office.work()

    assert office.outcomes == {("ORDER_CREATED", "not-configured"): 1}
    assert await office.rows("select * from mail") == []


async def test_each_tenant_gets_its_language(office: Office, postman: Postman) -> None:
    """Promise 7: number, project and words are the tenant's own."""
    for tenant in (TENANT, OTHER):
        await completed(office, await an_order(office, tenant=tenant), tenant)
    await office.work()

    subjects = {tenant: mail.subject for tenant, mail in postman.taken}
    assert subjects == {
        TENANT: "Order number 1 is confirmed",
        OTHER: "La commande numéro 1 est confirmée",
    }


async def test_a_template_that_fails_is_told_and_costs_no_mail(
    pool: Pool, clock: StandingClock, postman: Postman, tmp_path: Path
) -> None:
    """Once a day, to the project's administrators, with its name and the variable."""
    (tmp_path / "ORDER_CREATED_TEMPLATE.en.html").write_text("{{ order_labl }}")
    office = Office(pool, clock, postman=postman, folder=tmp_path)
    for _ in range(3):
        await completed(office, await an_order(office))
    await office.work()

    assert len(postman.taken) == 3
    assert all("is confirmed" in mail.html for _, mail in postman.taken)
    assert await office.notifications() == [
        {
            "title": "Mail template",
            "message": (
                "The template \"ORDER_CREATED_TEMPLATE.en.html\" can't be used: 'order_labl' is "
                "undefined. The packaged template was taken in its place; correct the file, it is "
                "read again with the next mail."
            ),
            "level": "ERROR",
            "sender": "rs-order",
            "roleRecipients": ["PROJECT_ADMIN"],
            "projectUserRecipients": [],
            "mimeType": "text/plain",
        }
    ]
