"""Pauses and deadlines as numbers: decisions.md "Storage silence" and "Remote service in trouble"."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from rs_order.core.policies import mail_retries, remote_retries, storage_retries
from rs_order.domain.retry import Backoff, RetryPolicy

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def always(value: float) -> Callable[[], float]:
    """A source that returns one number, so that pauses are known."""
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
    """From the first pause on, however many failures there were."""
    backoff = Backoff(first=MINUTE, limit=10 * MINUTE, factor=factor)

    assert backoff.pause(failures) == minutes * MINUTE


@pytest.mark.parametrize(
    ("jitter", "chance", "seconds"),
    [(0, 0, 60), (0, 0.999, 60), (0.5, 0, 60), (0.5, 0.5, 45), (0.2, 0.5, 54), (1, 0.75, 15)],
)
def test_the_jitter_shortens_a_pause_by_a_fraction(
    jitter: float, chance: float, seconds: int
) -> None:
    """0 of the source gives the whole pause."""
    backoff = Backoff(first=MINUTE, limit=MINUTE, jitter=jitter, random=always(chance))

    assert backoff.pause(1) == timedelta(seconds=seconds)


def test_chance_keeps_pauses_within_their_bounds() -> None:
    """Never above the limit, never shorter than the jitter allows, and not all the same."""
    backoff = Backoff(first=MINUTE, limit=3 * MINUTE, jitter=0.5)
    for failures, longest in [(1, MINUTE), (2, 2 * MINUTE), (3, 3 * MINUTE), (99, 3 * MINUTE)]:
        pauses = {backoff.pause(failures) for _ in range(50)}

        assert longest / 2 < min(pauses) < max(pauses) <= longest


@pytest.mark.parametrize(
    ("first", "factor", "jitter"),
    [(-MINUTE, 2, 0), (MINUTE, 0.5, 0), (MINUTE, 2, -0.1), (MINUTE, 2, 1.1)],
)
def test_a_back_off_that_shrinks_is_refused(first: timedelta, factor: float, jitter: float) -> None:
    """So is one whose pauses could be negative."""
    with pytest.raises(ValueError, match="pauses must be positive"):
        Backoff(first=first, limit=MINUTE, factor=factor, jitter=jitter)


@pytest.mark.parametrize(("minutes", "over"), [(0, False), (9.99, False), (10, True), (11, True)])
def test_a_policy_ends_at_its_deadline(minutes: float, *, over: bool) -> None:
    """Counted from the first failure."""
    policy = RetryPolicy(first=MINUTE, limit=MINUTE, deadline=10 * MINUTE)

    assert policy.exhausted(NOW, NOW + minutes * MINUTE) is over


@pytest.mark.parametrize(("waited", "at"), [(0, 4), (5, 9), (6, 10), (9, 10)])
def test_no_attempt_comes_after_the_deadline(waited: int, at: int) -> None:
    """The last pause is cut, so that giving up is not late."""
    policy = RetryPolicy(first=MINUTE, limit=9 * MINUTE, deadline=10 * MINUTE)

    assert policy.next_attempt(3, NOW, NOW + waited * MINUTE) == NOW + at * MINUTE


@pytest.mark.parametrize(
    ("asks", "minutes"),
    [(1, 30), (2, 60), (3, 120), (4, 240), (5, 360), (6, 360), (100, 360)],
)
def test_storage_is_asked_again_with_doubling_pauses(asks: int, minutes: int) -> None:
    """From half an hour up to six; the chapter fixes the pauses, so there is no jitter."""
    policy = storage_retries()

    assert policy.jitter == 0
    assert policy.next_attempt(asks, NOW, NOW) == NOW + timedelta(minutes=minutes)


def test_the_last_reminder_is_the_deadline() -> None:
    """So that giving up never comes late."""
    late = NOW + timedelta(hours=47)

    assert storage_retries().next_attempt(9, NOW, late) == NOW + timedelta(hours=48)


@pytest.mark.parametrize(("hours", "over"), [(0, False), (47.999, False), (48, True), (99, True)])
def test_48_hours_of_silence_are_enough(hours: float, *, over: bool) -> None:
    """Counted from the first request."""
    assert storage_retries().exhausted(NOW, NOW + timedelta(hours=hours)) is over


def test_storage_is_asked_about_a_dozen_times_in_all() -> None:
    """Growing pauses make a silence of 48 h cost few messages."""
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
    """From a second up to a minute, each up to a fifth shorter by chance."""
    policy = remote_retries()

    assert replace(policy, random=always(0)).pause(failures) == timedelta(seconds=seconds)
    assert replace(policy, random=always(1)).pause(failures) == timedelta(seconds=seconds * 0.8)


@pytest.mark.parametrize(("seconds", "over"), [(0, False), (599, False), (600, True)])
def test_a_remote_service_has_ten_minutes(seconds: int, *, over: bool) -> None:
    """Counted from the first attempt in vain."""
    assert remote_retries().exhausted(NOW, NOW + timedelta(seconds=seconds)) is over


@pytest.mark.parametrize(
    ("failures", "seconds"), [(1, 30), (2, 60), (7, 1920), (8, 3600), (100, 3600)]
)
def test_a_mail_is_tried_for_a_day(failures: int, seconds: int) -> None:
    """With pauses from half a minute to an hour, each up to a fifth shorter by chance."""
    policy = mail_retries()

    assert replace(policy, random=always(0)).pause(failures) == timedelta(seconds=seconds)
    assert policy.exhausted(NOW, NOW + timedelta(hours=24))
    assert not policy.exhausted(NOW, NOW + timedelta(hours=23))
