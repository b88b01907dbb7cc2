"""How peers write JSON (amqp.md 1.8): what is absent is null, unknown members are ignored."""

import re
from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from rs_order.domain.instants import parse_instant, wire_instant

MAX_DETAIL: Final = 200
"""Characters of a foreign answer that may appear in an error or a log line."""

INT64 = 2**63 - 1
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)?")


def _text(value: Any) -> Any:
    """A number or boolean is accepted for a string."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return storable(value)
    return str(value) if isinstance(value, int | float) else value


def excerpt(text: str) -> str:
    """Return a text of another service, cut to a length that logs and messages may repeat."""
    return text if len(text) <= MAX_DETAIL else text[: MAX_DETAIL - 1] + "…"


def storable(text: str) -> str:
    """The text, unless no text column could hold it: better known here than by the database.

    Raises:
        ValueError: what is in it.
    """
    if "\0" in text:
        raise ValueError("the character U+0000 can't be part of a text")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("half a surrogate pair can't be part of a text")
    return text


def _without_nulls(value: Any) -> Any:
    """Null items of a list, and members of an object that are null, are dropped on read."""
    if isinstance(value, dict):
        return {name: item for name, item in value.items() if item is not None}
    return [item for item in value if item is not None] if isinstance(value, list) else value


Text = Annotated[str, BeforeValidator(_text)]
Long = Annotated[int, Field(ge=-INT64 - 1, le=INT64)]
"""A 64-bit integer; a quoted one is accepted."""
DropNulls = BeforeValidator(_without_nulls)


def _flag(value: Any) -> Any:
    """A text is true when it says so, else false (rest.md 3.1)."""
    return value.lower() == "true" if isinstance(value, str) else value


def _instant(value: Any) -> Any:
    """An ISO local date-time with an offset or none; a bare date is none (rest.md 3.1)."""
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not _DATE_TIME.fullmatch(value.upper()):
        raise ValueError("a date-time such as 2024-01-23T09:21:50Z is needed")
    return parse_instant(value.upper())


Flag = Annotated[bool, BeforeValidator(_flag)]
Instant = Annotated[
    datetime,
    BeforeValidator(_instant),
    PlainSerializer(wire_instant, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]


class WireModel(BaseModel):
    """A message or part of one, with the member names of the wire."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    def to_wire(self) -> dict[str, Any]:
        """JSON-ready, nulls left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)
