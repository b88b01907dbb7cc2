"""The parts of the service that plan and send mails, and orders that lead to mails."""

import asyncio
import json
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rs_order.core.links import Links
from rs_order.core.policies import SLICE_SIZES, SliceSizes, mail_retries
from rs_order.core.steps import read_step
from rs_order.domain.ids import OrderId, Tenant
from rs_order.domain.states import OrderStatus
from rs_order.downloads.order_tokens import JwtOrderTokens, NoOrderTokens
from rs_order.mails.compose import ComposeMail
from rs_order.mails.cron import CronSchedule
from rs_order.mails.plan import PlanMails, RemindOwners, RemindStep
from rs_order.mails.send import SendMail, SendMailStep
from rs_order.mails.templates import FolderTemplates, Languages
from rs_order.ports import Mail, RemoteRejection, RemoteUnavailable
from rs_order.store.pool import Pool
from rs_order.store.tenants import Tenants
from rs_order.store.unit_of_work import Store
from tests.integration.conftest import OTHER, TENANT
from tests.support.clock import ManualClock
from tests.support.rows import OWNER, TenantRows, in_tenant

MONDAY = datetime(2026, 3, 2, 6, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SECRET = "a secret of at least 32 characters, for tests"
UNAVAILABLE = RemoteUnavailable("rs-admin-instance", "/email: status 500: no text")
REJECTED = RemoteRejection("rs-admin-instance", 400, "/email: status 400: bad address")


@dataclass
class FakeMailer:
    """Records mails, or fails with the error of a test."""

    sent: list[tuple[Tenant, Mail]] = field(default_factory=list)
    failure: Exception | None = None
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a mail is to be sent."""
    may_continue: asyncio.Event | None = None
    """Delays each mail until it is set."""

    async def send(self, tenant: Tenant, mail: Mail) -> None:
        self.reached.set()
        if self.may_continue is not None:
            await self.may_continue.wait()
        if self.failure is not None:
            raise self.failure
        self.sent.append((tenant, mail))

    @property
    def recipients(self) -> list[str]:
        return [mail.to for _, mail in self.sent]


class MailHarness:
    """The mails of one instance of the service; a step runs when the test runs it."""

    def __init__(
        self,
        pool: Pool,
        clock: ManualClock,
        *,
        mailer: FakeMailer | None,
        cron: str = "0 0 7 * * *",
        folder: Path | None = None,
        secret: str | None = SECRET,
        sizes: SliceSizes = SLICE_SIZES,
    ) -> None:
        self.pool, self.clock = pool, clock
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.store = Store(pool, lambda _: None)
        tenants = Tenants(pool)
        links = Links(None, tenants, prefix="/api/v1", fallback="https://site")
        templates = FolderTemplates(Languages.parse(["en", f"{OTHER}=fr"]), folder)
        tokens = JwtOrderTokens(secret, clock) if secret else NoOrderTokens()
        self.plan = PlanMails(self.store, clock, CronSchedule(cron))
        self.remind = RemindOwners(self.store, clock, self.plan, sizes)
        self.send = SendMail(
            self.store,
            ComposeMail(self.store, templates, links, tokens),
            mailer,
            clock=clock,
            retries=replace(mail_retries(), random=lambda: 0.0),
            count=lambda kind, outcome: self.outcomes.update([(kind, outcome)]),
            sizes=sizes,
        )

    async def steps(self) -> list[tuple[datetime | None, dict[str, Any]]]:
        """Return due time and body of each step in the outbox."""
        rows = await self.pool.fetch(
            "select due_at, body from rs_order.outbox where kind = 'STEP' order by id"
        )
        return [(row["due_at"], json.loads(row["body"])) for row in rows]

    async def notifications(self) -> list[dict[str, Any]]:
        rows = await self.pool.fetch("select body from rs_order.outbox where kind = 'NOTIFICATION'")
        return [json.loads(row["body"])["notification"] for row in rows]

    async def work(self) -> int:
        """Run all due steps, and those that they write; return the number of steps."""
        done = 0
        while rows := await self.pool.fetch(
            "delete from rs_order.outbox where kind = 'STEP' and coalesce(due_at, $1) <= $1"
            " returning tenant, body",
            self.clock.now(),
        ):
            for row in rows:
                await self.do(Tenant(row["tenant"]), json.loads(row["body"]))
                done += 1
        return done

    async def do(self, tenant: Tenant, step: dict[str, Any]) -> None:
        if step["step"] == RemindStep.name:
            await self.remind.handle(tenant, read_step(RemindStep, step))
        else:
            await self.send.handle(tenant, read_step(SendMailStep, step))

    async def rows(self, query: str, *parameters: Any) -> list[Any]:
        async with in_tenant(self.pool, TENANT) as connection:
            return [tuple(row) for row in await connection.fetch(query, *parameters)]


async def an_order(
    harness: MailHarness,
    *,
    owner: str = OWNER,
    status: OrderStatus = OrderStatus.RUNNING,
    front_url: str | None = "/user/project1/orders",
    tenant: Tenant = TENANT,
) -> OrderId:
    order = await TenantRows(harness.pool, tenant).order(status, owner=owner)
    async with in_tenant(harness.pool, tenant) as connection:
        await connection.execute(
            "update orders set front_url = $2, expires_at = $3 where id = $1",
            order,
            front_url,
            harness.clock.now() + 7 * DAY,
        )
    return order


async def completed(harness: MailHarness, order_id: OrderId, tenant: Tenant = TENANT) -> None:
    """Plan the mails of an order whose completion has ended."""
    async with harness.store.unit_of_work(tenant) as uow:
        (order,) = await uow.orders.lock([order_id])
        await harness.plan.orders_completed(uow, [order], harness.clock.now())


async def planned_mails(harness: MailHarness) -> list[dict[str, Any]]:
    return [step for _, step in await harness.steps() if step["step"] == "send-mail"]


async def waiting(
    harness: MailHarness,
    *,
    owner: str = OWNER,
    label: str = "label",
    since: datetime,
    status: OrderStatus = OrderStatus.RUNNING,
    available: int = 1,
    kept_days: int = 7,
) -> OrderId:
    """Create an order with files that have been available for some time."""
    async with in_tenant(harness.pool, TENANT) as connection:
        return OrderId(
            await connection.fetchval(
                "insert into orders (owner, role, label, correlation_id, status, sub_order_hours,"
                " created_at, expires_at, available_files, available_at)"
                " values ($1, 'REGISTERED_USER', $2, 'c', $3, 2, $4, $5, $6, $4) returning id",
                owner,
                label,
                status,
                since,
                since + kept_days * DAY,
                available,
            )
        )
