"""When orders are checked for events that come with time, and what the last check of each found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rs_order.domain.ids import DataFileId, OrderId
from rs_order.domain.timed_events import Check, LastCheck
from rs_order.store.pool import Connection, statements

SQL = statements("timed_events")


@dataclass(frozen=True, slots=True)
class FailedFile:
    """A file in error."""

    id: DataFileId
    name: str
    code: str | None
    """Why it failed."""


class TimedEvents:
    """The checks of the orders of a tenant."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def due(self, now: datetime, limit: int) -> list[OrderId]:
        """Return up to ``limit`` orders that should be checked, those due first."""
        rows = await self._connection.fetch(SQL["due"], now, limit)
        return [OrderId(row["id"]) for row in rows]

    async def last_checks(self, ids: Sequence[OrderId], now: datetime) -> dict[OrderId, LastCheck]:
        """Return the last checks of locked orders. Those that were checked meanwhile are left out."""
        rows = await self._connection.fetch(SQL["last_checks"], ids, now)
        return {
            OrderId(row["id"]): LastCheck(
                at=row["at"],
                reason=row["reason_code"],
                since=row["reason_since"],
                told=row["reason_told"],
                failures=row["failures_told"],
            )
            for row in rows
        }

    async def failed_files(
        self, ids: Sequence[OrderId], limit: int
    ) -> Mapping[OrderId, list[FailedFile]]:
        """Return the first files in error of each order."""
        found: dict[OrderId, list[FailedFile]] = {order_id: [] for order_id in ids}
        for row in await self._connection.fetch(SQL["failed_files"], ids, limit):
            file = FailedFile(DataFileId(row["id"]), row["name"], row["reason_code"])
            found[OrderId(row["order_id"])].append(file)
        return found

    async def save(self, checks: Mapping[OrderId, Check]) -> None:
        """Store the checks of locked orders."""
        records = [_record(order_id, one) for order_id, one in checks.items()]
        await self._connection.execute(SQL["save"], records)


def _record(order_id: OrderId, check: Check) -> dict[str, Any]:
    last = check.last
    return {
        "id": order_id,
        "events_due_at": check.due_at,
        "events_checked_at": last.at,
        "reason_code": last.reason,
        "reason_since": last.since,
        "reason_told": last.told,
        "failures_told": last.failures,
    }
