"""Reads what stands still: orders, steps and requests in which nothing has moved for longer than usual."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from rs_order.domain.ids import OrderId, RequestId, Tenant
from rs_order.store.pool import Pool, statements
from rs_order.store.tenant_reads import read_rows

SQL = statements("standing")
LONG_IN_QUEUE: Final = timedelta(days=1)
LONG_WITHOUT_ANSWER: Final = timedelta(minutes=15)
"""Of a request, as the alarm about it has it."""


class Cause(StrEnum):
    """What stands still."""

    STORAGE = "storage"
    """Storage takes longer than expected, or gave no answer to two requests."""
    PROCESS = "process"
    CATALOG = "catalog"
    QUEUE = "queue"
    """It has been in the queue of its owner for more than a day."""
    STEP = "step"
    """A step failed, or the reconciler found that it was lost."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A cause for which an order, or a step of no order, stands still."""

    order_id: OrderId | None
    cause: Cause
    since: datetime
    next_at: datetime | None
    """When the service itself tries to move it; None: when what it waits for is there."""
    times: int
    """How often that was tried."""
    sub_orders: int
    step: str | None
    subject: str | None
    """The members of the step, as JSON."""
    detail: str | None
    """Of the last failure of the step."""


@dataclass(frozen=True, slots=True)
class WaitingRequest:
    """An order request without an answer."""

    id: RequestId
    correlation_id: str
    received_at: datetime
    attempts: int
    unavailable_since: datetime | None
    """Since when a service that it needs gives no answer; None: not known."""


class StandingStill:
    """Reads what stands still in a tenant. All calls raise StoreUnavailable."""

    def __init__(self, pool: Pool, *, silent_after: timedelta) -> None:
        """``silent_after``: the time until storage is asked again."""
        self._pool = pool
        self._silent_after = silent_after

    async def causes(self, tenant: Tenant, now: datetime, *, limit: int) -> list[Standing]:
        """Return the causes, those first that last longest; an order may have several."""
        conditions = (now, now - self._silent_after, now - LONG_IN_QUEUE, limit)
        rows = await read_rows(self._pool, tenant, SQL["standing"], *conditions)
        return [
            Standing(
                order_id=None if row["order_id"] is None else OrderId(row["order_id"]),
                cause=Cause(row["cause"]),
                since=row["since"],
                next_at=row["next_at"],
                times=row["times"],
                sub_orders=row["sub_orders"],
                step=row["step"],
                subject=row["subject"],
                detail=row["detail"],
            )
            for row in rows
        ]

    async def requests(self, tenant: Tenant, now: datetime, *, limit: int) -> list[WaitingRequest]:
        """Return the requests that have waited for long, the oldest first."""
        before = now - LONG_WITHOUT_ANSWER
        rows = await read_rows(self._pool, tenant, SQL["requests"], before, limit)
        return [
            WaitingRequest(
                RequestId(row["id"]),
                row["correlation_id"],
                row["received_at"],
                row["attempts"],
                row["unavailable_since"],
            )
            for row in rows
        ]
