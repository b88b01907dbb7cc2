"""Mails leave once, late when they must, and never at the expense of an order."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest

from rs_order.adapters.cron import CronSchedule
from rs_order.adapters.mail import FolderTemplates, Languages
from rs_order.adapters.order_tokens import JwtOrderTokens, NoOrderTokens
from rs_order.adapters.postgres.driver import Pool
from rs_order.adapters.postgres.tenants import PostgresTenants
from rs_order.adapters.postgres.unit_of_work import PostgresStore
from rs_order.application.links import Links
from rs_order.application.mails import remind, send
from rs_order.application.mails.compose import ComposeMail
from rs_order.application.mails.plan import PlanMails
from rs_order.application.mails.remind import RemindOwners
from rs_order.application.mails.send import SendMail
from rs_order.application.policies import MailPatience
from rs_order.domain.ids import MailId, OrderId, Tenant
from rs_order.domain.moves import Reason
from rs_order.domain.states import FileState, OrderStatus
from rs_order.domain.tally import Tally
from rs_order.ports.errors import RemoteRefusal, RemoteTrouble
from rs_order.ports.mail import Mail
from tests.integration.conftest import OTHER, TENANT
from tests.support.rows import OWNER, TenantRows, in_tenant

MONDAY = datetime(2026, 3, 2, 6, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SECRET = "a secret of at least 32 characters, for tests"
TROUBLE = RemoteTrouble("rs-admin-instance", "/email: status 500: no text")
REFUSAL = RemoteRefusal("rs-admin-instance", 400, "/email: status 400: bad address")


@dataclass
class StandingClock:
    at: datetime = MONDAY

    def now(self) -> datetime:
        return self.at


@dataclass
class Postman:
    """Takes mails, or fails as the test says."""

    taken: list[tuple[Tenant, Mail]] = field(default_factory=list)
    failure: Exception | None = None
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    gate: asyncio.Event | None = None

    async def send(self, tenant: Tenant, mail: Mail) -> None:
        self.arrived.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        self.taken.append((tenant, mail))

    @property
    def recipients(self) -> list[str]:
        return [mail.to for _, mail in self.taken]


class Office:
    """An instance of the service, as far as mails go; steps are done when the test says."""

    def __init__(
        self,
        pool: Pool,
        clock: StandingClock,
        *,
        postman: Postman | None,
        cron: str = "0 0 7 * * *",
        folder: Path | None = None,
        secret: str | None = SECRET,
    ) -> None:
        self.pool, self.clock = pool, clock
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.store = PostgresStore(pool, lambda: None)
        tenants = PostgresTenants(pool)
        links = Links(None, tenants, prefix="/api/v1", fallback="https://site")
        templates = FolderTemplates(Languages.parse(["en", f"{OTHER}=fr"]), folder)
        tokens = JwtOrderTokens(secret, clock) if secret else NoOrderTokens()
        self.plan = PlanMails(self.store, clock, CronSchedule(cron))
        self.remind = RemindOwners(self.store, clock, self.plan)
        self.send = SendMail(
            self.store,
            ComposeMail(self.store, templates, links, tokens),
            postman,
            clock=clock,
            patience=MailPatience(),
            count=lambda kind, outcome: self.outcomes.update([(kind, outcome)]),
        )

    async def steps(self) -> list[tuple[datetime | None, dict[str, Any]]]:
        """What waits in the outbox, notifications apart."""
        rows = await self.pool.fetch(
            "select due_at, body from rs_order.outbox where kind = 'STEP' order by id"
        )
        return [(row["due_at"], json.loads(row["body"])) for row in rows]

    async def notifications(self) -> list[dict[str, Any]]:
        rows = await self.pool.fetch("select body from rs_order.outbox where kind = 'NOTIFICATION'")
        return [json.loads(row["body"])["notification"] for row in rows]

    async def work(self) -> int:
        """Do every step that is due, and those they write; how many that were."""
        done = 0
        while rows := await self.pool.fetch(
            "delete from rs_order.outbox where kind = 'STEP' and coalesce(due_at, $1) <= $1"
            " returning tenant, body",
            self.clock.at,
        ):
            for row in rows:
                await self.do(Tenant(row["tenant"]), json.loads(row["body"]))
                done += 1
        return done

    async def do(self, tenant: Tenant, step: dict[str, Any]) -> None:
        if step["step"] == "remind" and "after" not in step:
            await self.remind.begin(tenant, step["round"])
        elif step["step"] == "remind":
            await self.remind.page(tenant, step["round"], step["after"])
        else:
            await self.send.handle(tenant, MailId(step["mail"]))

    async def rows(self, query: str, *parameters: Any) -> list[Any]:
        async with in_tenant(self.pool, TENANT) as connection:
            return [tuple(row) for row in await connection.fetch(query, *parameters)]


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock()


@pytest.fixture
def postman() -> Postman:
    return Postman()


@pytest.fixture
def office(pool: Pool, clock: StandingClock, postman: Postman) -> Office:
    return Office(pool, clock, postman=postman)


async def an_order(
    office: Office,
    *,
    owner: str = OWNER,
    status: OrderStatus = OrderStatus.RUNNING,
    front_url: str | None = "/user/project1/orders",
    tenant: Tenant = TENANT,
) -> OrderId:
    order = await TenantRows(office.pool, tenant).order(status, owner=owner)
    async with in_tenant(office.pool, tenant) as connection:
        await connection.execute(
            "update orders set front_url = $2, expires_at = $3 where id = $1",
            order,
            front_url,
            office.clock.at + 7 * DAY,
        )
    return order


async def completed(office: Office, order_id: OrderId, tenant: Tenant = TENANT) -> None:
    """What the end of a completion does about mails."""
    async with office.store.unit_of_work(tenant) as uow:
        (order,) = await uow.orders.lock([order_id])
        await office.plan.order_completed(uow, order, office.clock.at)


async def planned_mails(office: Office) -> list[dict[str, Any]]:
    return [step for _, step in await office.steps() if step["step"] == "send-mail"]


async def waiting(
    office: Office,
    *,
    owner: str = OWNER,
    label: str = "label",
    since: datetime,
    status: OrderStatus = OrderStatus.RUNNING,
    available: int = 1,
) -> OrderId:
    """An order of which files have been available for some time."""
    async with in_tenant(office.pool, TENANT) as connection:
        return OrderId(
            await connection.fetchval(
                "insert into orders (owner, role, label, correlation_id, status, sub_order_hours,"
                " created_at, expires_at, available_files, available_at)"
                " values ($1, 'REGISTERED_USER', $2, 'c', $3, 2, $4, $5, $6, $4) returning id",
                owner,
                label,
                status,
                since,
                since + 7 * DAY,
                available,
            )
        )


# The confirmation of an order


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


# Since when files are available


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([5], [True]),
        ([0], [None]),
        ([5, 5], [True, False]),
        ([5, 4], [True, True]),
        ([5, 0], [True, None]),
    ],
)
async def test_the_wait_begins_when_the_number_of_available_files_changes(
    changes: Sequence[int], expected: Sequence[bool | None], office: Office
) -> None:
    """True: at this change; False: it stays; None: nothing is available."""
    order_id = await an_order(office)
    found = []
    for number, available in enumerate(changes):
        at = MONDAY + number * HOUR
        async with office.store.unit_of_work(TENANT) as uow:
            (order,) = await uow.orders.lock([order_id])
            order.tally = Tally()
            order.tally.files[FileState.AVAILABLE] = available
            await uow.orders.save([order], at)
        ((since,),) = await office.rows("select available_at from orders")
        found.append(None if since is None else since == at)

    assert found == list(expected)


async def test_an_order_that_is_gone_waits_for_nobody(office: Office) -> None:
    order_id = await waiting(office, since=MONDAY, status=OrderStatus.DONE)
    async with office.store.unit_of_work(TENANT) as uow:
        (order,) = await uow.orders.lock([order_id])
        order.move(OrderStatus.EXPIRED, reason=Reason.EXPIRED)
        await uow.orders.save([order], MONDAY)

    assert await office.rows("select available_at from orders") == [(None,)]


# Reminders


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
