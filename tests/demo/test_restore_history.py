"""The history of restores that the demo gives the service."""

from datetime import UTC, datetime, timedelta

from rs_order.demo.restore_history import HOURS, RESTORES, played_history, played_hours
from rs_order.domain.estimates import Range, learn

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


def test_the_service_learns_a_range_from_it() -> None:
    """A restore of as many bytes is expected between the shortest and the longest time of the history."""
    history = played_history(NOW, seconds=2.0, size=1000)

    experience = learn(history)
    found = experience.answer(experience.guess(before=0, size=1000), late=False)

    assert len(history) == RESTORES
    assert abs(history[-1].settled_at - NOW) < timedelta(milliseconds=1)
    assert isinstance(found, Range)
    assert 1.9 < found.earliest < found.latest < 4.1


def test_files_that_take_no_time_have_a_history() -> None:
    assert all(sample.took > 0 for sample in played_history(NOW, seconds=0.0, size=1))


def test_the_plots_of_the_console_have_two_days() -> None:
    hours = played_hours(NOW)

    assert len(hours) == HOURS - 1
    assert max(hours) == NOW - timedelta(hours=1)
    assert all(one.restored_files > 0 and one.delivered_bytes > 0 for one in hours.values())
