"""The pauses and deadlines of decisions.md "Storage silence" and "Remote service in trouble"."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from rs_order.core.policies import mail_retries, remote_retries, storage_retries
from rs_order.domain.retry import Backoff, RetryPolicy

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def always(value: float) -> Callable[[], float]:
    """Return a source of the same number, so that pauses are known."""
    return lambda: value


@pytest.mark.parametrize(
    ("factor", "failures", "minutes"),
    [
        (2, 1, 1),
        (2, 2, 2),
        (2, 3, 4),
        (2, 4, 8),
        (2, 5, 10),
        (2, 10**9, 10),
        (3, 2, 3),
        (3, 3, 9),
        (3, 4, 10),
        (1, 1, 1),
        (1, 10**9, 1),
    ],
)
def test_pauses_grow_by_a_factor_up_to_the_limit(
    factor: float, failures: int, minutes: int
) -> None:
    """The number of failures is not limited."""
    backoff = Backoff(first=MINUTE, limit=10 * MINUTE, factor=factor)

    assert backoff.pause(failures) == minutes * MINUTE


@pytest.mark.parametrize(
    ("jitter", "chance", "seconds"),
    [(0, 0, 60), (0, 0.999, 60), (0.5, 0, 60), (0.5, 0.5, 45), (0.2, 0.5, 54), (1, 0.75, 15)],
)
def test_the_jitter_shortens_a_pause_by_a_fraction(
    jitter: float, chance: float, seconds: int
) -> None:
    """With the number 0 the pause is not shortened."""
    backoff = Backoff(first=MINUTE, limit=MINUTE, jitter=jitter, random=always(chance))

    assert backoff.pause(1) == timedelta(seconds=seconds)


def test_random_pauses_stay_within_their_bounds() -> None:
    """They are different, not above the limit, and not shorter than the jitter allows."""
    backoff = Backoff(first=MINUTE, limit=3 * MINUTE, jitter=0.5)
    for failures, longest in [(1, MINUTE), (2, 2 * MINUTE), (3, 3 * MINUTE), (99, 3 * MINUTE)]:
        pauses = {backoff.pause(failures) for _ in range(50)}

        assert longest / 2 < min(pauses) < max(pauses) <= longest


@pytest.mark.parametrize(
    ("first", "factor", "jitter"),
    [(-MINUTE, 2, 0), (MINUTE, 0.5, 0), (MINUTE, 2, -0.1), (MINUTE, 2, 1.1)],
)
def test_a_decreasing_back_off_is_rejected(first: timedelta, factor: float, jitter: float) -> None:
    """So is one with negative pauses."""
    with pytest.raises(ValueError, match="pauses must be positive"):
        Backoff(first=first, limit=MINUTE, factor=factor, jitter=jitter)


@pytest.mark.parametrize(("minutes", "over"), [(0, False), (9.99, False), (10, True), (11, True)])
def test_a_policy_ends_at_its_deadline(minutes: float, *, over: bool) -> None:
    """The time counts from the first failure."""
    policy = RetryPolicy(first=MINUTE, limit=MINUTE, deadline=10 * MINUTE)

    assert policy.exhausted(NOW, NOW + minutes * MINUTE) is over


@pytest.mark.parametrize(("waited", "at"), [(0, 4), (5, 9), (6, 10), (9, 10)])
def test_no_attempt_comes_after_the_deadline(waited: int, at: int) -> None:
    """The last pause is shortened, so that the last attempt is at the deadline."""
    policy = RetryPolicy(first=MINUTE, limit=9 * MINUTE, deadline=10 * MINUTE)

    assert policy.next_attempt(3, NOW, NOW + waited * MINUTE) == NOW + at * MINUTE


@pytest.mark.parametrize(
    ("asks", "minutes"),
    [(1, 30), (2, 60), (3, 120), (4, 240), (5, 360), (6, 360), (100, 360)],
)
def test_storage_is_asked_again_with_doubling_pauses(asks: int, minutes: int) -> None:
    """From half an hour up to six hours; the chapter fixes the pauses, so there is no jitter."""
    policy = storage_retries()

    assert policy.jitter == 0
    assert policy.next_attempt(asks, NOW, NOW) == NOW + timedelta(minutes=minutes)


def test_the_last_reminder_is_at_the_deadline() -> None:
    """So the timeout is never late."""
    late = NOW + timedelta(hours=47)

    assert storage_retries().next_attempt(9, NOW, late) == NOW + timedelta(hours=48)


@pytest.mark.parametrize(("hours", "over"), [(0, False), (47.999, False), (48, True), (99, True)])
def test_storage_times_out_after_48_hours(hours: float, *, over: bool) -> None:
    """The time counts from the first request."""
    assert storage_retries().exhausted(NOW, NOW + timedelta(hours=hours)) is over


def test_storage_is_asked_about_a_dozen_times_in_all() -> None:
    """With growing pauses, 48 h without an answer cost few messages."""
    policy = storage_retries()
    asks, now = 1, NOW
    while not policy.exhausted(NOW, now):
        now = policy.next_attempt(asks, NOW, now)
        asks += 1

    assert now == NOW + timedelta(hours=48)
    assert 10 <= asks <= 15


@pytest.mark.parametrize(
    ("failures", "seconds"), [(1, 1), (2, 2), (6, 32), (7, 60), (51, 60), (10**6, 60)]
)
def test_a_remote_service_is_asked_again_after_doubling_pauses(failures: int, seconds: int) -> None:
    """From a second up to a minute; the jitter shortens each by up to a fifth."""
    policy = remote_retries()

    assert replace(policy, random=always(0)).pause(failures) == timedelta(seconds=seconds)
    assert replace(policy, random=always(1)).pause(failures) == timedelta(seconds=seconds * 0.8)


@pytest.mark.parametrize(("seconds", "over"), [(0, False), (599, False), (600, True)])
def test_a_remote_service_times_out_after_ten_minutes(seconds: int, *, over: bool) -> None:
    """The time counts from the first failed attempt."""
    assert remote_retries().exhausted(NOW, NOW + timedelta(seconds=seconds)) is over


@pytest.mark.parametrize(
    ("failures", "seconds"), [(1, 30), (2, 60), (7, 1920), (8, 3600), (100, 3600)]
)
def test_a_mail_is_tried_for_a_day(failures: int, seconds: int) -> None:
    """Pauses are from half a minute to an hour; the jitter shortens each by up to a fifth."""
    policy = mail_retries()

    assert replace(policy, random=always(0)).pause(failures) == timedelta(seconds=seconds)
    assert policy.exhausted(NOW, NOW + timedelta(hours=24))
    assert not policy.exhausted(NOW, NOW + timedelta(hours=23))
