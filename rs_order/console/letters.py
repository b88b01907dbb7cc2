"""Prepares dead letters for the pages. Their content comes from strangers; these functions are pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import ndiff
from typing import Any, Final

from rs_order.console.texts import Texts
from rs_order.domain.dead_letters import StoredDeadLetter

LONGEST_SHOWN: Final = 200_000
"""The most characters of a body that a page shows."""
MOST_COMPARED: Final = 4000
"""The most lines of two bodies whose difference is shown."""


@dataclass(frozen=True, slots=True)
class LetterRow:
    """A dead letter in the list."""

    id: str
    reason: str
    detail: str
    origin: str
    tenant: str
    order_id: str | None
    died_at: datetime | None
    times: int


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a comparison: ``+`` only after, ``-`` only before, empty: in both."""

    sign: str
    text: str


@dataclass(frozen=True, slots=True)
class Fault:
    """An error in one member of a body."""

    member: str
    text: str


def letter_row(letter: StoredDeadLetter, texts: Texts) -> LetterRow:
    return LetterRow(
        id=letter.id,
        reason=reason_of(letter, texts),
        detail=letter.detail or "",
        origin=short_queue(letter.origin or letter.queue),
        tenant=letter.tenant or "",
        order_id=str(letter.order_id) if letter.order_id is not None else None,
        died_at=letter.died_at,
        times=letter.times,
    )


def reason_of(letter: StoredDeadLetter, texts: Texts) -> str:
    """Return the reason in words; an unknown one as it is."""
    key = f"letter.reason.{letter.reason}"
    return texts(key) if texts.has(key) else letter.reason


def short_queue(name: str) -> str:
    """Return the end of a queue's name, which tells the queues of the platform apart."""
    return name.rpartition(".")[2] if name.startswith("regards.") else name


def body_text(body: bytes) -> str:
    """Return a body as it can be read and edited: JSON indented, anything else as it is."""
    try:
        text = json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        text = body.decode(errors="backslashreplace")
    return text[:LONGEST_SHOWN]


def same_body(text: str, body: bytes) -> bool:
    """True if a text is the body as it was shown. Browsers send lines that end with CR LF."""
    return unix_lines(text) == body_text(body)


def unix_lines(text: str) -> str:
    return text.replace("\r\n", "\n")


def difference(before: str, after: str) -> Sequence[Line] | None:
    """Return both texts line by line, or None if they are too long to be compared."""
    old, new = before.splitlines(), after.splitlines()
    if len(old) + len(new) > MOST_COMPARED:
        return None
    return [
        Line(line[0].strip(), line[2:]) for line in ndiff(old, new, charjunk=None) if line[0] != "?"
    ]


def faults_of(messages: Sequence[str]) -> list[Fault]:
    """Return what a check found, with the member that each message names."""
    found = []
    for message in messages:
        member, colon, text = message.partition(": ")
        found.append(Fault(member, text) if colon and " " not in member else Fault("", message))
    return found


def with_faults(text: str, faults: Sequence[Fault]) -> list[tuple[str, list[Fault]]]:
    """Return the lines of a body, each with the faults of the member that begins there.

    A fault whose member isn't in the body stands at the first line.
    """
    lines: list[tuple[str, list[Fault]]] = [(line, []) for line in text.splitlines() or [""]]
    for fault in faults:
        name = f'"{fault.member.rpartition(".")[2]}":'
        place = next(
            (number for number, (line, _) in enumerate(lines) if line.lstrip().startswith(name)), 0
        )
        lines[place][1].append(fault)
    return lines


def pairs(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return headers or properties as texts, by name; those without a value are left out."""
    return [
        (name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
        for name, value in sorted(values.items())
        if value is not None
    ]
