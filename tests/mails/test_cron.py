"""Cron expressions are read as the Java service reads them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from rs_order.mails.cron import CronSchedule

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
        ("0 0 7 L-3 * *", "2026-01-28T07:00:00"),
        ("0 0 7 LW * ?", "2026-01-30T07:00:00"),
        ("0 0 9 10W * *", "2026-01-09T09:00:00"),
        ("0 0 7 1W 8 *", "2026-08-03T07:00:00"),
        ("0 0 7 31W MAY *", "2027-05-31T07:00:00"),
        ("0 0 7 15W * *", "2026-01-15T07:00:00"),
        ("0 0 7 L,12 * *", "2026-01-12T07:00:00"),
        ("0 0 7 * * 6L", "2026-01-31T07:00:00"),
        ("0 0 7 * * FRIL", "2026-01-30T07:00:00"),
        ("0 0 7 ? * MON#2", "2026-01-12T07:00:00"),
        ("0 0 7 ? * 5#5", "2026-01-30T07:00:00"),
        ("0 0 7 * * 0#1", "2026-02-01T07:00:00"),
        ("0 0 7 * * SUN-MON", "2026-01-11T07:00:00"),
        ("0 0 7 ? * MON,WED-THU", "2026-01-12T07:00:00"),
        ("0 5/25 9 * * *", "2026-01-09T09:05:00"),
        ("0 0 8-18/4 * * *", "2026-01-09T12:00:00"),
        ("@yearly", "2027-01-01T00:00:00"),
        ("@annually", "2027-01-01T00:00:00"),
        ("@monthly", "2026-02-01T00:00:00"),
        ("@weekly", "2026-01-11T00:00:00"),
        ("@daily", "2026-01-10T00:00:00"),
        ("@midnight", "2026-01-10T00:00:00"),
        ("@hourly", "2026-01-09T09:00:00"),
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
        ("@reboot", "has 6 fields .* has 1"),
        ("@daily *", "has 6 fields .* has 2"),
        ("0 0 25 * * *", "is no cron expression"),
        ("0 60 7 * * *", "is no cron expression"),
        ("0 0 7 * * LUN", "is no cron expression"),
        ("a b c d e f", "is no cron expression"),
        ("0 0 7 30 2 *", "is no cron expression"),
        ("0 0 7 * * FRI-", "is no cron expression"),
        ("0 */0 7 * * *", "is no cron expression"),
        ("H H 7 * * *", "is no cron expression"),
        *(
            (f"0 0 7 {day} * *", "is no cron expression")
            for day in ("L-0", "L-32", "W", "L3", "32W", "1L", "0")
        ),
        *(
            (f"0 0 7 * * {day}", "is no cron expression")
            for day in ("L", "8L", "#2", "MON#0", "MON#6", "FRI-MON", "8")
        ),
        ("? 0 7 * * *", "is no cron expression"),
        ("0 0 7 ? ? *", "is no cron expression"),
        ("0 0 7 , * *", "is no cron expression"),
    ],
)
def test_invalid_expressions_are_rejected(text: str, reason: str) -> None:
    """For invalid fields and days that no year has; the error names the expected format."""
    with pytest.raises(ValueError, match=reason):
        CronSchedule(text)


def test_a_hyphen_is_never() -> None:
    """As in Spring, it switches the reminders off."""
    assert CronSchedule(" - ").after(FRIDAY) is None


def test_each_day_of_a_step_is_counted_from_the_first() -> None:
    """``*/2`` starts with Monday in the week, as in Spring; ``0/2`` with Sunday."""
    days: dict[str, list[int]] = {}
    for text in ("0 0 7 * * */2", "0 0 7 * * 0/2"):
        at, days[text] = FRIDAY, []
        for _ in range(5):
            following = CronSchedule(text).after(at)
            assert following is not None
            at = following
            days[text].append(at.isoweekday())

    assert days == {"0 0 7 * * */2": [7, 1, 3, 5, 7], "0 0 7 * * 0/2": [6, 7, 2, 4, 6]}
