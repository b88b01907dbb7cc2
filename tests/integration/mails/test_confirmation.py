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
from tests.integration.mails.mail_harness import (
    DAY,
    HOUR,
    MONDAY,
    REFUSAL,
    SECRET,
    TROUBLE,
    FakeMailer,
    MailHarness,
    an_order,
    completed,
    planned_mails,
)
from tests.support.clock import ManualClock
from tests.support.rows import OWNER


async def test_a_new_order_is_confirmed_to_its_owner(
    harness: MailHarness, mailer: FakeMailer
) -> None:
    """Number, expiry, project, and the links of domain.md 16.2 below the project's address."""
    order = await an_order(harness)
    await completed(harness, order)
    await harness.work()

    ((tenant, mail),) = mailer.taken
    assert (tenant, mail.to) == (TENANT, OWNER)
    assert mail.subject == f"Order number {order} is confirmed"
    assert "Your order number" in mail.html
    assert "project project1 is confirmed" in mail.html
    assert "until 9 Mar 2026 06:00:00 UTC" in mail.html
    assert '<a href="https://site/user/project1/orders">' in mail.html
    assert await harness.rows("select * from mail") == []
    assert harness.outcomes == {("ORDER_CREATED", "sent"): 1}


async def test_w24_the_mailed_token_speaks_for_the_owner(
    harness: MailHarness, mailer: FakeMailer
) -> None:
    """Of this order, until it expires; so the files behind the link can be had."""
    order = await an_order(harness)
    await completed(harness, order)
    await harness.work()

    ((_, mail),) = mailer.taken
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
    pool: Pool, clock: ManualClock, mailer: FakeMailer
) -> None:
    """It confirms the order all the same."""
    harness = MailHarness(pool, clock, mailer=mailer, secret=None)
    await completed(harness, await an_order(harness))
    await harness.work()

    ((_, mail),) = mailer.taken
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
    status: OrderStatus, front_url: str | None, mails: int, harness: MailHarness
) -> None:
    await completed(harness, await an_order(harness, status=status, front_url=front_url))

    assert len(await planned_mails(harness)) == mails


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
    path: str, link: str, harness: MailHarness, mailer: FakeMailer
) -> None:
    """Whatever the order was made with, it is a path below the project's address, and escaped."""
    await completed(harness, await an_order(harness, front_url=path))
    await harness.work()

    ((_, mail),) = mailer.taken
    assert f'<a href="{link}">' in mail.html


async def test_promise_3_nothing_twice_for_a_step_that_comes_again(
    harness: MailHarness, mailer: FakeMailer
) -> None:
    """After the first is done, and while it is at work: the mail is sent once."""
    await completed(harness, await an_order(harness))
    ((_, planned), (_, step)) = await harness.steps()
    assert planned["step"] == "remind"
    mailer.gate = asyncio.Event()
    first = asyncio.create_task(harness.do(TENANT, step))
    await mailer.arrived.wait()
    await harness.do(TENANT, step)
    mailer.gate.set()
    await first
    await harness.do(TENANT, step)

    assert mailer.recipients == [OWNER]

    harness.clock.ahead += HOUR / 2
    await harness.work()

    assert mailer.recipients == [OWNER]


async def test_a_mail_outlives_who_claimed_it(harness: MailHarness, mailer: FakeMailer) -> None:
    """A process that died over it: its step comes again, waits out the claim, and sends."""
    await completed(harness, await an_order(harness))
    (step,) = await planned_mails(harness)
    mailer.gate = asyncio.Event()
    dying = asyncio.create_task(harness.do(TENANT, step))
    await mailer.arrived.wait()
    dying.cancel()
    await asyncio.wait({dying})
    mailer.gate = None
    await harness.work()

    assert mailer.taken == []

    harness.clock.ahead += timedelta(minutes=5)
    await harness.work()

    assert mailer.recipients == [OWNER]


async def test_a_mail_waits_for_a_service_that_is_away(
    harness: MailHarness, mailer: FakeMailer
) -> None:
    """Tried again with growing pauses; it arrives when the service is back."""
    order = await an_order(harness)
    await completed(harness, order)
    mailer.failure = TROUBLE
    pauses = []
    for _ in range(9):
        await harness.work()
        (due_at,) = [due for due, step in await harness.steps() if step["step"] == "send-mail"]
        assert due_at is not None
        pauses.append((due_at - harness.clock.now()).total_seconds())
        harness.clock.set(due_at)
    mailer.failure = None
    await harness.work()

    assert pauses == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]
    assert mailer.recipients == [OWNER]
    assert await harness.rows("select status from orders") == [("RUNNING",)]
    assert harness.outcomes == {("ORDER_CREATED", "sent"): 1}


async def test_a_mail_is_given_up_after_a_day(harness: MailHarness, mailer: FakeMailer) -> None:
    """Counted as given up; the order isn't touched."""
    await completed(harness, await an_order(harness))
    mailer.failure = TROUBLE
    for _ in range(60):
        await harness.work()
        harness.clock.ahead += HOUR
    mailer.failure = None
    await harness.work()

    assert mailer.taken == []
    assert harness.outcomes == {("ORDER_CREATED", "given-up"): 1}
    assert await harness.rows("select * from mail") == []
    assert await harness.rows("select status from orders") == [("RUNNING",)]


async def test_a_mail_that_is_refused_is_not_sent_again(
    harness: MailHarness, mailer: FakeMailer
) -> None:
    await completed(harness, await an_order(harness))
    mailer.failure = REFUSAL
    await harness.work()

    assert await planned_mails(harness) == []
    assert harness.outcomes == {("ORDER_CREATED", "refused"): 1}
    assert await harness.rows("select * from mail") == []


async def test_an_owner_who_is_no_address_gets_no_mail(
    harness: MailHarness, mailer: FakeMailer
) -> None:
    """Nor does anybody he names behind a line break."""
    await completed(harness, await an_order(harness, owner="a@b.c\r\nBcc: evil@example.org"))
    await harness.work()

    assert mailer.taken == []
    assert harness.outcomes == {("ORDER_CREATED", "refused"): 1}


@pytest.mark.parametrize("status", [OrderStatus.DELETED, OrderStatus.EXPIRED])
async def test_an_order_that_is_gone_is_not_confirmed(
    status: OrderStatus, harness: MailHarness, mailer: FakeMailer
) -> None:
    """When its mail had to wait and the order didn't."""
    order = await an_order(harness)
    await completed(harness, order)
    await harness.rows("update orders set status = 'PAUSED' where id = $1", order)
    await harness.rows("update orders set status = $2 where id = $1", order, status)
    await harness.work()

    assert mailer.taken == []
    assert harness.outcomes == {("ORDER_CREATED", "obsolete"): 1}


async def test_where_no_way_is_set_mails_are_counted_and_forgotten(
    pool: Pool, clock: ManualClock
) -> None:
    harness = MailHarness(pool, clock, mailer=None)
    await completed(harness, await an_order(harness))
    await harness.work()

    assert harness.outcomes == {("ORDER_CREATED", "not-configured"): 1}
    assert await harness.rows("select * from mail") == []


async def test_each_tenant_gets_its_language(harness: MailHarness, mailer: FakeMailer) -> None:
    """Promise 7: number, project and words are the tenant's own."""
    for tenant in (TENANT, OTHER):
        await completed(harness, await an_order(harness, tenant=tenant), tenant)
    await harness.work()

    subjects = {tenant: mail.subject for tenant, mail in mailer.taken}
    assert subjects == {
        TENANT: "Order number 1 is confirmed",
        OTHER: "La commande numéro 1 est confirmée",
    }


async def test_a_template_that_fails_is_told_and_costs_no_mail(
    pool: Pool, clock: ManualClock, mailer: FakeMailer, tmp_path: Path
) -> None:
    """Once a day, to the project's administrators, with its name and the variable."""
    (tmp_path / "ORDER_CREATED_TEMPLATE.en.html").write_text("{{ order_labl }}")
    harness = MailHarness(pool, clock, mailer=mailer, folder=tmp_path)
    for _ in range(3):
        await completed(harness, await an_order(harness))
    await harness.work()

    assert len(mailer.taken) == 3
    assert all("is confirmed" in mail.html for _, mail in mailer.taken)
    assert await harness.notifications() == [
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
