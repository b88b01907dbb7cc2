"""The mail about a new order is sent once, later if it must wait, and never changes the order."""

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
    REJECTED,
    SECRET,
    UNAVAILABLE,
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
    """The mail has number, expiry date, project, and the links of domain.md 16.2."""
    order = await an_order(harness)
    await completed(harness, order)
    await harness.work()

    ((tenant, mail),) = mailer.sent
    assert (tenant, mail.to) == (TENANT, OWNER)
    assert mail.subject == f"Order number {order} is confirmed"
    assert "Your order number" in mail.html
    assert "project project1 is confirmed" in mail.html
    assert "until 9 Mar 2026 06:00:00 UTC" in mail.html
    assert '<a href="https://site/user/project1/orders">' in mail.html
    assert await harness.rows("select * from mail") == []
    assert harness.outcomes == {("ORDER_CREATED", "sent"): 1}


async def test_w24_the_token_in_the_mail_has_the_rights_of_the_owner(
    harness: MailHarness, mailer: FakeMailer
) -> None:
    """With it, the files of this order can be downloaded until the order expires."""
    order = await an_order(harness)
    await completed(harness, order)
    await harness.work()

    ((_, mail),) = mailer.sent
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
    """It still confirms the order."""
    harness = MailHarness(pool, clock, mailer=mailer, secret=None)
    await completed(harness, await an_order(harness))
    await harness.work()

    ((_, mail),) = mailer.sent
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
async def test_only_orders_of_the_site_with_files_are_confirmed(
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
    """Any value in the order becomes an escaped path below the project's address."""
    await completed(harness, await an_order(harness, front_url=path))
    await harness.work()

    ((_, mail),) = mailer.sent
    assert f'<a href="{link}">' in mail.html


async def test_promise_3_a_step_that_is_delivered_again_sends_no_second_mail(
    harness: MailHarness, mailer: FakeMailer
) -> None:
    """It comes once while the first one is running, and once after it."""
    await completed(harness, await an_order(harness))
    ((_, planned), (_, step)) = await harness.steps()
    assert planned["step"] == "remind"
    mailer.may_continue = asyncio.Event()
    first = asyncio.create_task(harness.do(TENANT, step))
    await mailer.reached.wait()
    await harness.do(TENANT, step)
    mailer.may_continue.set()
    await first
    await harness.do(TENANT, step)

    assert mailer.recipients == [OWNER]

    harness.clock.ahead += HOUR / 2
    await harness.work()

    assert mailer.recipients == [OWNER]


async def test_a_mail_is_sent_although_its_process_died(
    harness: MailHarness, mailer: FakeMailer
) -> None:
    """The step comes again, waits until the claim of the dead process ends, and sends the mail."""
    await completed(harness, await an_order(harness))
    (step,) = await planned_mails(harness)
    mailer.may_continue = asyncio.Event()
    dying = asyncio.create_task(harness.do(TENANT, step))
    await mailer.reached.wait()
    dying.cancel()
    await asyncio.wait({dying})
    mailer.may_continue = None
    await harness.work()

    assert mailer.sent == []

    harness.clock.ahead += timedelta(minutes=5)
    await harness.work()

    assert mailer.recipients == [OWNER]


async def test_a_mail_waits_for_an_unavailable_service(
    harness: MailHarness, mailer: FakeMailer
) -> None:
    """It is tried again with growing pauses, until the service takes it."""
    order = await an_order(harness)
    await completed(harness, order)
    mailer.failure = UNAVAILABLE
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
    """It is counted as given up; the order isn't changed."""
    await completed(harness, await an_order(harness))
    mailer.failure = UNAVAILABLE
    for _ in range(60):
        await harness.work()
        harness.clock.ahead += HOUR
    mailer.failure = None
    await harness.work()

    assert mailer.sent == []
    assert harness.outcomes == {("ORDER_CREATED", "given-up"): 1}
    assert await harness.rows("select * from mail") == []
    assert await harness.rows("select status from orders") == [("RUNNING",)]


async def test_a_rejected_mail_is_not_sent_again(harness: MailHarness, mailer: FakeMailer) -> None:
    await completed(harness, await an_order(harness))
    mailer.failure = REJECTED
    await harness.work()

    assert await planned_mails(harness) == []
    assert harness.outcomes == {("ORDER_CREATED", "refused"): 1}
    assert await harness.rows("select * from mail") == []


async def test_an_owner_without_a_valid_address_gets_no_mail(
    harness: MailHarness, mailer: FakeMailer
) -> None:
    """Nor does a second recipient after a line break in the name."""
    await completed(harness, await an_order(harness, owner="a@b.c\r\nBcc: evil@example.org"))
    await harness.work()

    assert mailer.sent == []
    assert harness.outcomes == {("ORDER_CREATED", "refused"): 1}


@pytest.mark.parametrize("status", [OrderStatus.DELETED, OrderStatus.EXPIRED])
async def test_a_deleted_or_expired_order_is_not_confirmed(
    status: OrderStatus, harness: MailHarness, mailer: FakeMailer
) -> None:
    """The order ended while its mail had to wait."""
    order = await an_order(harness)
    await completed(harness, order)
    await harness.rows("update orders set status = 'PAUSED' where id = $1", order)
    await harness.rows("update orders set status = $2 where id = $1", order, status)
    await harness.work()

    assert mailer.sent == []
    assert harness.outcomes == {("ORDER_CREATED", "obsolete"): 1}


async def test_without_a_mail_service_mails_are_counted_and_dropped(
    pool: Pool, clock: ManualClock
) -> None:
    harness = MailHarness(pool, clock, mailer=None)
    await completed(harness, await an_order(harness))
    await harness.work()

    assert harness.outcomes == {("ORDER_CREATED", "not-configured"): 1}
    assert await harness.rows("select * from mail") == []


async def test_each_tenant_gets_its_language(harness: MailHarness, mailer: FakeMailer) -> None:
    """Promise 7: each mail has the number, project and language of its tenant."""
    for tenant in (TENANT, OTHER):
        await completed(harness, await an_order(harness, tenant=tenant), tenant)
    await harness.work()

    subjects = {tenant: mail.subject for tenant, mail in mailer.sent}
    assert subjects == {
        TENANT: "Order number 1 is confirmed",
        OTHER: "La commande numéro 1 est confirmée",
    }


async def test_a_template_that_fails_is_reported_and_replaced(
    pool: Pool, clock: ManualClock, mailer: FakeMailer, tmp_path: Path
) -> None:
    """The project's administrators get one notification per day, with its name and the variable."""
    (tmp_path / "ORDER_CREATED_TEMPLATE.en.html").write_text("{{ order_labl }}")
    harness = MailHarness(pool, clock, mailer=mailer, folder=tmp_path)
    for _ in range(3):
        await completed(harness, await an_order(harness))
    await harness.work()

    assert len(mailer.sent) == 3
    assert all("is confirmed" in mail.html for _, mail in mailer.sent)
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
