"""Conditional requests and preferences: ``ETag``, ``If-None-Match``, ``Prefer`` (faces.md C-7, E-21, H-2)."""

import re
from collections.abc import Iterator
from typing import Final

from fastapi import Request

LONGEST_WAIT: Final = 45
"""Seconds. The gateway cuts a response after 60 s without a byte."""
RESPOND_ASYNC: Final = "respond-async"
RETURN_MINIMAL: Final = "return=minimal"

_WAIT: Final = re.compile(r"wait=(\d{1,9})", re.IGNORECASE)
_TAG: Final = re.compile(r'(?:W/)?"([^"]*)"')


def weak_tag(version: str) -> str:
    return f'W/"{version}"'


def is_known(request: Request, tag: str) -> bool:
    """True if the caller has the representation with this tag; tags are compared weakly (RFC 9110)."""
    value = request.headers.get("If-None-Match")
    if value is None:
        return False
    (wanted,) = _TAG.findall(tag)
    return value.strip() == "*" or wanted in _TAG.findall(value)


def preferred_wait(request: Request) -> int | None:
    """Return the seconds that the caller prefers to wait, or None. Others are ignored (RFC 7240)."""
    for preference in _preferences(request):
        found = _WAIT.fullmatch(preference)
        if found:
            return min(int(found[1]), LONGEST_WAIT)
    return None


def prefers_async(request: Request) -> bool:
    """True if the caller prefers a response at once, before the work is done (RFC 7240)."""
    return any(one.lower() == RESPOND_ASYNC for one in _preferences(request))


def prefers_minimal(request: Request) -> bool:
    """True if the caller prefers no body, because the address of what was created is enough (RFC 7240)."""
    return any(one.lower() == RETURN_MINIMAL for one in _preferences(request))


def _preferences(request: Request) -> Iterator[str]:
    for header in request.headers.getlist("Prefer"):
        for preference in header.split(","):
            yield preference.partition(";")[0].strip()
