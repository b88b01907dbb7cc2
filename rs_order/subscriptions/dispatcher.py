"""Makes the deliveries of webhooks, and sends them (faces.md 4.3, decision 0048).

One loop for each tenant with webhooks: it stores what ended, makes the deliveries of new events, claims the
webhooks that are due, and sends to each of them in a task of its own. All statements are about many webhooks,
so that receivers which hang cost the others a row and not a transaction. A process that dies leaves claims,
which end after a minute.
"""

import asyncio
import resource
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import structlog
from prometheus_client import Counter, Histogram

from rs_order.domain.ids import Tenant
from rs_order.domain.webhooks import (
    VERIFY_EVERY,
    DeliveryState,
    most_at_once,
)
from rs_order.events.feed import OVERDUE
from rs_order.mails.send import SendMailStep
from rs_order.ports import Clock, ServedTenants
from rs_order.store.errors import StoreError
from rs_order.store.unit_of_work import Store, UnitOfWork, retry_on_conflict
from rs_order.store.webhooks import (
    AttemptedDelivery,
    EndOfClaim,
    StoredWebhook,
    WebhookViews,
)
from rs_order.subscriptions.rounds import SendRound, Verified
from rs_order.subscriptions.sealing import SealBroken

CLAIM: Final = timedelta(minutes=1)
"""The duration of a claim. A round takes at most half of it."""
LOOK_SECONDS: Final = 1.0
"""The longest pause between two looks for what other processes numbered, and for what became due."""
GATHER_SECONDS: Final = 0.02
"""From the end of a round to its storing, so that the rounds that end together share a transaction."""
FAILED_SECONDS: Final = 5.0
"""The pause after the database gave no answer."""
FIND_SECONDS: Final = 60.0
"""The pause between two looks for tenants that have their first webhook."""
CHECKED_SECONDS: Final = 10.0
"""The same for a tenant whose events this process numbers."""
STOP_SECONDS: Final = 3.0
"""How long requests may go on when the process stops. What isn't answered then is sent again."""
MOST_GOOD: Final = 200
"""The most webhooks whose last attempt was a success, that this process sends to at once."""
MOST_OTHERS: Final = 1000
"""The same for all others, each with one request. A quarter of the files of the process is never exceeded."""
OTHERS_AT_A_TIME: Final = 50
"""The most others that are claimed together: beginning a thousand requests would block the loop."""

_attempts = Counter(
    "rs_order_webhook_attempts", "Attempts to deliver an event to a webhook", ["outcome"]
)
_disabled = Counter("rs_order_webhooks_disabled", "Webhooks that were disabled", ["reason"])
_delay = Histogram(
    "rs_order_webhook_delivery_seconds",
    "Time from an event to its delivery to a webhook",
    buckets=(0.5, 1, 2, 5, 10, 30, 60, 300, 3600, 86400),
)

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Room:
    """How many webhooks this process may still send to at once."""

    good: int = MOST_GOOD
    others: int = MOST_OTHERS

    @classmethod
    def of_process(cls) -> "Room":
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if files == resource.RLIM_INFINITY:
            return cls()
        return cls(min(MOST_GOOD, files // 16), min(MOST_OTHERS, files // 4))

    def change(self, webhook: StoredWebhook, by: int) -> None:
        if webhook.standing.is_good:
            self.good += by
        else:
            self.others += by


class WebhooksOfTenant:
    """The loop of one tenant."""

    def __init__(
        self,
        tenant: Tenant,
        store: Store,
        views: WebhookViews,
        *,
        send: SendRound,
        number: Callable[[Tenant], None],
        clock: Clock,
        room: Room,
    ) -> None:
        """``number`` lets the events of a tenant that have no position get one soon."""
        self._tenant = tenant
        self._store = store
        self._views = views
        self._send = send
        self._number = number
        self._clock = clock
        self._room = room
        self._rounds: dict[asyncio.Task[None], StoredWebhook] = {}
        self._ended: list[EndOfClaim | Verified] = []
        self._rests: list[datetime] = []
        """The ends of the short pauses of webhooks that this process has sent to."""
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Look at once: there are events, or a webhook was changed."""
        self._woken.set()

    async def run(self) -> None:
        """Go on until the task is cancelled. Then finish what can be finished."""
        try:
            while True:
                self._woken.clear()
                pause = self._pause() if await self._tried(self.advance) else FAILED_SECONDS
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), pause)
                await asyncio.sleep(GATHER_SECONDS)
        finally:
            await self._finish()

    async def advance(self) -> None:
        """Store what ended, and begin what is due.

        Raises:
            StoreError: the database gave no answer. What ended is stored the next time.
        """
        await self._store_ended()
        now = self._clock.now()
        self._rests = [end for end in self._rests if end > now]
        work = await self._views.work(self._tenant, now, now - OVERDUE)
        if work.overdue:
            self._number(self._tenant)
        if not (work.fan_out or work.due):
            return
        claimed = await retry_on_conflict(partial(self._claim, fan_out=work.fan_out))
        if claimed:
            await self._begin_rounds(claimed)

    async def rounds(self) -> None:
        """Wait until the rounds that were begun have ended."""
        while self._rounds:
            await asyncio.wait(self._rounds)

    async def _claim(self, *, fan_out: bool) -> list[StoredWebhook]:
        now = self._clock.now()
        async with self._store.unit_of_work(self._tenant) as uow:
            if fan_out and await uow.webhooks.fan_out(now):
                self.wake()
            claimed = await uow.webhooks.claim(
                now,
                now + CLAIM,
                good=max(0, self._room.good),
                others=min(OTHERS_AT_A_TIME, max(0, self._room.others)),
            )
        if sum(not one.standing.is_good for one in claimed) == OTHERS_AT_A_TIME:
            self.wake()  # there may be more
        behind = [one for one in claimed if one.behind and one.pending_until is None]
        if behind:
            async with self._store.unit_of_work(self._tenant) as uow:
                await uow.webhooks.catch_up(behind, now)
        return claimed

    async def _begin_rounds(self, claimed: list[StoredWebhook]) -> None:
        most = {
            one.id: most_at_once(one.standing, one.allowed_rate)
            for one in claimed
            if one.pending_until is None
        }
        due = await self._views.due_deliveries(self._tenant, most, self._clock.now())
        for webhook in claimed:
            deliveries = due.get(webhook.id)
            if deliveries:
                self._begin(webhook, self._send.deliver(self._tenant, webhook, deliveries))
            elif webhook.pending_until is not None:
                self._begin(webhook, self._send.ask(self._tenant, webhook))
            else:
                self._ended.append(EndOfClaim(webhook, webhook.standing, (), None))
                self.wake()

    def _begin(self, webhook: StoredWebhook, sending: Awaitable[EndOfClaim | Verified]) -> None:
        self._room.change(webhook, -1)
        task = asyncio.create_task(self._round(webhook, sending))
        self._rounds[task] = webhook
        task.add_done_callback(self._round_ended)

    async def _round(
        self, webhook: StoredWebhook, sending: Awaitable[EndOfClaim | Verified]
    ) -> None:
        try:
            end = await sending
        except Exception as error:
            if isinstance(error, SealBroken):
                log.error("webhook-secret-unreadable", webhook=str(webhook.id), cause=str(error))  # noqa: TRY400 - foreseen
            else:
                log.exception("webhook-round-failed", webhook=str(webhook.id))
            rest = self._clock.now() + VERIFY_EVERY
            standing = replace(webhook.standing, resting_until=rest)
            end = EndOfClaim(webhook, standing, (), None)
        self._ended.append(end)  # only now: the list is another one after each storing

    def _round_ended(self, task: asyncio.Task[None]) -> None:
        self._room.change(self._rounds.pop(task), +1)
        self.wake()

    async def _store_ended(self) -> None:
        ended, self._ended = self._ended, []
        if not ended:
            return
        try:
            counted = await retry_on_conflict(partial(self._store_all, ended))
        except BaseException:
            self._ended = [*ended, *self._ended]
            raise
        soon = self._clock.now() + timedelta(seconds=LOOK_SECONDS)
        for one in counted:
            self._count(one)
            rest = one.standing.resting_until if isinstance(one, EndOfClaim) else None
            if rest is not None and rest < soon:
                self._rests.append(rest)

    def _pause(self) -> float:
        """Return the seconds until the next look: a webhook may get its next event before a second."""
        now = self._clock.now()
        rests = [max(0.0, (end - now).total_seconds()) for end in self._rests]
        return min([LOOK_SECONDS, *rests])

    async def _store_all(self, ended: list[EndOfClaim | Verified]) -> list[EndOfClaim | Verified]:
        """Store how rounds ended. Return those that counted: the claims of others were lost."""
        now, counted = self._clock.now(), list[EndOfClaim | Verified]()
        async with self._store.unit_of_work(self._tenant) as uow:
            for one in ended:
                if isinstance(one, Verified) and await _store_verified(uow, one, now):
                    counted.append(one)
            rounds = [one for one in ended if isinstance(one, EndOfClaim)]
            counted += await uow.webhooks.end_claims(rounds, now)
            await _plan_mails(uow, [one.webhook for one in counted if one.because is not None])
            return counted

    def _count(self, ended: EndOfClaim | Verified) -> None:
        """Count a round, and tell operators of what gets nothing any more."""
        if isinstance(ended, EndOfClaim):
            for one in ended.attempts:
                _count_attempt(one)
        if (because := ended.because) is not None:
            _disabled.labels(because.value).inc()
            log.warning(
                "webhook-disabled",
                tenant=self._tenant,
                webhook=str(ended.webhook.id),
                owner=ended.webhook.owner,
                cause=because.value,
            )

    async def _tried(self, work: Callable[[], Awaitable[None]]) -> bool:
        """Do the work. False if the database gave no answer."""
        try:
            await work()
        except StoreError as error:
            log.warning("webhooks-wait", tenant=self._tenant, cause=str(error))
            return False
        except Exception:
            log.exception("webhooks-wait", tenant=self._tenant)
            return False
        return True

    async def _finish(self) -> None:
        """Store what ends within a short time, and let other processes claim the rest at once."""
        if self._rounds:
            await asyncio.wait(self._rounds, timeout=STOP_SECONDS)
        left = dict(self._rounds)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await self._tried(self._store_ended)
        if left:
            await self._tried(partial(self._unclaim, list(left.values())))

    async def _unclaim(self, webhooks: list[StoredWebhook]) -> None:
        async with self._store.unit_of_work(self._tenant) as uow:
            await uow.webhooks.unclaim(webhooks)


def _count_attempt(attempt: AttemptedDelivery) -> None:
    if attempt.state is DeliveryState.DELIVERED:
        waited = attempt.at - attempt.delivery.happened_at
        _delay.observe(max(0.0, waited.total_seconds()))
    outcome = "failed" if attempt.state is DeliveryState.WAITING else attempt.state.value
    _attempts.labels(outcome).inc()


async def _store_verified(uow: UnitOfWork, ended: Verified, now: datetime) -> bool:
    """Store what a receiver answered. False if its owner has changed the webhook meanwhile."""
    webhook, verification = ended.webhook, ended.verification
    locked = await uow.webhooks.lock(webhook.id)
    if locked is None or locked.claim != webhook.claim:
        return False
    if verification.agreed:
        await uow.webhooks.begin_anew(webhook.id, now)
        await uow.webhooks.verified(webhook.id, verification.allowed_rate, now)
    else:
        await uow.webhooks.not_verified(
            webhook,
            due_at=None if ended.was_last else now + VERIFY_EVERY,
            now=now,
            status=verification.received.status,
            answer=verification.answer,
        )
    return True


async def _plan_mails(uow: UnitOfWork, disabled: list[StoredWebhook]) -> None:
    """Tell the owners of webhooks that get nothing any more."""
    mails = [await uow.mails.plan_webhook_disabled(one.owner, one.id) for one in disabled]
    await uow.messages.send([SendMailStep(mail).to(uow.tenant) for mail in mails])


class WebhookDispatcher:
    """Runs the loops of the tenants that have webhooks."""

    def __init__(
        self,
        store: Store,
        views: WebhookViews,
        tenants: ServedTenants,
        *,
        send: SendRound,
        number: Callable[[Tenant], None],
        clock: Clock,
    ) -> None:
        """``number`` lets the events of a tenant that have no position get one soon."""
        self._store = store
        self._views = views
        self._tenants = tenants
        self._send = send
        self._number = number
        self._clock = clock
        self._room = Room.of_process()
        self._loops: dict[Tenant, tuple[WebhooksOfTenant, asyncio.Task[None]]] = {}
        self._checked: dict[Tenant, float] = {}
        self._find = asyncio.Event()

    def changed(self, tenant: Tenant) -> None:
        """Look at the webhooks of a tenant at once: this process has changed one."""
        if tenant in self._loops:
            self._loops[tenant][0].wake()
        else:
            self._find.set()

    def numbered(self, tenant: Tenant, _: int) -> None:
        """Send the events that this process has numbered."""
        if tenant in self._loops:
            self._loops[tenant][0].wake()
            return
        now = asyncio.get_running_loop().time()
        if now - self._checked.get(tenant, -CHECKED_SECONDS) >= CHECKED_SECONDS:
            self._checked[tenant] = now
            self._find.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Send until ``stop``."""
        stopping = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                self._find.clear()
                await self._find_tenants()
                finding = asyncio.create_task(self._find.wait())
                await asyncio.wait(
                    {stopping, finding},
                    timeout=FIND_SECONDS,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                finding.cancel()
        finally:
            stopping.cancel()
            await self._end(list(self._loops))

    async def _find_tenants(self) -> None:
        """Begin the loops of tenants that have webhooks now, and end the others."""
        try:
            found = await self._views.tenants(self._tenants.names())
        except StoreError as error:
            log.warning("webhooks-wait", cause=str(error))
            return
        for tenant in found:
            if tenant not in self._loops:
                loop = self._of(tenant)
                self._loops[tenant] = loop, asyncio.create_task(loop.run())
        await self._end([one for one in self._loops if one not in found])

    async def _end(self, tenants: list[Tenant]) -> None:
        ending = [self._loops.pop(one)[1] for one in tenants]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    def _of(self, tenant: Tenant) -> WebhooksOfTenant:
        return WebhooksOfTenant(
            tenant,
            self._store,
            self._views,
            send=self._send,
            number=self._number,
            clock=self._clock,
            room=self._room,
        )
