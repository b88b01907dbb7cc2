"""Sub-orders from tape: the range given at the request, and the samples that later ranges are learnt from."""

from datetime import timedelta

import pytest

from rs_order.core.shared_steps import ScheduleStep
from rs_order.domain.estimates import KEPT_SAMPLES
from rs_order.requests.retention import PurgeInboxStep
from rs_order.store.pool import Pool
from tests.integration.app_harness import TENANT, AppHarness
from tests.support.clock import NOW
from tests.support.rows import OWNER

_TEN_MINUTES_EACH = """
insert into restore_sample (asked_at, settled_at, files, bytes, guess, expected_earliest, expected_latest)
select $1::timestamptz - make_interval(hours => n + 1),
       $1::timestamptz - make_interval(hours => n + 1) + make_interval(secs => 540 + 120 * (n % 2)),
       1, 1000, 600, 300, 900
from generate_series(1, $2) n
"""
"""They took 9 or 11 minutes, all inside of their range. $1 now, $2 how many."""


async def asked(app: AppHarness, *names: str) -> None:
    """Order files, one sub-order, and ask storage for it."""
    await app.order(*names)
    await app.run()


async def expected(app: AppHarness) -> list[tuple[float | None, float | None]]:
    """Return the ends of the range of each sub-order."""
    found = await app.rows("select expected_earliest, expected_latest from sub_order order by id")
    return [(row["expected_earliest"], row["expected_latest"]) for row in found]


async def test_a_sub_order_gets_the_range_that_the_samples_tell(pool: Pool) -> None:
    app = AppHarness(pool, max_storage_files_jobs_per_user=0)
    await app.rows(_TEN_MINUTES_EACH, NOW, 100)
    await asked(app, "a")

    ((earliest, latest),) = await expected(app)
    assert earliest is not None
    assert latest is not None
    assert 400 < earliest < latest < 900

    app.clock.move(minutes=10)
    await app.storage_answers("a")

    (sample,) = await app.rows("select * from restore_sample where asked_at = $1", NOW)
    assert sample["settled_at"] == NOW + timedelta(minutes=10)
    assert (sample["expected_earliest"], sample["expected_latest"]) == (earliest, latest)
    assert (sample["files"], sample["bytes"]) == (1, 10)


async def test_nothing_is_expected_without_samples(pool: Pool) -> None:
    app = AppHarness(pool, max_storage_files_jobs_per_user=0)
    await asked(app, "a")

    assert await expected(app) == [(None, None)]


@pytest.mark.parametrize(("seconds", "samples"), [(59, 0), (60, 1)])
async def test_a_sub_order_that_is_answered_within_a_minute_is_online(
    pool: Pool, seconds: int, samples: int
) -> None:
    app = AppHarness(pool, max_storage_files_jobs_per_user=0)
    await asked(app, "a")
    app.clock.move(seconds=seconds)
    await app.storage_answers(a="broken")

    assert len(await app.rows("select from restore_sample")) == samples


async def test_no_range_is_given_while_storage_is_late(pool: Pool) -> None:
    app = AppHarness(pool, max_storage_files_jobs_per_user=0)
    await app.rows(_TEN_MINUTES_EACH, NOW, 100)
    await asked(app, "a")
    await asked(app, "b")
    app.clock.move(hours=1)
    await asked(app, "c")

    *_, before_last, last = await expected(app)
    assert None not in before_last
    assert last == (None, None)


async def test_a_pass_reads_no_samples_again_within_a_minute(pool: Pool) -> None:
    app = AppHarness(pool, max_storage_files_jobs_per_user=0)
    await app.do(ScheduleStep(OWNER).to(TENANT).body)
    await app.rows(_TEN_MINUTES_EACH, NOW, 100)
    app.clock.move(seconds=59)
    await asked(app, "a")
    app.clock.move(seconds=1)
    await asked(app, "b")

    before, after = await expected(app)
    assert before == (None, None)
    assert None not in after


async def test_the_last_samples_are_kept(pool: Pool) -> None:
    app = AppHarness(pool)
    await app.rows(_TEN_MINUTES_EACH, NOW, KEPT_SAMPLES + 10)
    await app.do(PurgeInboxStep(1).to(TENANT).body)

    (kept,) = await app.rows(
        "select count(*) as number, min(settled_at) as oldest from restore_sample"
    )
    assert kept["number"] == KEPT_SAMPLES
    assert kept["oldest"] > NOW - timedelta(hours=KEPT_SAMPLES + 1)
