"""The subscriptions to events."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from rs_order.domain.ids import OrderId, Tenant
from rs_order.domain.subscriptions import (
    FailedAttempt,
    Subscription,
    SubscriptionScope,
    Webhook,
)
from rs_order.domain.webhooks import Disabled, WebhookMode, WebhookState
from rs_order.store.pool import Connection, Pool, Row, statements, tenant_schema
from rs_order.store.rows import affected
from rs_order.store.tenant_reads import read_rows

SQL = statements("subscriptions")


@dataclass(frozen=True, slots=True)
class SubscriptionCount:
    """What counts towards the limits of subscriptions."""

    of_owner: int
    of_tenant: int


class Subscriptions:
    """The subscriptions of one tenant, inside a unit of work."""

    def __init__(self, connection: Connection, tenant: Tenant) -> None:
        self._connection = connection
        self._tenant = tenant

    async def count(self, owner: str) -> SubscriptionCount:
        """Return what counts towards the limits. Until the unit of work ends, no other one begins."""
        await self._connection.execute(SQL["lock"], tenant_schema(self._tenant))
        (row,) = await self._connection.fetch(SQL["count"], owner)
        return SubscriptionCount(row["of_owner"], row["of_tenant"])

    async def add(
        self,
        owner: str,
        now: datetime,
        *,
        scope: SubscriptionScope,
        order_id: OrderId | None,
        types: Sequence[str] | None,
        label: str | None,
    ) -> Subscription:
        """Add a subscription that begins with the next event."""
        (row,) = await self._connection.fetch(SQL["add"], owner, label, scope, order_id, types, now)
        return _subscription_of(row)

    async def change(
        self, subscription_id: UUID, *, types: Sequence[str] | None, label: str | None
    ) -> Subscription | None:
        """Replace types and label, and return the subscription; None if it was removed."""
        row = await self._connection.fetchrow(SQL["change"], subscription_id, label, types)
        return _subscription_of(row) if row else None

    async def acknowledge(self, subscription_id: UUID, position: int) -> Subscription | None:
        """Move the position forward, never back. None if there is no such event or subscription."""
        row = await self._connection.fetchrow(SQL["acknowledge"], subscription_id, position)
        return _subscription_of(row) if row else None

    async def remove(self, subscription_id: UUID) -> bool:
        """Remove a subscription. False if there is none."""
        return affected(await self._connection.execute(SQL["remove"], subscription_id)) > 0


class SubscriptionViews:
    """Reads subscriptions. All calls raise StoreUnavailable."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def list(self, tenant: Tenant, owner: str | None) -> list[Subscription]:
        """Return the subscriptions of an owner, or of all, the newest first."""
        rows = await read_rows(self._pool, tenant, SQL["list"], owner)
        return [_found(row) for row in rows]

    async def find(self, tenant: Tenant, subscription_id: UUID) -> Subscription | None:
        rows = await read_rows(self._pool, tenant, SQL["find"], subscription_id)
        return _found(rows[0]) if rows else None


def _found(row: Row) -> Subscription:
    found = _subscription_of(row)
    if not row["is_webhook"]:
        return found
    failed_at: datetime | None = row["last_failure"]
    webhook = Webhook(
        url=row["url"],
        mode=WebhookMode(row["mode"]),
        thresholds=None if row["thresholds"] is None else tuple(row["thresholds"]),
        state=WebhookState(row["state"]),
        disabled_because=row["disabled_because"] and Disabled(row["disabled_because"]),
        allowed_rate=row["allowed_rate"],
        last_success=row["last_success"],
        last_failure=None
        if failed_at is None
        else FailedAttempt(failed_at, row["last_status"], row["last_answer"]),
        backlog=row["backlog"],
        dead=row["dead"],
    )
    return replace(found, position=row["done"], webhook=webhook)


def _subscription_of(row: Row) -> Subscription:
    return Subscription(
        id=row["id"],
        owner=row["owner"],
        label=row["label"],
        scope=SubscriptionScope(row["scope"]),
        order_id=None if row["order_id"] is None else OrderId(row["order_id"]),
        types=None if row["types"] is None else tuple(row["types"]),
        position=row["position"],
        created_at=row["created_at"],
    )
