"""How dead letters read on a terminal and in JSON."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from rs_order.broker.stored_dead_letters import StoredDeadLetter

HEADINGS = ("ID", "REASON", "TENANT", "ORDER", "AGE", "TIMES", "CORRELATION", "QUEUE")
UNKNOWN = "-"


def letter_lines(letters: Sequence[StoredDeadLetter]) -> Iterator[str]:
    """A heading and a line for each letter, in columns; one sentence when there is none."""
    if not letters:
        yield "No dead letters"
        return
    now = datetime.now(UTC)
    rows = [HEADINGS, *(_row(letter, now) for letter in letters)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def facts(letter: StoredDeadLetter) -> dict[str, Any]:
    """What is known of a letter, without headers and body; for programs."""
    return {
        "id": letter.id,
        "vhost": letter.vhost.value,
        "queue": letter.queue,
        "origin": letter.origin,
        "reason": letter.reason,
        "detail": letter.detail,
        "tenant": letter.tenant,
        "orderId": letter.order_id,
        "correlationId": letter.correlation_id,
        "diedAt": letter.died_at.isoformat() if letter.died_at else None,
        "ageSeconds": letter.age_seconds(datetime.now(UTC)),
        "times": letter.times,
    }


def whole_letter(letter: StoredDeadLetter) -> str:
    """Everything about a letter: facts, headers, body."""
    known = [
        f"{name:<14}{UNKNOWN if value is None else value}" for name, value in facts(letter).items()
    ]
    headers = [f"  {name}: {value}" for name, value in sorted(letter.headers.items())]
    return "\n".join([*known, "headers", *headers, "body", _body(letter.body)])


def _row(letter: StoredDeadLetter, now: datetime) -> tuple[str, ...]:
    age = letter.age_seconds(now)
    return (
        letter.id,
        letter.reason,
        letter.tenant or UNKNOWN,
        UNKNOWN if letter.order_id is None else str(letter.order_id),
        UNKNOWN if age is None else str(timedelta(seconds=round(age))),
        str(letter.times),
        letter.correlation_id or UNKNOWN,
        letter.origin or letter.queue,
    )


def _body(body: bytes) -> str:
    """Indented when it is JSON; what isn't text is shown with escapes."""
    try:
        return orjson.dumps(orjson.loads(body), option=orjson.OPT_INDENT_2).decode()
    except orjson.JSONDecodeError:
        return body.decode(errors="backslashreplace")
