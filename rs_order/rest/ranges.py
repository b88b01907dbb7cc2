"""Ranges and preconditions of downloads (faces.md R-25 to R-28; RFC 9110, 13 and 14).

A download with a strong ``ETag`` and a known length can be resumed: its bytes never change under that tag.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Final

from fastapi import Request

from rs_order.domain.parts import Part
from rs_order.rest.conditional import is_known
from rs_order.rest.errors import HttpError
from rs_order.rest.middleware import is_head

_RANGES: Final = re.compile(r"bytes=(.*)", re.IGNORECASE)
_RANGE: Final = re.compile(r"[ \t]*(\d*)-(\d*)[ \t]*", re.ASCII)
_LONGEST_HEADER: Final = 1000
"""Characters. What is longer is ignored, as if it were malformed."""
_STRONG_TAG: Final = re.compile(r'(?:^|[\s,])("[^"]*")')
_NOT_SATISFIABLE: Final = 416


@dataclass(frozen=True, slots=True)
class Representation:
    """What an address delivers now."""

    length: int | None
    """Bytes, or None if that is known only at the end."""
    tag: str | None
    """The strong entity tag with its quotes, or None if nothing proves that the bytes stay the same."""
    modified: datetime | None = None
    """Since when the bytes are these; None if that isn't known."""

    @property
    def resumable(self) -> bool:
        """True if parts of it are delivered."""
        return self.length is not None and self.tag is not None

    @property
    def date(self) -> str | None:
        """``modified`` as in headers, in whole seconds."""
        return (
            format_datetime(self.modified.astimezone(UTC), usegmt=True) if self.modified else None
        )

    @property
    def headers(self) -> Mapping[str, str]:
        """The validators, which every response has."""
        tag = {"ETag": self.tag} if self.tag else {}
        date = {"Last-Modified": self.date} if self.date else {}
        return {**tag, **date, "Accept-Ranges": "bytes" if self.resumable else "none"}


def requested_part(request: Request, what: Representation) -> Part | None:
    """Return the part that a GET asks for, or None if all is to be delivered. A HEAD is always of all.

    Raises:
        HttpError: 304, 412 or 416, because there is nothing to deliver.
    """
    check_preconditions(request, what)
    value = "" if is_head(request.scope) else request.headers.get("Range", "")
    if what.length is None or what.tag is None or not value or not _same(request, what):
        return None
    return _part(value, what.length, what.headers)


def check_preconditions(request: Request, what: Representation) -> None:
    """Check ``If-Match``, or else ``If-Unmodified-Since``, and then ``If-None-Match``.

    A single file has no date of its own, so conditions on that are ignored.

    Raises:
        HttpError: 412 or 304.
    """
    wanted = request.headers.get("If-Match")
    if not (_unmodified(request, what) if wanted is None else _matches(wanted, what.tag)):
        text = "The content isn't the one that If-Match names: download all of it again"
        raise HttpError(412, text, headers=what.headers)
    if what.tag is not None and is_known(request, what.tag):
        raise HttpError(304, headers=what.headers)


def strong_tags(header: str) -> list[str]:
    """Return the strong entity tags of ``If-Match`` or ``If-Range``, with their quotes."""
    return _STRONG_TAG.findall(header)


def _matches(wanted: str, tag: str | None) -> bool:
    return wanted.strip() == "*" or tag in strong_tags(wanted)


def _unmodified(request: Request, what: Representation) -> bool:
    """True unless ``If-Unmodified-Since`` is an earlier date; what isn't a date is ignored."""
    wanted = request.headers.get("If-Unmodified-Since")
    if wanted is None or what.modified is None:
        return True
    try:
        since = parsedate_to_datetime(wanted)
    except (ValueError, OverflowError):
        return True
    return what.modified.replace(microsecond=0) <= since.replace(tzinfo=since.tzinfo or UTC)


def _same(request: Request, what: Representation) -> bool:
    """True unless ``If-Range`` names another content, by its tag or by exactly its date."""
    wanted = request.headers.get("If-Range")
    return wanted is None or wanted.strip() in {what.tag, what.date}


def _part(value: str, length: int, validators: Mapping[str, str]) -> Part | None:
    """Return the first part that a ``Range`` names; None if it is malformed or has another unit.

    Ranges that touch are one part. Of several parts only the first is delivered, and the response says so:
    two small ranges of a large archive must not cost all of it.

    Raises:
        HttpError: 416, because every range begins behind the end.
    """
    found = _RANGES.fullmatch(value) if len(value) <= _LONGEST_HEADER else None
    if found is None:
        return None
    ranges = [_RANGE.fullmatch(one) for one in found[1].split(",")]
    parts = [_bounds(one[1], one[2], length) for one in ranges if one is not None]
    if len(parts) < len(ranges) or any(part is None for part in parts):
        return None
    satisfiable = [part for part in parts if part is not None and part.start < part.end]
    if not satisfiable:
        headers = {**validators, "Content-Range": f"bytes */{length}"}
        raise HttpError(
            _NOT_SATISFIABLE, f"There are {length} bytes, and the range has none", headers=headers
        )
    return _joined(satisfiable)


def _bounds(first: str, last: str, length: int) -> Part | None:
    """Return the bytes that a range names, which may be none; None if it is malformed."""
    if not first:
        return Part(max(0, length - int(last)), length) if last else None
    if last and int(last) < int(first):
        return None
    return Part(int(first), min(int(last) + 1, length) if last else length)


def _joined(parts: list[Part]) -> Part:
    """Return the first part, with all that touch it."""
    joined: list[Part] = []
    for part in sorted(parts):
        if joined and part.start <= joined[-1].end:
            joined[-1] = Part(joined[-1].start, max(joined[-1].end, part.end))
        else:
            joined.append(part)
    return next(part for part in joined if part.start <= parts[0].start < part.end)
