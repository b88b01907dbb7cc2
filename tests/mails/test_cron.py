"""Cron expressions are read as the Java service reads them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from rs_order.mails.plan import CronSchedule

FRIDAY = datetime(2026, 1, 9, 8, 0, 0, 500_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "following"),
    [
        ("0 0 7 * * MON-FRI", "2026-01-12T07:00:00"),
        ("0 0 7 * * mon-fri", "2026-01-12T07:00:00"),
        ("0 30 8 * * *", "2026-01-09T08:30:00"),
        ("*/10 * * * * *", "2026-01-09T08:00:10"),
        ("1 0 8 * * *", "2026-01-09T08:00:01"),
        ("0 0 7 ? * 0", "2026-01-11T07:00:00"),
        ("0 0 7 * * 7", "2026-01-11T07:00:00"),
        ("0 0 7 * * SAT,SUN", "2026-01-10T07:00:00"),
        ("0 0 7 L * *", "2026-01-31T07:00:00"),
        ("0 0 7 * * MON#1", "2026-02-02T07:00:00"),
        ("0 0 0 29 FEB *", "2028-02-29T00:00:00"),
        ("  0  0 7 *  * MON-FRI ", "2026-01-12T07:00:00"),
    ],
)
def test_the_next_time(text: str, following: str) -> None:
    """Seconds come first, days have names or numbers, 0 and 7 are Sunday, times are UTC."""
    assert CronSchedule(text).after(FRIDAY) == datetime.fromisoformat(f"{following}+00:00")


def test_both_day_fields_have_to_match() -> None:
    """As in Spring: only a 1st that is a Monday, not every 1st and every Monday."""
    assert CronSchedule("0 0 7 1 * MON").after(FRIDAY) == datetime(2026, 6, 1, 7, tzinfo=UTC)


def test_the_next_time_is_always_later() -> None:
    """A run always plans a later one; missed times are skipped."""
    daily = CronSchedule("0 0 7 * * *")
    seven = datetime(2026, 1, 9, 7, tzinfo=UTC)

    assert daily.after(seven) == seven + timedelta(days=1)
    assert daily.after(seven - timedelta(microseconds=1)) == seven
    assert daily.after(seven.astimezone(timezone(timedelta(hours=5)))) == seven + timedelta(days=1)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "has 6 fields .* '' has"),
        ("0 7 * * MON-FRI", "has 6 fields .* has 5"),
        ("0 0 7 * * MON-FRI 2026", "has 6 fields .* has 7"),
        ("@daily", "has 6 fields .* has 1"),
        ("0 0 25 * * *", "is no cron expression"),
        ("0 60 7 * * *", "is no cron expression"),
        ("0 0 7 * * LUN", "is no cron expression"),
        ("a b c d e f", "is no cron expression"),
        ("0 0 7 30 2 *", "is no cron expression"),
        ("0 0 7 * * FRI-", "is no cron expression"),
        ("0 */0 7 * * *", "is no cron expression"),
        ("H H 7 * * *", "is no cron expression"),
    ],
)
def test_invalid_expressions_are_rejected(text: str, reason: str) -> None:
    """For invalid fields and days that no year has; the error names the expected format."""
    with pytest.raises(ValueError, match=reason):
        CronSchedule(text)
