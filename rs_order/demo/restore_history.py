"""A history of restores for the service, which learns from it when files come back (faces.md 10.3).

A new archive has no history, and so no expected times. A real one gathers it within days.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import asyncpg

from rs_order.domain.estimates import Experience, Range, Sample, learn
from rs_order.domain.ids import Tenant
from rs_order.store.estimates import sample_record
from rs_order.store.pool import tenant_schema

RESTORES = 200
LEARNT_EVERY = 10
"""Restores until the next ones are expected from all before."""
SPREAD = (5**0.5 - 1) / 2
"""Multiples of the golden ratio fill every interval evenly, without chance."""
SHORTEST = 0.01
"""Seconds, also of a restore of a file that takes no time."""


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
