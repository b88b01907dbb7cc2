"""Cron expressions as Spring 5.3 and later reads them, in UTC.

Six fields, from left to right. All take ``*``, lists (``,``), ranges (``-``) and steps (``/``), and besides:

second, minute     0 to 59
hour               0 to 23
day of the month   1 to 31; ``L`` (last), ``L-3`` (three days before it), ``LW`` (last weekday), ``15W`` (the
                   weekday nearest to the 15th), ``?`` (any)
month              1 to 12, JAN to DEC
day of the week    0 to 7 (0 and 7 are Sunday), SUN to SAT; ``6L`` (last Saturday), ``MON#2`` (second
                   Monday), ``?`` (any)

Instead of the fields: ``@yearly``, ``@annually``, ``@monthly``, ``@weekly``, ``@daily``, ``@midnight``,
``@hourly``; ``-`` for never.
"""

import re
from calendar import SATURDAY, SUNDAY, monthrange
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

_MACROS: Final = {
    "@yearly": "0 0 0 1 1 *",
    "@annually": "0 0 0 1 1 *",
    "@monthly": "0 0 0 1 * *",
    "@weekly": "0 0 0 * * 0",
    "@daily": "0 0 0 * * *",
    "@midnight": "0 0 0 * * *",
    "@hourly": "0 0 * * * *",
}
NEVER: Final = "-"
_MONTHS: Final = [
    "JAN",
    "FEB",
    "MAR",
    "APR",
    "MAY",
    "JUN",
    "JUL",
    "AUG",
    "SEP",
    "OCT",
    "NOV",
    "DEC",
]
_DAYS: Final = ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"]
_FIELDS: Final = 6
_DAYS_AHEAD: Final = 41 * 366
"""A 29 February on a given day of the week comes every 28 years, and once in 40 around 2100."""

_Dates = Callable[[date], bool]
"""True if a date matches a part of an expression."""


class CronSchedule:
    """Instants that match a cron expression. A day must match both day fields.

    ``text`` is the expression with single blanks; another text is another schedule.
    """

    def __init__(self, text: str) -> None:
        """Parse an expression such as ``0 0 7 * * MON-FRI``.

        Raises:
            ValueError: the text is no cron expression, or no instant matches it.
        """
        self.text = " ".join(text.split())
        self._never = self.text == NEVER
        if self._never:
            return
        fields = _MACROS.get(self.text.lower(), self.text).upper().split(" ")
        if len(fields) != _FIELDS:
            raise ValueError(
                f"a cron expression has {_FIELDS} fields (second, minute, hour, day of the month, month, "
                f"day of the week), such as 0 0 7 * * MON-FRI; {text!r} has {len(fields)}"
            )
        try:
            self._parse(fields)
            self.after(datetime(2026, 1, 1, tzinfo=UTC))
        except ValueError as error:
            raise ValueError(f"{text!r} is no cron expression: {error}") from error

    def _parse(self, fields: list[str]) -> None:
        seconds, minutes, hours, days, months, weekdays = fields
        self._seconds = sorted(_numbers(seconds, 0, 59))
        self._minutes = sorted(_numbers(minutes, 0, 59))
        self._hours = sorted(_numbers(hours, 0, 23))
        self._months = _numbers(_without_names(months, _MONTHS), 1, 12)
        self._days = [_days_of_month(part) for part in _any(days).split(",")]
        named = _without_names(_any(weekdays), _DAYS)
        self._weekdays = [_days_of_week(part) for part in named.split(",")]

    def after(self, at: datetime) -> datetime | None:
        """Return the first matching instant later than ``at``, in whole seconds; None for ``-``."""
        if self._never:
            return None
        begin = at.astimezone(UTC).replace(microsecond=0) + timedelta(seconds=1)
        for days in range(_DAYS_AHEAD):
            day = begin.date() + timedelta(days=days)
            if self._matches(day):
                earliest = begin.time() if days == 0 else time()
                found = next((one for one in self._times() if one >= earliest), None)
                if found is not None:
                    return datetime.combine(day, found, UTC)
        raise ValueError("no day matches it")

    def _matches(self, day: date) -> bool:
        return (
            day.month in self._months
            and any(matches(day) for matches in self._days)
            and any(matches(day) for matches in self._weekdays)
        )

    def _times(self) -> Iterator[time]:
        for hour in self._hours:
            for minute in self._minutes:
                for second in self._seconds:
                    yield time(hour, minute, second)


def _any(field: str) -> str:
    return "*" if field == "?" else field


def _without_names(field: str, names: list[str]) -> str:
    """Replace the names of months or days by their numbers from 1."""
    for number, name in enumerate(names, 1):
        field = field.replace(name, str(number))
    return field


def _days_of_month(part: str) -> _Dates:
    if part == "L":
        return lambda day: day.day == _last(day)
    if part == "LW":
        return lambda day: day == _weekday_before(day.replace(day=_last(day)))
    if found := re.fullmatch(r"L-(\d{1,2})", part):
        offset = _whole(found[1], 1, 31)
        return lambda day: day.day == _last(day) - offset
    if found := re.fullmatch(r"(\d{1,2})W", part):
        number = _whole(found[1], 1, 31)
        return lambda day: day in _nearest_weekdays(day, number)
    numbers = _numbers(part, 1, 31)
    return lambda day: day.day in numbers


def _days_of_week(part: str) -> _Dates:
    if found := re.fullmatch(r"(\d)L", part):
        weekday = _weekday(found[1])
        return lambda day: day.isoweekday() == weekday and day.day + 7 > _last(day)
    if found := re.fullmatch(r"(\d)#(\d)", part):
        weekday, week = _weekday(found[1]), _whole(found[2], 1, 5)
        return lambda day: day.isoweekday() == weekday and (day.day - 1) // 7 + 1 == week
    numbers = {number or 7 for number in _numbers(part, 1, 7, lowest=0)}
    return lambda day: day.isoweekday() in numbers


def _last(day: date) -> int:
    return monthrange(day.year, day.month)[1]


def _weekday_before(day: date) -> date:
    """Return the day, or the Friday before a weekend."""
    return day - timedelta(days=max(0, day.weekday() - SATURDAY + 1))


def _nearest_weekdays(day: date, number: int) -> Iterator[date]:
    """Yield the weekdays nearest to the n-th of this month and of the one before.

    A Saturday becomes Friday, but the 1st becomes Monday. A Sunday becomes Monday, even of the next month.
    """
    for month in (day, day.replace(day=1) - timedelta(days=1)):
        if number <= _last(month):
            target = month.replace(day=number)
            shift = 0
            if target.weekday() == SATURDAY:
                shift = 2 if number == 1 else -1
            elif target.weekday() == SUNDAY:
                shift = 1
            yield target + timedelta(days=shift)


def _weekday(text: str) -> int:
    return _whole(text, 0, 7) or 7


def _numbers(field: str, first: int, last: int, *, lowest: int | None = None) -> set[int]:
    """Return the numbers of a list of ranges with steps; ``lowest``: allowed, but not part of ``*``."""
    found: set[int] = set()
    for part in field.split(","):
        limits, slash, step = part.partition("/")
        low, dash, high = limits.partition("-")
        if limits == "*":
            begin, end = first, last
        else:
            begin = _whole(low, first if lowest is None else lowest, last)
            end = _whole(high, first, last) if dash else begin
            if slash and not dash:
                end = last
            if dash and lowest is not None and begin == last:
                begin = lowest  # Sunday at the beginning of a range is 0
        if begin > end:
            raise ValueError(f"{part}: the end comes before the beginning")
        found.update(range(begin, end + 1, _whole(step, 1, 10**6) if slash else 1))
    return found


def _whole(text: str, first: int, last: int) -> int:
    if not re.fullmatch("[0-9]{1,7}", text) or not first <= int(text) <= last:
        raise ValueError(f"{text!r} is no number from {first} to {last}")
    return int(text)
