"""Remembers which services answer ``Range`` (faces.md R-21). None promises to, so nothing may depend on it.

A request for a range is also the probe: who ignores ``Range`` sends the whole file, which is read as ever.
So an answer costs nothing, and each process keeps its own. It is kept for an hour, because a service may be
replaced by another version.
"""

import re
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

import aiohttp
import structlog
from cachetools import TTLCache

KEPT_SECONDS: Final = 3600.0
MOST_SERVICES: Final = 10

_CONTENT_RANGE: Final = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)", re.ASCII)
log = structlog.get_logger(__name__)


class RangeAnswers:
    """Remembers for each service whether it took a range when it was last asked for one."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._answers: TTLCache[str, bool] = TTLCache(MOST_SERVICES, KEPT_SECONDS, timer=now)

    def is_worth_asking(self, service: str) -> bool:
        """Return False if the service lately took no range."""
        return self._answers.get(service, True)

    def takes_ranges(self, service: str) -> bool:
        """Return whether the service lately took a range."""
        return self._answers.get(service, False)

    def note(self, service: str, *, takes: bool) -> None:
        """Note an answer of a service."""
        if self._answers.get(service) is not takes:
            log.info("ranges-probed", service=service, takes=takes)
        self._answers[service] = takes


def is_rest_of_file(response: aiohttp.ClientResponse, start: int, size: int | None) -> bool:
    """Return whether a response has exactly the bytes of a file from ``start`` to its end."""
    found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if response.status != HTTPStatus.PARTIAL_CONTENT or found is None or size is None:
        return False
    first, last, length = found.groups()
    return (int(first), int(last)) == (start, size - 1) and length in {str(size), "*"}
