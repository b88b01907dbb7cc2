"""Formats dead letters for a terminal and as JSON."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from rs_order.broker.stored_dead_letters import StoredDeadLetter

HEADINGS = ("ID", "REASON", "TENANT", "ORDER", "AGE", "TIMES", "CORRELATION", "QUEUE")
UNKNOWN = "-"


def table_lines(dead_letters: Sequence[StoredDeadLetter]) -> Iterator[str]:
    """Yield a heading and a line per dead letter, in columns, or one sentence if there is none."""
    if not dead_letters:
        yield "No dead letters"
        return
    now = datetime.now(UTC)
    rows = [HEADINGS, *(_row(dead_letter, now) for dead_letter in dead_letters)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def summary(dead_letter: StoredDeadLetter) -> dict[str, Any]:
    """Return the JSON members of a dead letter, without its headers and body."""
    return {
        "id": dead_letter.id,
        "vhost": dead_letter.vhost.value,
        "queue": dead_letter.queue,
        "origin": dead_letter.origin,
        "reason": dead_letter.reason,
        "detail": dead_letter.detail,
        "tenant": dead_letter.tenant,
        "orderId": dead_letter.order_id,
        "correlationId": dead_letter.correlation_id,
        "diedAt": dead_letter.died_at.isoformat() if dead_letter.died_at else None,
        "ageSeconds": dead_letter.age_seconds(datetime.now(UTC)),
        "times": dead_letter.times,
    }


def full_text(dead_letter: StoredDeadLetter) -> str:
    """Return the summary, the headers and the body of a dead letter as text."""
    members = [
        f"{name:<14}{UNKNOWN if value is None else value}"
        for name, value in summary(dead_letter).items()
    ]
    headers = [f"  {name}: {value}" for name, value in sorted(dead_letter.headers.items())]
    return "\n".join([*members, "headers", *headers, "body", _body(dead_letter.body)])


def _row(dead_letter: StoredDeadLetter, now: datetime) -> tuple[str, ...]:
    age = dead_letter.age_seconds(now)
    return (
        dead_letter.id,
        dead_letter.reason,
        dead_letter.tenant or UNKNOWN,
        UNKNOWN if dead_letter.order_id is None else str(dead_letter.order_id),
        UNKNOWN if age is None else str(timedelta(seconds=round(age))),
        str(dead_letter.times),
        dead_letter.correlation_id or UNKNOWN,
        dead_letter.origin or dead_letter.queue,
    )


def _body(body: bytes) -> str:
    """Return a JSON body indented, and any other body as text with escapes for invalid bytes."""
    try:
        return orjson.dumps(orjson.loads(body), option=orjson.OPT_INDENT_2).decode()
    except orjson.JSONDecodeError:
        return body.decode(errors="backslashreplace")
