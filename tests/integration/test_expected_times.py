"""Sub-orders from tape: the range given at the request, and the samples that later ranges are learnt from."""

from datetime import timedelta

import pytest

from rs_order.contracts.progress_bodies import Assumption, ProgressDto
from rs_order.core.reason_texts import Language
from rs_order.core.shared_steps import ScheduleStep
from rs_order.domain.estimates import KEPT_SAMPLES, Silence
from rs_order.domain.ids import OrderId
from rs_order.domain.reasons import ReasonCode
from rs_order.progress.document import progress_document
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


async def asked(app: AppHarness, *names: str) -> OrderId:
    """Order files, one sub-order, and ask storage for it if there is a slot."""
    order = await app.order(*names)
    await app.run()
    return order


async def document(app: AppHarness, order: OrderId) -> ProgressDto:
    """Return the progress of an order, as its owner sees it."""
    expectations = await app.waiting.expectations(TENANT)
    facts = await app.waiting.facts(TENANT, order)
    assert facts is not None
    details = await app.waiting.progress.details(TENANT, order, facts, expectations.now)
    return progress_document(order, details, expectations, Language.ENGLISH)


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


async def test_storage_that_stops_is_late_and_no_end_is_shown(pool: Pool) -> None:
    """Within two upper ends, for each order that waits for it."""
    app = AppHarness(pool, max_storage_files_jobs_per_user=0)
    await app.rows(_TEN_MINUTES_EACH, NOW, 100)
    orders = [await asked(app, name) for name in "abc"]
    before = [await document(app, order) for order in orders]
    latest = [seconds or 0 for _, seconds in await expected(app)]
    app.clock.move(seconds=2 * max(latest))
    after = [await document(app, order) for order in orders]
    app.clock.move(hours=24)
    a_day_later = [await document(app, order) for order in orders]

    for one in before:
        assert one.reason.code is ReasonCode.STORAGE_RESTORING
        assert one.expected is not None
        assert NOW < one.expected.earliest < one.expected.latest <= NOW + timedelta(minutes=15)
        assert (one.expected.level, one.expected.samples) == (1.0, 100)
    for seconds, one in zip(2 * latest, [*after, *a_day_later], strict=True):
        assert one.reason.code is ReasonCode.STORAGE_LATE
        assert one.reason.since is not None
        assert (one.reason.since - NOW).total_seconds() == pytest.approx(seconds)
        assert (one.expected, one.why) == (None, Silence.STORAGE_LATE)


async def test_the_gate_of_two_sub_orders_is_the_turn_of_the_owner(pool: Pool) -> None:
    """Two are ready for download, so the third waits; a download moves it."""
    app = AppHarness(pool)
    await app.rows(_TEN_MINUTES_EACH, NOW, 100)
    ready = [await asked(app, name) for name in "ab"]
    await app.storage_answers("a", "b")
    waits = await asked(app, "c")
    before = await document(app, waits)
    await app.downloaded(ready[0], "a")
    await app.run()
    after = await document(app, waits)

    assert (before.reason.code, before.reason.your_turn) == (ReasonCode.YOUR_DOWNLOAD_NEEDED, True)
    assert (before.expected, before.why) == (None, Silence.DOWNLOAD_NEEDED)
    assert (after.reason.code, after.reason.your_turn) == (ReasonCode.STORAGE_RESTORING, False)
    assert after.expected is not None


async def test_a_sub_order_in_the_queue_is_expected_after_those_before_it(pool: Pool) -> None:
    """If the owner downloads what is ready at once."""
    app = AppHarness(pool)
    await app.rows(_TEN_MINUTES_EACH, NOW, 100)
    for name in "ab":
        await asked(app, name)
    waits = await asked(app, "c")
    found = await document(app, waits)

    assert found.reason.code is ReasonCode.YOUR_LIMIT
    assert found.expected is not None
    assert found.expected.assumes == [Assumption.YOUR_DOWNLOADS]
