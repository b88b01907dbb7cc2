"""When sub-orders are expected back from tape: faces.md 10.3."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rs_order.domain.estimates import (
    LEAST_RATIOS,
    NO_EXPERIENCE,
    Experience,
    Hindsight,
    Outcome,
    Range,
    Sample,
    Silence,
    latest_of,
    learn,
    rounded_down,
    rounded_up,
    storage_is_late,
)

NOW = datetime(2026, 1, 1, 12, 2, tzinfo=UTC)
KNOWN = Experience(
    rate=100.0, latency=60.0, ratios=tuple(n / 100 for n in range(50, 151)), outcomes=500, level=0.9
)
GUESSES = st.floats(1, 1e7)
RATIOS = st.lists(st.floats(0.01, 100), min_size=LEAST_RATIOS, max_size=80)


def sample(
    asked: float,
    took: float,
    size: int = 1000,
    guess: float | None = None,
    *,
    inside: bool | None = None,
) -> Sample:
    """``inside``: the range that was given came true or not; None: there was none."""
    asked_at = NOW + timedelta(seconds=asked)
    expected = None if inside is None else Range(0, took if inside else took / 2)
    return Sample(asked_at, asked_at + timedelta(seconds=took), size, guess, expected)


def test_the_guess_adds_the_latency_to_the_time_for_all_bytes_awaited() -> None:
    assert KNOWN.guess(before=1000, size=500) == 60 + 15
    assert NO_EXPERIENCE.guess(before=0, size=1) is None


def test_the_rate_counts_only_time_in_which_something_was_awaited() -> None:
    idle_between = [sample(0, 100), sample(50, 50), sample(10_000, 100)]

    assert learn(idle_between).rate == pytest.approx(3000 / 200, rel=0.2)


def test_the_rate_forgets_half_in_six_hours() -> None:
    six_hours = 6 * 3600
    slow_then_fast = [sample(0, 100, 100), sample(six_hours, 100, 1000)]

    assert learn(slow_then_fast).rate == pytest.approx((50 + 1000) / 150, rel=0.02)


def test_the_rate_is_the_same_after_a_long_pause() -> None:
    assert learn([sample(0, 100)]).rate == learn([sample(1e8, 100)]).rate


def test_sub_orders_behind_several_others_dont_count_for_the_latency() -> None:
    alone = [sample(n * 1000, 120) for n in range(5)]
    queued = [sample(n * 1000 + 1 + k / 10, 900) for n in range(5) for k in (1, 2, 3)]

    assert learn(alone).latency == pytest.approx(120)
    assert 120 < learn([*alone, *queued]).latency < 600


def test_a_sub_order_adds_fifteen_minutes_to_the_latency_at_most() -> None:
    assert learn([sample(0, 1e6)]).latency == 900


@pytest.mark.parametrize(
    ("outcomes", "tail"),
    [
        ([True] * 10, 0.07),
        ([False], 0.032),
        ([False] * 9, 0.0),
        ([True] * 200, 0.25),
        ([None], 0.05),
    ],
)
def test_misses_widen_the_range_and_hits_narrow_it(
    outcomes: list[bool | None], tail: float
) -> None:
    samples = [sample(n * 1000, 100, inside=inside) for n, inside in enumerate(outcomes)]

    assert learn(samples).tail == pytest.approx(tail)


@pytest.mark.parametrize(
    ("inside", "missed", "level"),
    [(500, 0, 1.0), (449, 51, 0.85), (450, 50, 0.9), (299, 201, None), (30, 0, 0.6), (29, 0, None)],
)
def test_the_level_is_the_measured_share_rounded_down(
    inside: int, missed: int, level: float | None
) -> None:
    outcomes = [True] * inside + [False] * missed

    learnt = learn(sample(n * 1000, 100, inside=one) for n, one in enumerate(outcomes))

    assert learnt.level == level


def test_only_the_last_ratios_and_outcomes_count() -> None:
    old = [sample(n * 1000, 100, guess=1.0, inside=False) for n in range(600)]
    new = [sample(1e6 + n * 1000, 100, guess=100.0, inside=True) for n in range(500)]

    learnt = learn([*new, *old])

    assert learnt.ratios == (1.0,) * 300
    assert learnt.level == 1.0


def test_the_time_already_waited_shortens_the_range() -> None:
    at_first = KNOWN.range(100)
    assert isinstance(at_first, Range)
    assert (at_first.earliest, at_first.latest) == pytest.approx((55, 145))
    late = KNOWN.range(100, elapsed=140)
    assert isinstance(late, Range)
    assert 140 < late.earliest <= late.latest <= 150


@pytest.mark.parametrize(
    ("experience", "elapsed", "late", "reason"),
    [
        (NO_EXPERIENCE, 0, False, Silence.NO_HISTORY),
        (Experience(1.0, 0.0, (1.0,) * 49), 0, False, Silence.NO_HISTORY),
        (Experience(1.0, 0.0, (1.0,) * 50, outcomes=49), 0, False, Silence.NO_HISTORY),
        (Experience(1.0, 0.0, (1.0,) * 50, outcomes=50), 0, False, Silence.UNRELIABLE),
        (KNOWN, 150, False, Silence.BEYOND_EXPERIENCE),
        (KNOWN, 0, True, Silence.STORAGE_LATE),
    ],
)
def test_without_an_honest_range_there_is_a_reason(
    experience: Experience, elapsed: float, late: bool, reason: Silence
) -> None:
    assert experience.answer(100.0, elapsed=elapsed, late=late) is reason


@given(ratios=RATIOS, guess=GUESSES, elapsed=st.floats(0, 1e9), tail=st.floats(0, 0.25))
def test_a_range_is_ordered_and_ends_after_the_time_waited(
    ratios: list[float], guess: float, elapsed: float, tail: float
) -> None:
    found = Experience(1.0, 0.0, tuple(sorted(ratios)), tail, 500, 0.9).range(guess, elapsed)

    if isinstance(found, Range):
        assert found.earliest <= found.latest * (1 + 1e-12)
        assert found.latest >= elapsed * (1 - 1e-12)
    else:
        assert found is Silence.BEYOND_EXPERIENCE
        assert elapsed / guess >= max(ratios)


@given(before=st.integers(0, 10**15), size=st.integers(0, 10**15), more=st.integers(0, 10**15))
def test_more_bytes_are_never_expected_earlier(before: int, size: int, more: int) -> None:
    less, larger = KNOWN.guess(before, size), KNOWN.guess(before, size + more)
    assert less is not None
    assert larger is not None
    assert larger >= less
    narrow, wide = KNOWN.range(less), KNOWN.range(larger)
    assert isinstance(narrow, Range)
    assert isinstance(wide, Range)
    assert wide.earliest >= narrow.earliest
    assert wide.latest >= narrow.latest


@pytest.mark.parametrize(
    ("took", "outcome"),
    [(9, Outcome.EARLY), (10, Outcome.INSIDE), (20, Outcome.INSIDE), (21, Outcome.LATE)],
)
def test_outcomes(took: float, outcome: Outcome) -> None:
    assert Range(10, 20).outcome(took) is outcome


def test_a_sub_order_without_a_range_has_no_outcome() -> None:
    assert sample(0, 100).outcome is Outcome.NONE


@pytest.mark.parametrize(
    ("late", "awaited", "changed"),
    [(0, 0, False), (1, 1, False), (2, 2, True), (2, 20, True), (2, 21, False), (3, 30, True)],
)
def test_storage_is_late_with_two_and_a_tenth_of_what_is_awaited(
    late: int, awaited: int, changed: bool
) -> None:
    assert storage_is_late(late=late, awaited=awaited) is changed


@pytest.mark.parametrize(
    ("parts", "answer"),
    [
        ([Range(1, 5), Range(2, 4)], Range(2, 5)),
        ([Range(1, 5), Silence.NO_HISTORY, Silence.STORAGE_LATE], Silence.STORAGE_LATE),
        ([Silence.BEYOND_EXPERIENCE, Silence.PAUSED], Silence.PAUSED),
    ],
)
def test_an_order_is_as_late_as_its_latest_part(
    parts: list[Range | Silence], answer: Range | Silence
) -> None:
    assert latest_of(parts) == answer


@pytest.mark.parametrize(
    ("away", "earliest", "latest"),
    [
        (timedelta(minutes=4), "12:05", "12:10"),
        (timedelta(minutes=119), "14:00", "14:05"),
        (timedelta(hours=2), "14:00", "14:30"),
        (timedelta(hours=23, minutes=59), "12:00", "12:30"),
        (timedelta(days=1), "12:00", "18:00"),
        (timedelta(minutes=-30), "12:00", "11:35"),
    ],
)
def test_times_are_rounded_outward_by_their_distance(
    away: timedelta, earliest: str, latest: str
) -> None:
    assert f"{rounded_down(NOW + away, NOW):%H:%M}" == earliest
    assert f"{rounded_up(NOW + away, NOW):%H:%M}" == latest


@given(now=st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)), away=st.floats(0, 1e8))  # noqa: DTZ001 - made aware below
def test_rounding_goes_outward_and_never_into_the_past(now: datetime, away: float) -> None:
    aware = now.replace(tzinfo=UTC)
    at = aware + timedelta(seconds=away)

    assert aware - timedelta(minutes=5) < rounded_down(at, aware) <= at
    assert at <= rounded_up(at, aware) < at + timedelta(hours=6)


def test_the_range_at_half_of_the_time_is_learnt_from_what_was_known_then() -> None:
    known = [sample(n * 1000, 100, guess=100.0, inside=True) for n in range(60)]
    asked = Sample(
        NOW + timedelta(seconds=100_000),
        NOW + timedelta(seconds=100_100),
        1000,
        100.0,
        Range(50, 150),
    )
    surprises = [sample(100_060 + n, 1e5, guess=1.0) for n in range(300)]

    assert Hindsight([*known, asked]).at_half(asked) is Outcome.INSIDE
    assert Hindsight([*known, asked, *surprises]).at_half(asked) is Outcome.INSIDE
    assert Hindsight([asked]).at_half(asked) is Outcome.NONE


def test_half_of_the_time_after_the_upper_end_has_no_range() -> None:
    late = Sample(NOW, NOW + timedelta(seconds=100), 1000, 10.0, Range(5, 15))

    assert Hindsight([late]).at_half(late) is Outcome.NONE
