"""Webhooks and their deliveries (decision 0048).

Locks are taken in this order: that of the fan-out, then webhooks by ascending id, then their deliveries.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from rs_order.domain.events import EventType
from rs_order.domain.ids import OrderId, Tenant
from rs_order.domain.subscriptions import SubscriptionScope
from rs_order.domain.webhooks import DeliveryState, Disabled, Standing, WebhookMode, WebhookState
from rs_order.store.every_tenant import tenants_with_webhooks
from rs_order.store.pool import Connection, Pool, Row, statements
from rs_order.store.tenant_reads import read_rows

SQL = statements("webhooks")
MOST_REPLAYED: Final = 10_000
"""The most events that one replay sends again."""
FANNED_OUT: Final = 500
"""The most events whose deliveries one transaction makes."""


@dataclass(frozen=True, slots=True)
class SealedSecrets:
    """The secrets of a webhook as they are stored."""

    present: bytes
    old: bytes | None
    old_until: datetime | None

    def signing(self, now: datetime) -> list[bytes]:
        """Return those that sign, the present one first."""
        if self.old is None or self.old_until is None or self.old_until <= now:
            return [self.present]
        return [self.present, self.old]


@dataclass(frozen=True, slots=True)
class NewWebhook:
    """A webhook to be added, with the members of its subscription."""

    id: UUID
    owner: str
    label: str | None
    scope: SubscriptionScope
    order_id: OrderId | None
    types: Sequence[str] | None
    thresholds: Sequence[int] | None
    url: str
    mode: WebhookMode
    secret: bytes
    """Sealed."""
    state: WebhookState
    pending_until: datetime | None
    allowed_rate: int | None
    ends_with_order: bool = False


@dataclass(frozen=True, slots=True)
class StoredWebhook:
    """A webhook as those need it who send to it."""

    id: UUID
    owner: str
    url: str
    mode: WebhookMode
    secrets: SealedSecrets
    standing: Standing
    pending_until: datetime | None
    allowed_rate: int | None
    position: int
    behind: bool
    """True if it isn't part of the fan-out, and gets what it missed."""
    claim: int


@dataclass(frozen=True, slots=True)
class DueDelivery:
    """A delivery to be tried now."""

    webhook: UUID
    position: int
    order_id: OrderId
    attempts: int
    """Before this one."""
    is_replay: bool
    event: str
    """The CloudEvent."""
    happened_at: datetime


@dataclass(frozen=True, slots=True)
class AttemptedDelivery:
    """What became of an attempt."""

    delivery: DueDelivery
    attempt_id: UUID
    at: datetime
    state: DeliveryState
    due_at: datetime | None
    """When it is tried again, of one that waits."""
    status: int | None
    answer: str


@dataclass(frozen=True, slots=True)
class EndOfClaim:
    """How the receiver of a claimed webhook did."""

    webhook: StoredWebhook
    standing: Standing
    attempts: Sequence[AttemptedDelivery]
    last_failure: AttemptedDelivery | None

    @property
    def because(self) -> Disabled | None:
        """Why the webhook gets nothing any more; None: it goes on."""
        return self.standing.because


@dataclass(frozen=True, slots=True)
class WantedReplay:
    """The events that a webhook gets again."""

    from_position: int = 1
    since: datetime | None = None
    until: datetime | None = None
    types: Collection[EventType] | None = None
    """None: all that the webhook wants."""
    only_dead: bool = False


@dataclass(frozen=True, slots=True)
class Replayed:
    """The events that a webhook gets again."""

    events: int
    next: int | None
    """The position to go on from, because there may be more; None: these were all."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery as its owner sees it."""

    position: int
    event_id: UUID
    type: str
    order_id: OrderId
    state: DeliveryState
    due_at: datetime | None
    attempts: int
    is_replay: bool
    attempt_id: UUID | None
    attempted_at: datetime | None
    status: int | None
    answer: str | None


class Webhooks:
    """The webhooks of one tenant, inside a unit of work."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def fan_out(self, now: datetime) -> bool:
        """Make the deliveries of the next events. True if there may be more events.

        Nothing is done if another process does it.
        """
        if not await self._connection.fetch(SQL["lock_fan_out"]):
            return False
        (ends,) = await self._connection.fetch(SQL["ends"])
        end = min(ends["log"], ends["fan_out"] + FANNED_OUT)
        if end <= ends["fan_out"]:
            return False
        wanting = await self._connection.fetch(SQL["lock_wanting"], ends["fan_out"], end)
        ids = [row["subscription_id"] for row in wanting]
        await self._connection.execute(SQL["fan_out"], ends["fan_out"], end, ids, now)
        return bool(end < ends["log"])

    async def claim(
        self, now: datetime, until: datetime, *, good: int, others: int
    ) -> list[StoredWebhook]:
        """Claim webhooks that are due: so many whose last attempt was a success, and so many others."""
        rows = await self._connection.fetch(SQL["claim"], now, until, good, others)
        return [_stored(row) for row in rows]

    async def catch_up(self, webhooks: Iterable[StoredWebhook], now: datetime) -> None:
        """Make the next deliveries of claimed webhooks that missed events."""
        await self._connection.execute(SQL["hold_fan_out"])
        (ends,) = await self._connection.fetch(SQL["ends"])
        for webhook in webhooks:
            end = min(ends["fan_out"], webhook.position + FANNED_OUT)
            await self._connection.execute(
                SQL["catch_up"], webhook.id, max(end, webhook.position), now
            )

    async def end_claims(self, ended: Sequence[EndOfClaim], now: datetime) -> list[EndOfClaim]:
        """Store how receivers did. Return those that counted: a claim that was lost has no effect."""
        claims = {one.webhook.id: one for one in ended}
        locked = await self._connection.fetch(
            SQL["lock_claimed"], list(claims), [one.webhook.claim for one in claims.values()]
        )
        counted = [claims[row["subscription_id"]] for row in locked]
        attempts = [attempt for one in counted for attempt in one.attempts]
        if attempts:
            await self._connection.execute(SQL["settle"], *_columns(map(_attempt_row, attempts)))
            over = [one.delivery for one in attempts if one.state is not DeliveryState.WAITING]
            orders = {(one.webhook, one.order_id) for one in over}
            await self._connection.execute(SQL["make_due"], *_columns(orders, 2), now)
        if counted:
            await self._connection.execute(SQL["release"], *_columns(map(_end_row, counted)), now)
        return counted

    async def unclaim(self, webhooks: Sequence[StoredWebhook]) -> None:
        """End claims of which nothing is known: others may claim the webhooks at once."""
        await self._connection.execute(
            SQL["unclaim"], *_columns(((one.id, one.claim) for one in webhooks), 2)
        )

    async def add(self, new: NewWebhook, now: datetime) -> None:
        """Add a webhook that begins with the next event. No other subscription may begin meanwhile."""
        await self._connection.execute(SQL["begin_fan_out"])
        await self._connection.execute(
            SQL["add"],
            *(new.id, new.owner, new.label, new.scope, new.order_id, new.types, now, new.url),
            *(new.mode, new.thresholds, new.secret, new.state, new.allowed_rate),
            *(new.pending_until, new.ends_with_order),
        )

    async def lock(self, webhook_id: UUID) -> StoredWebhook | None:
        """Return a webhook, which nobody else changes until the unit of work ends; None: there is none."""
        row = await self._connection.fetchrow(SQL["lock"], webhook_id)
        return _stored(row) if row else None

    async def verified(self, webhook_id: UUID, allowed_rate: int | None, now: datetime) -> None:
        """Send events from now on, first those that were missed."""
        await self._connection.execute(SQL["verified"], webhook_id, allowed_rate, now)

    async def not_verified(
        self,
        webhook: StoredWebhook,
        *,
        due_at: datetime | None,
        now: datetime,
        status: int | None,
        answer: str,
    ) -> None:
        """Note that the receiver didn't agree. ``due_at``: when it is asked again; None: it isn't."""
        state, because = WebhookState.PENDING, None
        if due_at is None:
            state, because = WebhookState.DISABLED, Disabled.NOT_VERIFIED
        until = None if due_at is None else webhook.pending_until
        await self._connection.execute(
            SQL["not_verified"],
            *(webhook.id, state, because, until, due_at, now, status, answer),
        )

    async def make_pending(
        self, webhook_id: UUID, url: str, *, until: datetime, due_at: datetime
    ) -> None:
        """Send nothing until the receiver agrees. What waits is kept, and what happens meanwhile, too."""
        await self._connection.execute(SQL["make_pending"], webhook_id, url, until, due_at)

    async def disable(self, webhook_id: UUID, because: Disabled) -> None:
        """Send nothing until the owner enables it. What waits is kept, and what happens meanwhile, too."""
        await self._connection.execute(SQL["disable"], webhook_id, because)

    async def begin_anew(self, webhook_id: UUID, now: datetime) -> None:
        """Let what waits, and what died since the last success, have all its attempts again."""
        await self._connection.execute(SQL["begin_anew"], webhook_id)
        await self._connection.execute(SQL["heads_due"], webhook_id, now)

    async def replay(self, webhook_id: UUID, wanted: WantedReplay, now: datetime) -> Replayed:
        """Deliver events again, at most `MOST_REPLAYED`."""
        (row,) = await self._connection.fetch(
            SQL["replay"],
            *(webhook_id, wanted.from_position, wanted.since, wanted.until),
            *(None if wanted.types is None else sorted(wanted.types), wanted.only_dead),
            MOST_REPLAYED,
        )
        await self._connection.execute(SQL["heads_due"], webhook_id, now)
        events: int = row["events"]
        return Replayed(events, row["last"] + 1 if events == MOST_REPLAYED else None)

    async def go_on_from(self, webhook_id: UUID, position: int) -> None:
        """Let a webhook that gets nothing go on from a position, forwards or backwards."""
        await self._connection.execute(SQL["go_on_from"], webhook_id, position)

    async def change(
        self,
        webhook_id: UUID,
        *,
        label: str | None,
        types: Sequence[str] | None,
        thresholds: Sequence[int] | None,
    ) -> None:
        """Replace label, types and thresholds."""
        await self._connection.execute(SQL["change"], webhook_id, label, types, thresholds)

    async def rotate(self, webhook_id: UUID, secret: bytes, old_until: datetime | None) -> None:
        """Replace the secret. ``old_until``: until then the present one signs, too; None: no more."""
        await self._connection.execute(SQL["rotate"], webhook_id, secret, old_until)

    async def end_with_orders(self) -> None:
        """Delete the webhooks that came with an order, after the last event of the order is deleted."""
        await self._connection.execute(SQL["end_with_orders"])


@dataclass(frozen=True, slots=True)
class Work:
    """Whether a tenant has something to do for its webhooks."""

    fan_out: bool
    """True if events have no deliveries yet."""
    due: bool
    """True if a webhook is due."""
    overdue: bool
    """True if a process died and left events without positions."""


class WebhookViews:
    """Reads webhooks without a unit of work. All calls raise StoreUnavailable."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def tenants(self, tenants: Sequence[Tenant]) -> list[Tenant]:
        """Return those of the tenants that have a webhook."""
        return await tenants_with_webhooks(self._pool, tenants)

    async def work(self, tenant: Tenant, now: datetime, before: datetime) -> Work:
        """Look for work. ``before``: an event that was written earlier should have a position."""
        (row,) = await read_rows(self._pool, tenant, SQL["look"], now, before)
        return Work(row["fan_out"], row["due"], row["overdue"])

    async def due_deliveries(
        self, tenant: Tenant, most: Mapping[UUID, int], now: datetime
    ) -> dict[UUID, list[DueDelivery]]:
        """Return the deliveries of claimed webhooks that are due, at most so many of each."""
        rows = await read_rows(
            self._pool, tenant, SQL["due_deliveries"], list(most), list(most.values()), now
        )
        found: dict[UUID, list[DueDelivery]] = {one: [] for one in most}
        for row in rows:
            found[row["subscription_id"]].append(
                DueDelivery(
                    webhook=row["subscription_id"],
                    position=row["position"],
                    order_id=OrderId(row["order_id"]),
                    attempts=row["attempts"],
                    is_replay=row["is_replay"],
                    event=row["body"],
                    happened_at=row["created_at"],
                )
            )
        return found

    async def deliveries(
        self,
        tenant: Tenant,
        webhook_id: UUID,
        *,
        state: DeliveryState | None,
        before: int | None,
        limit: int,
    ) -> list[Delivery]:
        """Return deliveries of a webhook, the newest first. ``before``: this position."""
        rows = await read_rows(
            self._pool, tenant, SQL["deliveries"], webhook_id, state, before, limit
        )
        return [
            Delivery(
                position=row["position"],
                event_id=row["event_id"],
                type=row["type"],
                order_id=OrderId(row["order_id"]),
                state=DeliveryState(row["state"]),
                due_at=row["due_at"],
                attempts=row["attempts"],
                is_replay=row["is_replay"],
                attempt_id=row["attempt_id"],
                attempted_at=row["attempted_at"],
                status=row["status"],
                answer=row["answer"],
            )
            for row in rows
        ]


def _stored(row: Row) -> StoredWebhook:
    because: str | None = row["disabled_because"]
    return StoredWebhook(
        id=row["subscription_id"],
        owner=row["owner"],
        url=row["url"],
        mode=WebhookMode(row["mode"]),
        secrets=SealedSecrets(row["secret"], row["old_secret"], row["old_secret_until"]),
        standing=Standing(
            WebhookState(row["state"]),
            because=None if because is None else Disabled(because),
            failures=row["failures"],
            failing_since=row["failing_since"],
            last_success=row["last_success"],
            resting_until=row["resting_until"],
        ),
        pending_until=row["pending_until"],
        allowed_rate=row["allowed_rate"],
        position=row["position"],
        behind=row["behind"],
        claim=row["claim"],
    )


def _columns(rows: Collection[Any] | Iterable[Any], width: int = 0) -> list[list[Any]]:
    """Return the columns of rows, as ``unnest`` takes them. ``width``: their number if there is no row."""
    columns = [list(column) for column in zip(*rows, strict=True)]
    return columns or [[] for _ in range(width)]


def _attempt_row(one: AttemptedDelivery) -> tuple[Any, ...]:
    return (
        *(one.delivery.webhook, one.delivery.position, one.state, one.due_at),
        *(one.attempt_id, one.at, one.status, one.answer),
    )


def _end_row(one: EndOfClaim) -> tuple[Any, ...]:
    standing, failure = one.standing, one.last_failure
    return (
        *(one.webhook.id, standing.state, standing.because),
        *(standing.failures, standing.failing_since, standing.last_success),
        *((failure.at, failure.status, failure.answer) if failure else (None, None, None)),
        standing.resting_until,
    )
