"""The page about events is complete: each type, with the members that it has (faces.md E-1)."""

from pathlib import Path

import pytest

from rs_order.contracts.event_bodies import MEMBERS, EventData
from rs_order.domain.events import EventType

PAGE = (Path(__file__).parents[2] / "docs/topics/events.md").read_text(encoding="utf-8")
ROWS = [
    line.split("|")
    for line in PAGE.partition("## What the events say")[2].partition("\n## ")[0].splitlines()
    if line.startswith("| `")
]
"""The cells of the table of types, with an empty one before the first."""


def test_every_type_says_what_it_has() -> None:
    """Readers, the AsyncAPI document and the tests take the members of a type from one table."""
    named = {field.alias or name for name, field in EventData.model_fields.items()}

    assert MEMBERS.keys() == set(EventType)
    assert {member for members in MEMBERS.values() for member in members} <= named


@pytest.mark.parametrize("type_", EventType)
def test_every_type_is_documented(type_: EventType) -> None:
    (row,) = [row for row in ROWS if f"`{type_}`" in row[1]]

    assert [member for member in MEMBERS[type_] if f"`{member}`" not in row[3]] == []
