"""A history of restores for the service, which learns from it when files come back (faces.md 10.3).

A new archive has no history, and so no expected times. A real one gathers it within days.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple, fields
from datetime import datetime, timedelta

import asyncpg

from rs_order.domain.estimates import Experience, Range, Sample, learn
from rs_order.domain.ids import Tenant
from rs_order.domain.throughput import Throughput, hour_of
from rs_order.store.estimates import sample_record
from rs_order.store.pool import tenant_schema

RESTORES = 200
LEARNT_EVERY = 10
"""Restores until the next ones are expected from all before."""
SPREAD = (5**0.5 - 1) / 2
"""Multiples of the golden ratio fill every interval evenly, without chance."""
SHORTEST = 0.01
"""Seconds, also of a restore of a file that takes no time."""
HOURS = 48
FILES_BY_DAY, BYTES_BY_DAY = 900, 640 * 10**9
"""Of a busy hour."""
DELIVERED_AFTER = timedelta(hours=2)


def played_history(now: datetime, *, seconds: float, size: int) -> list[Sample]:
    """Return restores one after the other, each with the range that the service would have given.

    Args:
        now: the history ends here.
        seconds: the time that a file needs to come back from tape; a restore takes up to twice as long.
        size: bytes of a restore.
    """
    times = [seconds * (1 + number * SPREAD % 1) + SHORTEST for number in range(RESTORES)]
    asked_at = now - timedelta(seconds=sum(times))
    history: list[Sample] = []
    experience = Experience()
    for number, took in enumerate(times):
        if number % LEARNT_EVERY == 0:
            experience = learn(history)
        settled_at = asked_at + timedelta(seconds=took)
        history.append(_sample(asked_at, settled_at, size, experience))
        asked_at = settled_at
    return history


def _sample(asked_at: datetime, settled_at: datetime, size: int, experience: Experience) -> Sample:
    guess = experience.guess(before=0, size=size)
    found = experience.range(guess)
    expected = found if isinstance(found, Range) else None
    return Sample(asked_at, settled_at, size, guess, expected)


def played_hours(now: datetime) -> dict[datetime, Throughput]:
    """Return two days of an archive of some size: most is asked for by day, and delivered two hours later."""
    hours = [hour_of(now) - timedelta(hours=back) for back in range(1, HOURS)]
    return {
        at: Throughput(
            restored_files=round(FILES_BY_DAY * _share_of_day(at)),
            restored_bytes=round(BYTES_BY_DAY * _share_of_day(at)),
            delivered_files=round(FILES_BY_DAY * _share_of_day(at - DELIVERED_AFTER)),
            delivered_bytes=round(BYTES_BY_DAY * _share_of_day(at - DELIVERED_AFTER)),
        )
        for at in hours
    }


def _share_of_day(at: datetime) -> float:
    """Return how busy an hour is, between a twentieth and 1; no two hours are alike."""
    by_day = max(0.05, math.sin(math.pi * (at.hour - 6) / 14))
    return by_day * (0.6 + 0.4 * ((at.toordinal() * 24 + at.hour) * SPREAD % 1))


async def write_hours(
    database_url: str, tenant: Tenant, hours: Mapping[datetime, Throughput]
) -> None:
    """Write what was done in hours where the service keeps that of a tenant."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.copy_records_to_table(
            "hourly_throughput",
            schema_name=tenant_schema(tenant),
            columns=["hour", *(one.name for one in fields(Throughput))],
            records=[(hour, *astuple(one)) for hour, one in hours.items()],
        )
    finally:
        await connection.close()


async def write_history(database_url: str, tenant: Tenant, history: Sequence[Sample]) -> None:
    """Write restores where the service keeps those of a tenant."""
    records = [sample_record(sample) for sample in history]
    connection = await asyncpg.connect(database_url)
    try:
        await connection.copy_records_to_table(
            "restore_sample",
            schema_name=tenant_schema(tenant),
            columns=list(records[0]),
            records=[tuple(record.values()) for record in records],
        )
    finally:
        await connection.close()
