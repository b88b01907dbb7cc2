"""Sends to one webhook what is due: a few deliveries at once, or the question whether it wants any."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import uuid4

from rs_order.domain.ids import Tenant
from rs_order.domain.webhooks import (
    VERIFY_EVERY,
    DeliveryState,
    Disabled,
    Outcome,
    Standing,
    next_attempt,
    outcome_of,
    pause_after,
    requested_pause,
)
from rs_order.ports import Clock
from rs_order.regards.webhook_receivers import Received, WebhookReceivers
from rs_order.store.webhooks import (
    AttemptedDelivery,
    DueDelivery,
    EndOfClaim,
    StoredWebhook,
)
from rs_order.subscriptions.sealing import SecretSeal
from rs_order.subscriptions.verification import AGENT, Receiver, Verification, Verify, answer_of
from rs_order.subscriptions.webhook_request import Attempt, webhook_request


@dataclass(frozen=True, slots=True)
class Verified:
    """The end of a claim that asked the receiver."""

    webhook: StoredWebhook
    verification: Verification
    at: datetime

    @property
    def because(self) -> Disabled | None:
        """Why the webhook gets nothing any more; None: it goes on."""
        return Disabled.NOT_VERIFIED if self.was_last else None

    @property
    def was_last(self) -> bool:
        """True if the receiver didn't agree, and isn't asked again."""
        until = self.webhook.pending_until
        return not self.verification.agreed and (until is None or self.at + VERIFY_EVERY > until)


class SendRound:
    """Sends one round to a receiver. It holds no connection to the database."""

    def __init__(
        self, receivers: WebhookReceivers, verify: Verify, seal: SecretSeal, clock: Clock
    ) -> None:
        self._receivers = receivers
        self._verify = verify
        self._seal = seal
        self._clock = clock

    async def ask(self, tenant: Tenant, webhook: StoredWebhook) -> Verified:
        """Ask the receiver whether it wants events.

        Raises:
            SealBroken: the secret can't be decrypted.
        """
        receiver = self._receiver(tenant, webhook)
        return Verified(webhook, await self._verify.ask(tenant, receiver), self._clock.now())

    async def deliver(
        self, tenant: Tenant, webhook: StoredWebhook, deliveries: Sequence[DueDelivery]
    ) -> EndOfClaim:
        """Send deliveries, all at once, and return what became of them.

        Raises:
            SealBroken: the secret can't be decrypted.
        """
        begun, receiver = self._clock.now(), self._receiver(tenant, webhook)
        received = await asyncio.gather(*(self._post(receiver, one) for one in deliveries))
        return end_of(webhook, deliveries, received, begun, self._clock.now())

    def _receiver(self, tenant: Tenant, webhook: StoredWebhook) -> Receiver:
        sealed = webhook.secrets.signing(self._clock.now())
        keys = [self._seal.open(tenant, webhook.id, one) for one in sealed]
        return Receiver(webhook.id, webhook.url, webhook.mode, keys)

    async def _post(self, receiver: Receiver, delivery: DueDelivery) -> tuple[Attempt, Received]:
        attempt = Attempt(
            uuid4(), delivery.attempts + 1, self._clock.now(), is_replay=delivery.is_replay
        )
        headers, body = webhook_request(
            delivery.event, receiver.mode, attempt, receiver.secrets, AGENT
        )
        return attempt, await self._receivers.post(receiver.url, headers, body)


def end_of(
    webhook: StoredWebhook,
    deliveries: Sequence[DueDelivery],
    received: Sequence[tuple[Attempt, Received]],
    begun: datetime,
    now: datetime,
) -> EndOfClaim:
    """Return what follows from the responses to a round that began at ``begun``."""
    standing, attempts, failure = webhook.standing, list[AttemptedDelivery](), None
    for delivery, (attempt, answer) in zip(deliveries, received, strict=True):
        outcome, not_before = outcome_of(answer.status), _not_before(answer, now)
        standing = standing.after(outcome, now, not_before=not_before)
        due_at = None
        if outcome is not Outcome.DELIVERED:
            due_at = next_attempt(attempt.number, now, not_before=not_before)
        attempted = _attempted(delivery, attempt, answer, outcome, due_at)
        attempts.append(attempted)
        if outcome is not Outcome.DELIVERED:
            failure = attempted
    rest = begun + pause_after(len(deliveries), webhook.allowed_rate)
    return EndOfClaim(webhook, _rested(standing, rest), attempts, failure)


def _rested(standing: Standing, until: datetime) -> Standing:
    return replace(standing, resting_until=max(standing.resting_until or until, until))


def _not_before(received: Received, now: datetime) -> datetime | None:
    if received.status is None or received.headers is None:
        return None
    return requested_pause(received.status, received.headers.get("Retry-After"), now)


def _attempted(
    delivery: DueDelivery,
    attempt: Attempt,
    received: Received,
    outcome: Outcome,
    due_at: datetime | None,
) -> AttemptedDelivery:
    state = DeliveryState.DELIVERED
    if outcome is not Outcome.DELIVERED:
        state = DeliveryState.DEAD if due_at is None else DeliveryState.WAITING
    return AttemptedDelivery(
        delivery=delivery,
        attempt_id=attempt.id,
        at=attempt.at,
        state=state,
        due_at=due_at,
        status=received.status,
        answer=answer_of(received),
    )
