"""Sends a planned mail: claims its row, sends outside of any transaction, and deletes the row."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from prometheus_client import Counter

from rs_order.core.slice_sizes import SLICE_SIZES, SliceSizes
from rs_order.core.steps import Step, StepQueue
from rs_order.domain.ids import MailId, Tenant
from rs_order.domain.retry import RetryPolicy
from rs_order.mails.compose import ComposeMail
from rs_order.ports import Clock, Mail, Mailer, RemoteRejection, RemoteUnavailable, UnusableAddress
from rs_order.store.planned_mails import CreatedOrder, MailToSend, WaitingOrders
from rs_order.store.unit_of_work import Store, UnitOfWork

_mails = Counter("rs_order_mails", "Mails by what became of them", ["kind", "outcome"])


def count_mail(kind: str, outcome: str) -> None:
    _mails.labels(kind, outcome).inc()


CLAIM = timedelta(minutes=5)
"""How long a mail belongs to who sends it; more than sending can take."""
LISTED = 1000
"""Orders that a reminder lists; of the others it says how many there are."""

log = structlog.get_logger(__name__)

_Matter = CreatedOrder | WaitingOrders | None
"""What a mail is about; None: there is nothing to tell any more."""


@dataclass(frozen=True, slots=True)
class _Claimed:
    mail: MailToSend
    matter: _Matter


@dataclass(frozen=True)
class SendMailStep(Step, name="send-mail", queue=StepQueue.REMOTE):
    """Send a mail."""

    mail: MailId


class SendMail:
    """One attempt at one mail. No failure of it touches the order it is about."""

    def __init__(
        self,
        store: Store,
        compose: ComposeMail,
        mailer: Mailer | None,
        *,
        clock: Clock,
        retries: RetryPolicy,
        count: Callable[[str, str], None],
        sizes: SliceSizes = SLICE_SIZES,
    ) -> None:
        """``mailer`` is None where no way to send is set; ``count`` takes a kind and an outcome."""
        self._store = store
        self._compose = compose
        self._mailer = mailer
        self._clock = clock
        self._retries = retries
        self._count = count
        self._slice = sizes.reminded_orders

    async def handle(self, tenant: Tenant, step: SendMailStep) -> None:
        now = self._clock.now()
        claimed = await self._claim(tenant, step.mail, now)
        if claimed is None:
            return
        mail = claimed.mail
        if mail.sent or await self._attempt(tenant, mail, claimed.matter):
            await self._mark(tenant, mail)

    async def _claim(self, tenant: Tenant, mail_id: MailId, now: datetime) -> _Claimed | None:
        async with self._store.unit_of_work(tenant) as uow:
            mail = await uow.mails.claim(mail_id, now, now + CLAIM)
            if mail is None:
                # Somebody has it, or died with it: look again when his time is over.
                until = await uow.mails.claimed_until(mail_id)
                if until is not None:
                    await uow.messages.send([SendMailStep(mail_id).to(tenant, until)])
                return None
            return _Claimed(mail, None if mail.sent else await _matter_of(uow, mail))

    async def _attempt(self, tenant: Tenant, mail: MailToSend, matter: _Matter) -> bool:
        """Whether it went out."""
        if self._mailer is None:
            await self._give_up(tenant, mail, "not-configured")
            return False
        if matter is None:
            await self._give_up(tenant, mail, "obsolete")
            return False
        try:
            await self._mailer.send(tenant, await self._written(tenant, mail, matter))
        except RemoteUnavailable as trouble:
            await self._postpone(tenant, mail, trouble)
            return False
        except (RemoteRejection, UnusableAddress) as refusal:
            log.error("mail-refused", cause=str(refusal), **_facts(mail))  # noqa: TRY400 - foreseen
            await self._give_up(tenant, mail, "refused")
            return False
        async with self._store.unit_of_work(tenant) as uow:
            await uow.mails.note_sent(mail.id)
        self._count(mail.kind, "sent")
        log.info("mail-sent", **_facts(mail))
        return True

    async def _written(
        self, tenant: Tenant, mail: MailToSend, matter: CreatedOrder | WaitingOrders
    ) -> Mail:
        match matter:
            case CreatedOrder():
                rendered = await self._compose.order_created(tenant, matter)
            case WaitingOrders():
                rendered = await self._compose.reminder(tenant, matter)
        return Mail(
            key=f"{tenant}.{mail.id}",
            to=mail.owner,
            subject=rendered.subject,
            html=rendered.html,
        )

    async def _postpone(self, tenant: Tenant, mail: MailToSend, trouble: RemoteUnavailable) -> None:
        now = self._clock.now()
        since = mail.unavailable_since or now
        if self._retries.exhausted(since, now):
            log.error("mail-given-up", cause=str(trouble), attempts=mail.attempts, **_facts(mail))
            await self._give_up(tenant, mail, "given-up")
            return
        due_at = now + self._retries.pause(mail.attempts)
        async with self._store.unit_of_work(tenant) as uow:
            await uow.mails.postpone(mail.id, due_at, since)
            await uow.messages.send([SendMailStep(mail.id).to(tenant, due_at)])
        log.warning("mail-postponed", cause=str(trouble), attempts=mail.attempts, **_facts(mail))

    async def _give_up(self, tenant: Tenant, mail: MailToSend, outcome: str) -> None:
        async with self._store.unit_of_work(tenant) as uow:
            await uow.mails.remove(mail.id)
        self._count(mail.kind, outcome)

    async def _mark(self, tenant: Tenant, mail: MailToSend) -> None:
        """Forget a mail that is out; the orders it told of begin their wait anew, slice by slice."""
        async with self._store.unit_of_work(tenant) as uow:
            if mail.available_before is not None:
                marked = await uow.mails.mark_reminded(
                    mail.owner, mail.available_before, self._clock.now(), self._slice
                )
                if marked == self._slice:
                    await uow.mails.note_sent(mail.id)
                    await uow.messages.send([SendMailStep(mail.id).to(tenant)])
                    return
            await uow.mails.remove(mail.id)


async def _matter_of(uow: UnitOfWork, mail: MailToSend) -> _Matter:
    """What the mail is about, as it is now."""
    if mail.order_id is not None:
        order = await uow.mails.created_order(mail.order_id)
        return None if order is None or order.status.deleted_or_expired else order
    if mail.available_before is None:
        return None
    waiting = await uow.mails.waiting_orders(mail.owner, mail.available_before, LISTED)
    return waiting if waiting.total else None


def _facts(mail: MailToSend) -> dict[str, object]:
    facts: dict[str, object] = {"mail": mail.id, "kind": mail.kind.value, "owner": mail.owner}
    return facts if mail.order_id is None else facts | {"order": mail.order_id}
