"""Cron expressions of Spring: six fields, seconds first, in UTC."""

from datetime import UTC, datetime

from croniter import croniter

_FIELDS = 6


class CronSchedule:
    """Instants that match a cron expression.

    As in Spring, a day must match both day fields. In the common cron, one of them is enough.
    ``text`` is the expression with single blanks; another text is another schedule.
    """

    def __init__(self, text: str) -> None:
        """Parse an expression such as ``0 0 7 * * MON-FRI``.

        Raises:
            ValueError: the text is no cron expression, or no instant matches it.
        """
        self.text = " ".join(text.split())
        fields = len(self.text.split(" "))
        if fields != _FIELDS:
            raise ValueError(
                f"a cron expression has {_FIELDS} fields (second, minute, hour, day of the month, month, "
                f"day of the week), such as 0 0 7 * * MON-FRI; {text!r} has {fields}"
            )
        try:
            self.after(datetime(2026, 1, 1, tzinfo=UTC))
        except (ValueError, KeyError) as error:  # the library's own errors are ValueErrors
            raise ValueError(f"{text!r} is no cron expression: {error}") from error

    def after(self, at: datetime) -> datetime:
        """Return the first matching instant later than ``at``, in whole seconds."""
        following = croniter(
            self.text, at.astimezone(UTC), day_or=False, second_at_beginning=True
        ).get_next(datetime)
        return datetime.fromtimestamp(following.timestamp(), UTC)
