"""Patience as numbers: decisions.md "Storage silence" and "Remote service in trouble"."""

from datetime import UTC, datetime, timedelta

import pytest

from rs_order.application.policies import RemotePatience, StoragePatience

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("asks", "minutes"),
    [(1, 30), (2, 60), (3, 120), (4, 240), (5, 360), (6, 360), (100, 360)],
)
def test_storage_is_asked_again_with_doubling_pauses(asks: int, minutes: int) -> None:
    """From half an hour up to six."""
    assert StoragePatience().next_ask(NOW, asks, NOW) == NOW + timedelta(minutes=minutes)


def test_the_last_reminder_is_the_end_of_patience() -> None:
    """So that giving up never comes late."""
    patience = StoragePatience()
    late = NOW + timedelta(hours=47)

    assert patience.next_ask(NOW, 9, late) == NOW + timedelta(hours=48)


@pytest.mark.parametrize(("hours", "over"), [(0, False), (47.999, False), (48, True), (99, True)])
def test_48_hours_of_silence_are_enough(hours: float, *, over: bool) -> None:
    """Counted from the first request."""
    assert StoragePatience().exhausted(NOW, NOW + timedelta(hours=hours)) is over


def test_storage_is_asked_about_a_dozen_times_in_all() -> None:
    """Growing pauses make a silence of 48 h cost few messages."""
    patience = StoragePatience()
    asks, now = 1, NOW
    while not patience.exhausted(NOW, now):
        now = patience.next_ask(NOW, asks, now)
        asks += 1

    assert now == NOW + timedelta(hours=48)
    assert 10 <= asks <= 15


@pytest.mark.parametrize(
    ("attempts", "seconds"), [(0, 1), (1, 2), (5, 32), (6, 60), (50, 60), (10**6, 60)]
)
def test_a_remote_service_is_asked_again_after_doubling_pauses(attempts: int, seconds: int) -> None:
    """From a second up to a minute."""
    assert RemotePatience().pause(attempts) == timedelta(seconds=seconds)


@pytest.mark.parametrize(("seconds", "over"), [(0, False), (599, False), (600, True)])
def test_a_remote_service_has_ten_minutes(seconds: int, *, over: bool) -> None:
    """Counted from the first attempt in vain."""
    assert RemotePatience().exhausted(NOW, NOW + timedelta(seconds=seconds)) is over
