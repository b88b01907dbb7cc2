"""Owners are reminded of files that wait for them, once a round, whatever happens to it."""

import asyncio
import re
from datetime import UTC, datetime

import pytest

from rs_order.application.mails import remind, send
from rs_order.domain.states import OrderStatus
from rs_order.store.pool import Pool
from tests.integration.conftest import TENANT
from tests.integration.mails.office import (
    DAY,
    HOUR,
    MONDAY,
    TROUBLE,
    Office,
    Postman,
    StandingClock,
    an_order,
    completed,
    planned_mails,
    waiting,
)
from tests.support.rows import OWNER


async def a_round(office: Office, days: float = 1) -> None:
    """Let time pass and do what is due."""
    office.clock.at += days * DAY
    await office.work()


async def test_owners_are_reminded_of_files_that_wait(office: Office, postman: Postman) -> None:
    """One mail for each owner, his orders by their creation; others' are not in it."""
    await office.plan.wake(TENANT)
    await waiting(office, label="second", since=MONDAY - 80 * HOUR, available=7)
    await waiting(office, label="first", since=MONDAY - 90 * HOUR)
    await waiting(office, label="too young", since=MONDAY - 40 * HOUR)
    await waiting(office, label="john's", owner="john@example.org", since=MONDAY - 80 * HOUR)
    await a_round(office)

    assert sorted(postman.recipients) == [OWNER, "john@example.org"]
    mails = {mail.to: mail for _, mail in postman.taken}
    assert mails[OWNER].subject == "Reminder: some orders are waiting for you"
    assert re.findall(r"<td>([^<]*)</td>", mails[OWNER].html) == [
        *("first", "26 Feb 2026 12:00:00 UTC", "5 Mar 2026 12:00:00 UTC", "1"),
        "26 Feb 2026 12:00:00 UTC",
        *("second", "26 Feb 2026 22:00:00 UTC", "5 Mar 2026 22:00:00 UTC", "7"),
        "26 Feb 2026 22:00:00 UTC",
    ]
    assert "john" not in mails[OWNER].html
    assert office.outcomes == {("REMINDER", "sent"): 2}


@pytest.mark.parametrize("status", list(OrderStatus))
async def test_only_orders_of_which_files_can_be_had_are_reminded_of(
    status: OrderStatus, office: Office, postman: Postman
) -> None:
    """Domain.md 10.2."""
    await office.plan.wake(TENANT)
    await waiting(office, since=MONDAY - 80 * HOUR, status=status)
    await a_round(office)

    never = {"PENDING", "DELETED", "FAILED", "EXPIRED"}
    assert postman.recipients == ([] if status in never else [OWNER])


async def test_the_next_reminder_waits_the_full_delay_again(
    office: Office, postman: Postman
) -> None:
    """72 hours unless the tenant says otherwise; a daily round in between sends nothing."""
    await office.plan.wake(TENANT)
    await waiting(office, since=MONDAY - 80 * HOUR)
    sent = []
    for _ in range(8):
        await a_round(office)
        sent.append(len(postman.taken))

    assert sent == [1, 1, 1, 1, 2, 2, 2, 2]


async def test_the_delay_is_the_tenants(office: Office, postman: Postman) -> None:
    await office.rows(
        "insert into setting (name, value) values ('user_order_parameters',"
        """ '{"subOrderDuration": 240, "delayBeforeEmailNotification": 10}')"""
    )
    await office.plan.wake(TENANT)
    await waiting(office, label="old", since=MONDAY + DAY - 11 * HOUR)
    await waiting(office, label="young", since=MONDAY + DAY - 9 * HOUR)
    await a_round(office)

    ((_, mail),) = postman.taken
    assert "old" in mail.html
    assert "young" not in mail.html


async def test_three_instances_remind_once(
    pool: Pool, clock: StandingClock, postman: Postman
) -> None:
    """Promise 6: each plans at its start and takes every step; one round, one mail."""
    offices = [Office(pool, clock, postman=postman) for _ in range(3)]
    await asyncio.gather(*(office.plan.wake(TENANT) for office in offices))
    ((_, round_),) = await offices[0].steps()
    await waiting(offices[0], since=MONDAY - 80 * HOUR)
    clock.at += 1.5 * HOUR
    await asyncio.gather(*(office.do(TENANT, round_) for office in offices))
    (page,) = [step for due, step in await offices[0].steps() if "after" in step]
    await asyncio.gather(*(office.do(TENANT, page) for office in offices))
    (mail,) = await planned_mails(offices[0])
    await asyncio.gather(*(office.do(TENANT, mail) for office in offices))
    clock.at += HOUR
    for office in offices:
        await office.work()

    assert postman.recipients == [OWNER]


async def test_a_missed_round_is_caught_up_once(office: Office, postman: Postman) -> None:
    """After an outage of ten days, at the start: one round, and the next at its time."""
    await office.plan.wake(TENANT)
    await waiting(office, since=MONDAY - 80 * HOUR)
    office.clock.at += 10 * DAY
    await office.plan.wake(TENANT)
    await office.work()

    assert postman.recipients == [OWNER]
    assert await office.steps() == [
        (datetime(2026, 3, 12, 7, tzinfo=UTC), {"step": "remind", "round": 3})
    ]


async def test_a_page_that_fails_does_not_end_the_rounds(office: Office) -> None:
    """The next round was planned before, in a commit of its own."""
    await office.plan.wake(TENANT)
    ((_, round_),) = await office.steps()
    office.clock.at += HOUR
    await office.do(TENANT, round_)
    _, following, page = await office.steps()

    assert following[1] == {"step": "remind", "round": 3}
    assert page == (None, {"step": "remind", "round": 2, "after": ""})


async def test_another_schedule_takes_the_place_of_the_old_one(
    pool: Pool, clock: StandingClock, postman: Postman
) -> None:
    """At the next start; what the old one had planned does nothing."""
    yearly = Office(pool, clock, postman=postman, cron="0 0 0 1 1 *")
    hourly = Office(pool, clock, postman=postman, cron="0 0 * * * *")
    await yearly.plan.wake(TENANT)
    await hourly.plan.wake(TENANT)
    await hourly.plan.wake(TENANT)
    (old, new) = await hourly.steps()

    assert old[0] == datetime(2027, 1, 1, tzinfo=UTC)
    assert new[0] == datetime(2026, 3, 2, 7, tzinfo=UTC)

    await waiting(hourly, since=MONDAY - 80 * HOUR)
    await hourly.do(TENANT, old[1])

    assert await hourly.rows("select * from mail") == []

    clock.at += HOUR
    await hourly.work()

    assert postman.recipients == [OWNER]


async def test_the_first_order_of_a_tenant_begins_its_rounds(office: Office) -> None:
    """A tenant that was added while the service ran; the second order begins nothing."""
    for _ in range(2):
        await completed(office, await an_order(office, front_url=None))

    assert await office.steps() == [
        (datetime(2026, 3, 2, 7, tzinfo=UTC), {"step": "remind", "round": 2})
    ]


async def test_many_owners_are_looked_at_page_by_page(
    office: Office, postman: Postman, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those who are not due are passed over, and nobody is left out."""
    monkeypatch.setattr(remind, "OWNERS", 20)
    await office.rows(
        "insert into orders (owner, role, label, correlation_id, status, sub_order_hours,"
        " available_files, available_at)"
        " select 'user' || lpad(n::text, 3, '0') || '@example.org', 'REGISTERED_USER', 'l', 'c',"
        " 'DONE', 2, 1, $1::timestamptz - n % 2 * interval '80 hours' from generate_series(1, 90) n",
        MONDAY + HOUR,
    )
    await office.plan.wake(TENANT)
    office.clock.at += HOUR
    steps = await office.work()

    assert sorted(postman.recipients) == [f"user{n:03}@example.org" for n in range(1, 91, 2)]
    assert steps == 1 + 6 + 45  # the beginning, pages of 20 and an empty one, and a mail for each


async def test_a_page_that_is_done_again_plans_no_second_mail(
    office: Office, postman: Postman
) -> None:
    """Promise 3: before its mails are sent, and after."""
    await office.plan.wake(TENANT)
    await waiting(office, since=MONDAY - 80 * HOUR)
    office.clock.at += HOUR
    await office.do(TENANT, {"step": "remind", "round": 2, "after": ""})
    await office.do(TENANT, {"step": "remind", "round": 2, "after": ""})

    assert len(await planned_mails(office)) == 1

    await office.work()
    await office.do(TENANT, {"step": "remind", "round": 2, "after": ""})
    await office.work()

    assert postman.recipients == [OWNER]


async def test_one_owner_of_many_orders_gets_one_mail_of_bounded_length(
    office: Office, postman: Postman, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1000 are listed and the rest counted; their wait begins anew in slices, all of them."""
    monkeypatch.setattr(send, "SLICE", 400)
    await office.rows(
        "insert into orders (owner, role, label, correlation_id, status, sub_order_hours, created_at,"
        " available_files, available_at)"
        " select $1, 'REGISTERED_USER', 'label ' || n, 'c', 'DONE', 2, $2::timestamptz + n * interval '1 s',"
        " 1, $2 from generate_series(1, 1234) n",
        OWNER,
        MONDAY - 80 * HOUR,
    )
    await office.plan.wake(TENANT)
    office.clock.at += HOUR
    steps = await office.work()

    ((_, mail),) = postman.taken
    assert re.findall(r"<td>label (\d+)</td>", mail.html) == [str(n) for n in range(1, 1001)]
    assert "<p>And 234 more.</p>" in mail.html
    assert await office.rows("select count(*) from orders where available_at < $1", MONDAY) == [
        (0,)
    ]
    assert await office.rows("select * from mail") == []
    assert steps == 3 + 4  # the beginning and two pages of owners; the mail, and three more slices


async def test_files_that_were_fetched_meanwhile_are_not_reminded_of(
    office: Office, postman: Postman
) -> None:
    """A mail that had to wait says what is true when it leaves, and nothing is no mail."""
    await office.plan.wake(TENANT)
    await waiting(office, since=MONDAY - 80 * HOUR)
    postman.failure = TROUBLE
    await a_round(office)
    await office.rows("update orders set available_files = 0, available_at = null")
    postman.failure = None
    await a_round(office)

    assert postman.taken == []
    assert office.outcomes == {("REMINDER", "obsolete"): 1}


async def test_a_reminder_that_never_left_is_tried_again_by_the_next_rounds(
    office: Office, postman: Postman
) -> None:
    """While one is under way no second is planned; once it is given up, another is."""
    await office.plan.wake(TENANT)
    await waiting(office, since=MONDAY - 80 * HOUR)
    postman.failure = TROUBLE
    for _ in range(20):
        office.clock.at += HOUR
        await office.work()

    assert await office.rows("select count(*) from mail") == [(1,)]

    for _ in range(20):
        office.clock.at += HOUR
        await office.work()
    postman.failure = None
    for _ in range(24):
        office.clock.at += HOUR
        await office.work()

    assert postman.recipients == [OWNER]
    assert office.outcomes == {("REMINDER", "given-up"): 1, ("REMINDER", "sent"): 1}


async def test_marking_goes_on_after_a_death(office: Office, postman: Postman) -> None:
    """A reminder that is out is not sent again; its orders are marked by whoever comes next."""
    await office.plan.wake(TENANT)
    await waiting(office, since=MONDAY - 80 * HOUR)
    await office.rows(
        "insert into mail (kind, owner, available_before, attempts, sent)"
        " values ('REMINDER', $1, $2, 1, true)",
        OWNER,
        MONDAY - 72 * HOUR,
    )
    await office.do(TENANT, {"step": "send-mail", "mail": 1})

    assert postman.taken == []
    assert await office.rows("select available_at from orders") == [(MONDAY,)]
    assert await office.rows("select * from mail") == []
