"""Owners are reminded once per run of files that wait for them, even if a run fails or is missed."""

import asyncio
import re
from datetime import UTC, datetime

import pytest

from rs_order.core.policies import SliceSizes
from rs_order.domain.states import OrderStatus
from rs_order.store.pool import Pool
from tests.integration.conftest import TENANT
from tests.integration.mails.mail_harness import (
    DAY,
    HOUR,
    MONDAY,
    UNAVAILABLE,
    FakeMailer,
    MailHarness,
    an_order,
    completed,
    planned_mails,
    waiting,
)
from tests.support.clock import ManualClock
from tests.support.rows import OWNER


async def next_day(harness: MailHarness) -> None:
    """Let a day pass, and run the due steps."""
    harness.clock.ahead += DAY
    await harness.work()


async def test_owners_are_reminded_of_files_that_wait(
    harness: MailHarness, mailer: FakeMailer
) -> None:
    """Each owner gets one mail, with only their own orders, by their creation."""
    await harness.plan.resume(TENANT)
    await waiting(harness, label="second", since=MONDAY - 80 * HOUR, available=7)
    await waiting(harness, label="first", since=MONDAY - 90 * HOUR)
    await waiting(harness, label="too young", since=MONDAY - 40 * HOUR)
    await waiting(harness, label="john's", owner="john@example.org", since=MONDAY - 80 * HOUR)
    await next_day(harness)

    assert sorted(mailer.recipients) == [OWNER, "john@example.org"]
    mails = {mail.to: mail for _, mail in mailer.sent}
    assert mails[OWNER].subject == "Reminder: some orders are waiting for you"
    assert re.findall(r"<td>([^<]*)</td>", mails[OWNER].html) == [
        *("first", "26 Feb 2026 12:00:00 UTC", "5 Mar 2026 12:00:00 UTC", "1"),
        "26 Feb 2026 12:00:00 UTC",
        *("second", "26 Feb 2026 22:00:00 UTC", "5 Mar 2026 22:00:00 UTC", "7"),
        "26 Feb 2026 22:00:00 UTC",
    ]
    assert "john" not in mails[OWNER].html
    assert harness.outcomes == {("REMINDER", "sent"): 2}


@pytest.mark.parametrize("status", list(OrderStatus))
async def test_only_orders_with_downloadable_files_are_in_reminders(
    status: OrderStatus, harness: MailHarness, mailer: FakeMailer
) -> None:
    """This is the rule of domain.md 10.2."""
    await harness.plan.resume(TENANT)
    await waiting(harness, since=MONDAY - 80 * HOUR, status=status)
    await next_day(harness)

    never = {"PENDING", "DELETED", "FAILED", "EXPIRED"}
    assert mailer.recipients == ([] if status in never else [OWNER])


async def test_the_next_reminder_waits_the_full_delay_again(
    harness: MailHarness, mailer: FakeMailer
) -> None:
    """It is 72 hours by default; a daily run in between sends nothing."""
    await harness.plan.resume(TENANT)
    await waiting(harness, since=MONDAY - 80 * HOUR, kept_days=30)
    sent = []
    for _ in range(8):
        await next_day(harness)
        sent.append(len(mailer.sent))

    assert sent == [1, 1, 1, 1, 2, 2, 2, 2]


async def test_the_delay_is_a_setting_of_the_tenant(
    harness: MailHarness, mailer: FakeMailer
) -> None:
    await harness.rows(
        "insert into setting (name, value) values ('user_order_parameters',"
        """ '{"subOrderDuration": 240, "delayBeforeEmailNotification": 10}')"""
    )
    await harness.plan.resume(TENANT)
    await waiting(harness, label="old", since=MONDAY + DAY - 11 * HOUR)
    await waiting(harness, label="young", since=MONDAY + DAY - 9 * HOUR)
    await next_day(harness)

    ((_, mail),) = mailer.sent
    assert "old" in mail.html
    assert "young" not in mail.html


async def test_three_instances_remind_once(
    pool: Pool, clock: ManualClock, mailer: FakeMailer
) -> None:
    """Promise 6: each plans a run at its start and handles every step. There is one run and one mail."""
    instances = [MailHarness(pool, clock, mailer=mailer) for _ in range(3)]
    await asyncio.gather(*(harness.plan.resume(TENANT) for harness in instances))
    ((_, run),) = await instances[0].steps()
    await waiting(instances[0], since=MONDAY - 80 * HOUR)
    clock.ahead += 1.5 * HOUR
    await asyncio.gather(*(harness.do(TENANT, run) for harness in instances))
    (page,) = [step for due, step in await instances[0].steps() if "after" in step]
    await asyncio.gather(*(harness.do(TENANT, page) for harness in instances))
    (mail,) = await planned_mails(instances[0])
    await asyncio.gather(*(harness.do(TENANT, mail) for harness in instances))
    clock.ahead += HOUR
    for harness in instances:
        await harness.work()

    assert mailer.recipients == [OWNER]


async def test_an_order_past_its_expiry_date_is_left_out(
    harness: MailHarness, mailer: FakeMailer
) -> None:
    """Its expiry may be due at the same moment as the reminder."""
    await harness.plan.resume(TENANT)
    await waiting(harness, since=MONDAY - 80 * HOUR, kept_days=1)
    await next_day(harness)

    assert mailer.sent == []


async def test_missed_runs_are_done_once(harness: MailHarness, mailer: FakeMailer) -> None:
    """After an outage of ten days there is one run at the start; the next one has its normal time."""
    await harness.plan.resume(TENANT)
    await waiting(harness, since=MONDAY - 80 * HOUR, kept_days=30)
    harness.clock.ahead += 10 * DAY
    await harness.plan.resume(TENANT)
    await harness.work()

    assert mailer.recipients == [OWNER]
    assert await harness.steps() == [
        (datetime(2026, 3, 12, 7, tzinfo=UTC), {"step": "remind", "round": 3})
    ]


async def test_a_page_that_fails_does_not_end_the_runs(harness: MailHarness) -> None:
    """The next run was planned before, in an earlier commit."""
    await harness.plan.resume(TENANT)
    ((_, run),) = await harness.steps()
    harness.clock.ahead += HOUR
    await harness.do(TENANT, run)
    _, following, page = await harness.steps()

    assert following[1] == {"step": "remind", "round": 3}
    assert page == (None, {"step": "remind", "round": 2, "after": ""})


async def test_a_changed_schedule_replaces_the_old_one(
    pool: Pool, clock: ManualClock, mailer: FakeMailer
) -> None:
    """It does so at the next start; the run that the old schedule planned does nothing."""
    yearly = MailHarness(pool, clock, mailer=mailer, cron="0 0 0 1 1 *")
    hourly = MailHarness(pool, clock, mailer=mailer, cron="0 0 * * * *")
    await yearly.plan.resume(TENANT)
    await hourly.plan.resume(TENANT)
    await hourly.plan.resume(TENANT)
    (old, new) = await hourly.steps()

    assert old[0] == datetime(2027, 1, 1, tzinfo=UTC)
    assert new[0] == datetime(2026, 3, 2, 7, tzinfo=UTC)

    await waiting(hourly, since=MONDAY - 80 * HOUR)
    await hourly.do(TENANT, old[1])

    assert await hourly.rows("select * from mail") == []

    clock.ahead += HOUR
    await hourly.work()

    assert mailer.recipients == [OWNER]


async def test_the_first_order_of_a_tenant_begins_its_runs(harness: MailHarness) -> None:
    """The tenant was added while the service ran. The second order begins nothing."""
    for _ in range(2):
        await completed(harness, await an_order(harness, front_url=None))

    assert await harness.steps() == [
        (datetime(2026, 3, 2, 7, tzinfo=UTC), {"step": "remind", "round": 2})
    ]


async def test_many_owners_are_checked_page_by_page(
    pool: Pool, clock: ManualClock, mailer: FakeMailer
) -> None:
    """All due owners get a mail, and only these."""
    harness = MailHarness(pool, clock, mailer=mailer, sizes=SliceSizes(reminded_owners=20))
    await harness.rows(
        "insert into orders (owner, role, label, correlation_id, status, sub_order_hours,"
        " available_files, available_at)"
        " select 'user' || lpad(n::text, 3, '0') || '@example.org', 'REGISTERED_USER', 'l', 'c',"
        " 'DONE', 2, 1, $1::timestamptz - n % 2 * interval '80 hours' from generate_series(1, 90) n",
        MONDAY + HOUR,
    )
    await harness.plan.resume(TENANT)
    harness.clock.ahead += HOUR
    steps = await harness.work()

    assert sorted(mailer.recipients) == [f"user{n:03}@example.org" for n in range(1, 91, 2)]
    assert steps == 1 + 6 + 45  # the begin of the run, pages of 20 and an empty one, and the mails


async def test_a_page_that_is_delivered_again_plans_no_second_mail(
    harness: MailHarness, mailer: FakeMailer
) -> None:
    """Promise 3: this holds before its mails are sent, and after."""
    await harness.plan.resume(TENANT)
    await waiting(harness, since=MONDAY - 80 * HOUR)
    harness.clock.ahead += HOUR
    await harness.do(TENANT, {"step": "remind", "round": 2, "after": ""})
    await harness.do(TENANT, {"step": "remind", "round": 2, "after": ""})

    assert len(await planned_mails(harness)) == 1

    await harness.work()
    await harness.do(TENANT, {"step": "remind", "round": 2, "after": ""})
    await harness.work()

    assert mailer.recipients == [OWNER]


async def test_one_owner_of_many_orders_gets_one_mail_of_bounded_length(
    pool: Pool, clock: ManualClock, mailer: FakeMailer
) -> None:
    """It lists 1000 orders and counts the rest. All orders are marked as reminded, in slices."""
    harness = MailHarness(pool, clock, mailer=mailer, sizes=SliceSizes(reminded_orders=400))
    await harness.rows(
        "insert into orders (owner, role, label, correlation_id, status, sub_order_hours, created_at,"
        " available_files, available_at)"
        " select $1, 'REGISTERED_USER', 'label ' || n, 'c', 'DONE', 2, $2::timestamptz + n * interval '1 s',"
        " 1, $2 from generate_series(1, 1234) n",
        OWNER,
        MONDAY - 80 * HOUR,
    )
    await harness.plan.resume(TENANT)
    harness.clock.ahead += HOUR
    steps = await harness.work()

    ((_, mail),) = mailer.sent
    assert re.findall(r"<td>label (\d+)</td>", mail.html) == [str(n) for n in range(1, 1001)]
    assert "<p>And 234 more.</p>" in mail.html
    assert await harness.rows("select count(*) from orders where available_at < $1", MONDAY) == [
        (0,)
    ]
    assert await harness.rows("select * from mail") == []
    assert steps == 3 + 4  # the begin and two pages of owners; the mail, and three more slices


async def test_files_that_were_downloaded_meanwhile_are_not_in_a_reminder(
    harness: MailHarness, mailer: FakeMailer
) -> None:
    """A delayed mail lists what waits when it is sent. Without any file it is not sent."""
    await harness.plan.resume(TENANT)
    await waiting(harness, since=MONDAY - 80 * HOUR)
    mailer.failure = UNAVAILABLE
    await next_day(harness)
    await harness.rows("update orders set available_files = 0, available_at = null")
    mailer.failure = None
    await next_day(harness)

    assert mailer.sent == []
    assert harness.outcomes == {("REMINDER", "obsolete"): 1}


async def test_a_reminder_that_could_not_be_sent_is_planned_again_by_a_later_run(
    harness: MailHarness, mailer: FakeMailer
) -> None:
    """While a reminder is being tried, no second one is planned; once it is given up, another is."""
    await harness.plan.resume(TENANT)
    await waiting(harness, since=MONDAY - 80 * HOUR)
    mailer.failure = UNAVAILABLE
    for _ in range(20):
        harness.clock.ahead += HOUR
        await harness.work()

    assert await harness.rows("select count(*) from mail") == [(1,)]

    for _ in range(20):
        harness.clock.ahead += HOUR
        await harness.work()
    mailer.failure = None
    for _ in range(24):
        harness.clock.ahead += HOUR
        await harness.work()

    assert mailer.recipients == [OWNER]
    assert harness.outcomes == {("REMINDER", "given-up"): 1, ("REMINDER", "sent"): 1}


async def test_marking_continues_after_a_crash(harness: MailHarness, mailer: FakeMailer) -> None:
    """A reminder that was sent is not sent again; the next step marks its orders as reminded."""
    await harness.plan.resume(TENANT)
    await waiting(harness, since=MONDAY - 80 * HOUR)
    await harness.rows(
        "insert into mail (kind, owner, available_before, attempts, sent)"
        " values ('REMINDER', $1, $2, 1, true)",
        OWNER,
        MONDAY - 72 * HOUR,
    )
    await harness.do(TENANT, {"step": "send-mail", "mail": 1})

    assert mailer.sent == []
    assert await harness.rows("select available_at from orders") == [(MONDAY,)]
    assert await harness.rows("select * from mail") == []


async def test_reminders_can_be_switched_off_and_on(
    pool: Pool, clock: ManualClock, mailer: FakeMailer
) -> None:
    """While the expression is ``-``, a run that was planned before does nothing, and none is planned."""
    on, off = (MailHarness(pool, clock, mailer=mailer, cron=cron) for cron in ("0 0 7 * * *", "-"))
    await on.plan.resume(TENANT)
    await waiting(on, since=MONDAY - 80 * HOUR)
    await off.plan.resume(TENANT)
    await off.plan.resume(TENANT)
    await next_day(off)

    assert await off.steps() == []
    assert mailer.recipients == []

    await on.plan.resume(TENANT)
    await next_day(on)

    assert mailer.recipients == [OWNER]
