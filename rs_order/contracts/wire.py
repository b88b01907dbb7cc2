"""Formats common to messages and bodies: JSON (amqp.md 1.8), headers (1.7), REST envelopes (rest.md 3.2).

An absent member is null; unknown members are ignored.
"""

import re
from datetime import datetime
from typing import Annotated, Any, Final, Generic, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from rs_order.domain.instants import parse_instant, wire_instant

MAX_DETAIL: Final = 200
"""The most characters of another service's response in an error or a log line."""
LONGEST_REASON: Final = 500
"""The most characters of an operator's reason for a change."""

INT64 = 2**63 - 1
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)?")


def _text(value: Any) -> Any:
    """Convert a number or a boolean to a string."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return storable(value)
    return str(value) if isinstance(value, int | float) else value


def excerpt(text: str, most: int = MAX_DETAIL) -> str:
    """Return a text of another service, cut to a length that logs and messages may repeat."""
    return text if len(text) <= most else text[: most - 1] + "…"


def storable(text: str) -> str:
    """Return the text, if a text column of the database can store it.

    Raises:
        ValueError: names the character that can't be stored.
    """
    if "\0" in text:
        raise ValueError("the character U+0000 can't be part of a text")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("half a surrogate pair can't be part of a text")
    return text


def stored_text(text: str | None) -> str | None:
    """Return the text with a replacement for each character that the database can't store."""
    if text is None:
        return None
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()


def _without_nulls(value: Any) -> Any:
    """Remove the null items of a list, or the null members of an object."""
    if isinstance(value, dict):
        return {name: item for name, item in value.items() if item is not None}
    return [item for item in value if item is not None] if isinstance(value, list) else value


Text = Annotated[str, BeforeValidator(_text)]
Long = Annotated[int, Field(ge=-INT64 - 1, le=INT64)]
"""A 64-bit integer. A quoted one is accepted."""
DropNulls = BeforeValidator(_without_nulls)


def _flag(value: Any) -> Any:
    """Convert a text: ``true`` in any case is true, other texts are false (rest.md 3.1)."""
    return value.lower() == "true" if isinstance(value, str) else value


def _instant(value: Any) -> Any:
    """Parse an ISO date-time with or without an offset. A date without a time is rejected (rest.md 3.1)."""
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
    """A message or body, or a part of one. Aliases are the names of the members in JSON."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    def to_wire(self) -> dict[str, Any]:
        """Return the model as values that JSON can represent, without nulls."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def without_nulls(**members: Any) -> dict[str, Any]:
    """Return an object without its absent members, as a model's ``to_wire`` does.

    Lists build their items with it: a model that checks each value costs ten times as much.
    """
    return {name: value for name, value in members.items() if value is not None}


TENANT_HEADER: Final = "regards.tenant"
TYPE_HEADER: Final = "regards.type"
"""Its value is the Java class of the message."""
LETTER_ID_HEADER: Final = "rs-order.letter-id"
"""The id of a dead letter of this service."""
CONVERTER_HEADER: Final = "regards.converter"
GSON: Final = "GSON"
"""The converter of all messages of this service."""
CONTENT_TYPE: Final = "application/json"
CONTENT_ENCODING: Final = "UTF-8"


Content = TypeVar("Content")


class Link(WireModel):
    """A link. It has exactly these members: REGARDS services can't read others (rest.md 3.2)."""

    rel: str = Field(examples=["self"])
    href: str = Field(examples=["https://regards.example.org/api/v1/rs-order/user/orders/12"])


class Entity(WireModel, Generic[Content]):
    """A resource, with links to the actions that the caller may perform on it."""

    content: Content
    links: list[Link]


class PageMetadata(WireModel):
    """The position of a page in its list."""

    model_config = ConfigDict(populate_by_name=True)

    size: int = Field(examples=[20])
    total_elements: int = Field(alias="totalElements", examples=[41])
    total_pages: int = Field(alias="totalPages", examples=[3])
    number: int = Field(description="Counted from 0.", examples=[1])


class Page(WireModel, Generic[Content]):
    """A page of a list. It has the link ``next``, unless it is the last one."""

    metadata: PageMetadata
    content: list[Entity[Content]]
    links: list[Link]
