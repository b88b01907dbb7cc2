"""Sends a planned mail: claims its row, sends outside a transaction, and deletes the row."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from prometheus_client import Counter

from rs_order.core.policies import SLICE_SIZES, SliceSizes
from rs_order.core.steps import Step, StepQueue
from rs_order.domain.ids import MailId, Tenant
from rs_order.domain.retry import RetryPolicy
from rs_order.mails.compose import ComposeMail
from rs_order.ports import Clock, Mail, Mailer, RemoteRejection, RemoteUnavailable, UnusableAddress
from rs_order.store.planned_mails import (
    CreatedOrder,
    DisabledWebhook,
    MailToSend,
    WaitingOrders,
)
from rs_order.store.unit_of_work import Store, UnitOfWork

_mails = Counter("rs_order_mails", "Mails by what became of them", ["kind", "outcome"])


def count_mail(kind: str, outcome: str) -> None:
    """Count a mail in the metric of this process."""
    _mails.labels(kind, outcome).inc()


CLAIM = timedelta(minutes=5)
"""Duration of a sender's claim. Sending takes less."""
LISTED = 1000
"""The most orders that a reminder lists. The mail gives the number of the others."""

log = structlog.get_logger(__name__)

_Subject = CreatedOrder | WaitingOrders | DisabledWebhook | None
"""What a mail is about; None: the mail is obsolete."""


@dataclass(frozen=True, slots=True)
class _Claimed:
    mail: MailToSend
    subject: _Subject


@dataclass(frozen=True)
class SendMailStep(Step, name="send-mail", queue=StepQueue.REMOTE):
    """Send a mail."""

    mail: MailId


class SendMail:
    """Attempts to send one mail. A failure doesn't change the order that the mail is about."""

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
        """``mailer`` is None if no way to send is configured; ``count`` takes a kind and an outcome."""
        self._store = store
        self._compose = compose
        self._mailer = mailer
        self._clock = clock
        self._retries = retries
        self._count = count
        self._slice = sizes.reminded_orders

    async def handle(self, tenant: Tenant, step: SendMailStep) -> None:
        """Send the mail of the step, unless it is obsolete or another process has claimed it.

        If the mailer is unavailable, a later step tries again until the retry policy ends.
        """
        now = self._clock.now()
        claimed = await self._claim(tenant, step.mail, now)
        if claimed is None:
            return
        mail = claimed.mail
        if mail.sent or await self._attempt(tenant, mail, claimed.subject):
            await self._finish(tenant, mail)

    async def _claim(self, tenant: Tenant, mail_id: MailId, now: datetime) -> _Claimed | None:
        async with self._store.unit_of_work(tenant) as uow:
            mail = await uow.mails.claim(mail_id, now, now + CLAIM)
            if mail is None:
                # Another sender has claimed it, and may have died. Try again when the claim ends.
                until = await uow.mails.claimed_until(mail_id)
                if until is not None:
                    await uow.messages.send([SendMailStep(mail_id).to(tenant, until)])
                return None
            return _Claimed(
                mail, None if mail.sent else await _subject_of(uow, mail, self._clock.now())
            )

    async def _attempt(self, tenant: Tenant, mail: MailToSend, subject: _Subject) -> bool:
        """Try to send a mail. True if it was sent."""
        if self._mailer is None:
            await self._give_up(tenant, mail, "not-configured")
            return False
        if subject is None:
            await self._give_up(tenant, mail, "obsolete")
            return False
        try:
            await self._mailer.send(tenant, await self._composed(tenant, mail, subject))
        except RemoteUnavailable as error:
            await self._postpone(tenant, mail, error)
            return False
        except (RemoteRejection, UnusableAddress) as error:
            log.error("mail-rejected", cause=str(error), **_facts(mail))  # noqa: TRY400 - foreseen
            await self._give_up(tenant, mail, "refused")
            return False
        async with self._store.unit_of_work(tenant) as uow:
            await uow.mails.note_sent(mail.id)
        self._count(mail.kind, "sent")
        log.info("mail-sent", **_facts(mail))
        return True

    async def _composed(
        self,
        tenant: Tenant,
        mail: MailToSend,
        subject: CreatedOrder | WaitingOrders | DisabledWebhook,
    ) -> Mail:
        match subject:
            case CreatedOrder():
                rendered = await self._compose.order_created(tenant, subject)
            case WaitingOrders():
                rendered = await self._compose.reminder(tenant, subject)
            case DisabledWebhook():
                rendered = await self._compose.webhook_disabled(tenant, subject)
        return Mail(
            key=f"{tenant}.{mail.id}",
            to=mail.owner,
            subject=rendered.subject,
            html=rendered.html,
        )

    async def _postpone(self, tenant: Tenant, mail: MailToSend, error: RemoteUnavailable) -> None:
        """Plan the next attempt, or give up if the retry policy is exhausted."""
        now = self._clock.now()
        since = mail.unavailable_since or now
        if self._retries.exhausted(since, now):
            log.error("mail-given-up", cause=str(error), attempts=mail.attempts, **_facts(mail))
            await self._give_up(tenant, mail, "given-up")
            return
        due_at = now + self._retries.pause(mail.attempts)
        async with self._store.unit_of_work(tenant) as uow:
            await uow.mails.postpone(mail.id, due_at, since)
            await uow.messages.send([SendMailStep(mail.id).to(tenant, due_at)])
        log.warning("mail-postponed", cause=str(error), attempts=mail.attempts, **_facts(mail))

    async def _give_up(self, tenant: Tenant, mail: MailToSend, outcome: str) -> None:
        async with self._store.unit_of_work(tenant) as uow:
            await uow.mails.remove(mail.id)
        self._count(mail.kind, outcome)

    async def _finish(self, tenant: Tenant, mail: MailToSend) -> None:
        """Delete a mail that was sent, once the waiting time of every order in it has restarted.

        A call restarts one slice of orders; a further step does the next slice.
        """
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


async def _subject_of(uow: UnitOfWork, mail: MailToSend, now: datetime) -> _Subject:
    """Return the present state of what a mail is about."""
    if mail.subscription_id is not None:
        return await uow.mails.disabled_webhook(mail.subscription_id)
    if mail.order_id is not None:
        order = await uow.mails.created_order(mail.order_id)
        return None if order is None or order.status.deleted_or_expired else order
    if mail.available_before is None:
        return None
    waiting = await uow.mails.waiting_orders(mail.owner, mail.available_before, now, LISTED)
    return waiting if waiting.total else None


def _facts(mail: MailToSend) -> dict[str, object]:
    """Return the values that every log event about a mail has."""
    facts: dict[str, object] = {"mail": mail.id, "kind": mail.kind.value, "owner": mail.owner}
    return facts if mail.order_id is None else facts | {"order": mail.order_id}
