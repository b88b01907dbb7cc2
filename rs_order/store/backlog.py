"""Reads what waits in the database and since when, for the metrics."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from rs_order.domain.ids import Tenant
from rs_order.domain.shares import Amount
from rs_order.store.errors import store_errors
from rs_order.store.pool import Pool, reading, statements, transaction

SQL = statements("backlog")


@dataclass(frozen=True, slots=True)
class Restores:
    """The sub-orders of a tenant that storage was asked for and has not settled."""

    tenant: Tenant
    in_flight: Amount
    oldest: datetime
    """When storage was first asked for the oldest."""


@dataclass(frozen=True, slots=True)
class TenantBacklog:
    """Since when the oldest work of a tenant waits. A member is None if no work of its kind waits."""

    request: datetime | None
    """When the oldest order request without a final answer was received."""
    ready: datetime | None
    """The lowest rank of a sub-order that waits for its turn."""
    processing: datetime | None
    """When the executions of the oldest sub-order that waits for results were requested."""
    due: datetime | None
    """When the next step of the most overdue sub-order was due."""
    event: datetime | None
    """When the oldest event without a position was written."""


class Backlog:
    """The backlog of the service. Its cost follows what runs and the owners who wait, not the orders."""

    def __init__(self, pool: Pool, *, processing_silence: timedelta) -> None:
        """``processing_silence``: the time after which the wait for results ends."""
        self._pool = pool
        self._processing_silence = processing_silence

    async def restores(self) -> list[Restores]:
        with store_errors():
            async with transaction(self._pool, readonly=True) as connection:
                rows = await connection.fetch(SQL["restores"])
        return [
            Restores(
                Tenant(row["tenant"]),
                Amount(row["sub_orders"], row["files"], row["bytes"]),
                row["oldest"],
            )
            for row in rows
        ]

    async def of(self, tenant: Tenant) -> TenantBacklog:
        async with reading(self._pool, tenant) as connection:
            (row,) = await connection.fetch(SQL["of_tenant"], self._processing_silence)
        return TenantBacklog(**row)
