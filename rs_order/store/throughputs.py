"""Keeps what was done in each hour. A process adds up in memory, and writes once a minute.

So a change of files costs no statement more. A process that is killed loses the figures of its last minute.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog

from rs_order.domain.ids import Tenant
from rs_order.domain.throughput import NONE, Throughput, hour_of
from rs_order.ports import Clock
from rs_order.store.errors import StoreError, store_errors
from rs_order.store.pool import Pool, statements, transaction
from rs_order.store.tenant_reads import read_rows

SQL = statements("throughputs")
PAUSE_SECONDS: Final = 60.0
KEPT: Final = timedelta(days=7)

log = structlog.get_logger(__name__)


class HourlyThroughput:
    """The figures of this process that aren't written yet, and those that are."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._unwritten: dict[Tenant, dict[datetime, Throughput]] = {}

    def add(self, tenant: Tenant, throughput: Throughput) -> None:
        """Add what a commit has done, to the present hour."""
        hours = self._unwritten.setdefault(tenant, {})
        hour = hour_of(self._clock.now())
        hours[hour] = hours.get(hour, NONE) + throughput

    async def run(self) -> None:
        """Write from time to time until the task is cancelled."""
        while True:
            await asyncio.sleep(PAUSE_SECONDS)
            await self.write()

    async def write(self) -> None:
        """Write what was added. What can't be written now is kept for the next time.

        They are worth no more than that: a defect, such as a schema without the table, loses them.
        """
        for tenant in list(self._unwritten):
            hours = self._unwritten.pop(tenant)
            try:
                await self._write(tenant, hours)
            except StoreError as error:
                log.warning("throughput-not-written", tenant=tenant, cause=str(error))
                for hour, throughput in hours.items():
                    self._keep(tenant, hour, throughput)
            except Exception:
                log.exception("throughput-lost", tenant=tenant)

    async def since(self, tenant: Tenant, hour: datetime) -> dict[datetime, Throughput]:
        """Return the figures of the hours from this one on; an hour without any is left out.

        Raises:
            StoreUnavailable: the database can't be reached.
        """
        rows = await read_rows(self._pool, tenant, SQL["since"], hour)
        return {row["hour"]: Throughput(*list(row.values())[1:]) for row in rows}

    def _keep(self, tenant: Tenant, hour: datetime, throughput: Throughput) -> None:
        if hour >= self._clock.now() - KEPT:
            hours = self._unwritten.setdefault(tenant, {})
            hours[hour] = hours.get(hour, NONE) + throughput

    async def _write(self, tenant: Tenant, hours: dict[datetime, Throughput]) -> None:
        with store_errors():
            async with transaction(self._pool, tenant) as connection:
                await connection.execute(
                    SQL["add"], *_columns(hours), hour_of(self._clock.now() - KEPT)
                )


def _columns(hours: dict[datetime, Throughput]) -> Sequence[list[object]]:
    values = list(hours.values())
    return (
        list(hours),
        [one.restored_files for one in values],
        [one.restored_bytes for one in values],
        [one.delivered_files for one in values],
        [one.delivered_bytes for one in values],
    )
