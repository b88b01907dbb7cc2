"""Samples of sub-orders that needed tape, and what is awaited now (faces.md 10.3)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rs_order.domain.estimates import KEPT_SAMPLES, Sample
from rs_order.domain.ids import Tenant
from rs_order.store.pool import Connection, Pool, Row, statements
from rs_order.store.rows import affected, expectation_columns, range_of
from rs_order.store.tenant_reads import read_rows

SQL = statements("estimates")


@dataclass(frozen=True, slots=True)
class Awaited:
    """The requests that storage has not settled."""

    bytes: int
    with_range: int
    """Sub-orders that have an upper end."""
    late: int
    """Those that are past it."""


class Estimates:
    """Reads what the expected times of a tenant are learnt from."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def samples(self, tenant: Tenant) -> list[Sample]:
        """Return the samples that are kept, oldest first.

        Raises:
            StoreUnavailable: the database can't be reached.
        """
        rows = await read_rows(self._pool, tenant, SQL["samples"], KEPT_SAMPLES)
        return [_sample_of(row) for row in reversed(rows)]

    async def awaited(self, tenant: Tenant, now: datetime) -> Awaited:
        """Return what is awaited now.

        Raises:
            StoreUnavailable: the database can't be reached.
        """
        (row,) = await read_rows(self._pool, tenant, SQL["awaited"], now)
        return Awaited(row["bytes"], row["with_range"], row["late"])


async def purge_samples(connection: Connection, limit: int) -> int:
    """Delete up to ``limit`` of the oldest samples that are no longer needed. Return their number."""
    return affected(await connection.execute(SQL["purge"], KEPT_SAMPLES, limit))


def sample_record(sample: Sample) -> dict[str, Any]:
    return {
        "storage": sample.storage,
        "asked_at": sample.asked_at,
        "settled_at": sample.settled_at,
        "files": sample.files,
        "bytes": sample.bytes,
        **expectation_columns(sample.guess, sample.expected),
    }


def _sample_of(row: Row) -> Sample:
    return Sample(
        asked_at=row["asked_at"],
        settled_at=row["settled_at"],
        bytes=row["bytes"],
        guess=row["guess"],
        expected=range_of(row),
        files=row["files"],
        storage=row["storage"],
    )
