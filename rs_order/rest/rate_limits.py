"""Limits how many requests and downloads one caller may make, so that nobody uses up a process alone.

Each process counts for itself. ``docs/security.md`` lists the limits. The libraries for this count in windows
and keep an entry, or a lock, for every caller that they have ever seen.
"""

import math
import time
from collections import Counter as Count
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Final

from cachetools import LRUCache
from fastapi import Request, Response
from prometheus_client import Counter

from rs_order.contracts.platform_names import PUBLIC
from rs_order.domain.identity import Caller
from rs_order.ports import Resource
from rs_order.rest.connection_limits import counted_as
from rs_order.rest.errors import HttpError
from rs_order.rest.middleware import facts_of
from rs_order.rest.resources import (
    DOWNLOAD_ARCHIVE,
    DOWNLOAD_FILE,
    DOWNLOAD_ORDER,
    DOWNLOAD_PUBLIC_ARCHIVE,
    DOWNLOAD_PUBLIC_FILE,
    GET_ORDER,
    GET_PROGRESS,
    GET_QUOTE,
    LIST_ORDERS,
)

BURST_SECONDS: Final = 10
"""So many seconds' worth of requests may be sent at once."""
CALLERS: Final = 10_000
"""Callers whose requests are remembered. Those who haven't called for the longest time are forgotten."""

_DOWNLOADS: Final = frozenset(
    {
        DOWNLOAD_ARCHIVE,
        DOWNLOAD_FILE,
        DOWNLOAD_ORDER,
        DOWNLOAD_PUBLIC_ARCHIVE,
        DOWNLOAD_PUBLIC_FILE,
    }
)
"""Their number at the same time is limited, not their frequency: tools fetch thousands of small files."""
_STATUS_DOCUMENTS: Final = frozenset({GET_ORDER, GET_PROGRESS, GET_QUOTE, LIST_ORDERS})
_STATUS_PER_SECOND: Final = 1.0
_SHORTEST_WAIT: Final = 5
_WAIT_FOR_A_DOWNLOAD: Final = 30

_limited = Counter(
    "rs_order_requests_limited",
    "Requests that were answered 429, by the limit they exceed",
    ["limit"],
)


class RequestRate:
    """Limits requests per second and caller; unused ones add up to ten seconds' worth (a token bucket)."""

    def __init__(
        self,
        per_second: float,
        *,
        callers: int = CALLERS,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """``callers``: how many are remembered. A caller who was forgotten begins anew."""
        self._cost = 1 / per_second
        self._capacity = max(BURST_SECONDS, self._cost)
        self._full_at: LRUCache[Hashable, float] = LRUCache(callers)
        """When the bucket of a caller is full again."""
        self._now = now

    def wait(self, caller: Hashable) -> float:
        """Count a request and return 0; if it exceeds the limit, return the seconds until one doesn't."""
        now = self._now()
        full_at = max(now, self._full_at.get(caller, now)) + self._cost
        excess = full_at - now - self._capacity
        if excess > 0:
            return excess
        self._full_at[caller] = full_at
        return 0.0

    def fields(self, caller: Hashable) -> dict[str, str]:
        """Return the header fields that tell a caller how much of the rate they have left."""
        missing = max(0.0, self._full_at.get(caller, 0.0) - self._now())
        quota = math.floor(self._capacity / self._cost)
        left = max(0, math.floor((self._capacity - missing) / self._cost))
        return rate_fields("requests", quota, math.ceil(self._capacity), left, missing)


def rate_fields(name: str, quota: int, window: int, left: int, seconds: float) -> dict[str, str]:
    """Return the header fields of a rate (faces.md H-1), for information only.

    Args:
        name: of what is counted.
        quota: how many are allowed in a window.
        window: its seconds.
        left: how many more are allowed now.
        seconds: until all are allowed again.
    """
    return {
        "RateLimit-Policy": f'"{name}";q={quota};w={window}',
        "RateLimit": f'"{name}";r={left};t={math.ceil(seconds)}',
    }


def add_rate_fields(answer: Response, fields: Mapping[str, str]) -> None:
    """Add the fields of another rate to those that an answer has."""
    for name, value in fields.items():
        present = answer.headers.get(name)
        answer.headers[name] = f"{present}, {value}" if present else value


class RequestLimits:
    """Limits the requests of users, and of peers, which are the platform's other services.

    The status of one order, and the list of orders, can always be read once a second (faces.md C-6).
    """

    def __init__(
        self,
        *,
        per_user: float = 0,
        per_peer: float = 0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Set the requests per second of a caller; 0 for no limit."""
        self._users = RequestRate(per_user, now=now) if per_user else None
        self._peers = RequestRate(per_peer, now=now) if per_peer else None
        self._statuses = RequestRate(_STATUS_PER_SECOND, now=now)

    def check(
        self, request: Request, caller: Caller, resource: Resource, *, peer: bool
    ) -> dict[str, str]:
        """Count a request of a user, or of a ``peer``. Return the header fields of its rate, if any.

        Raises:
            HttpError: 429, because the caller sent too many.
        """
        rate = self._peers if peer else self._users
        if rate is None or resource in _DOWNLOADS:
            return {}
        name = _name(request, caller)
        if resource in _STATUS_DOCUMENTS and not self._statuses.wait((name, request.url.path)):
            return {}
        if seconds := rate.wait(name):
            limit = "peer-requests" if peer else "user-requests"
            raise _too_many(
                request, limit, "You sent too many requests", seconds, rate.fields(name)
            )
        return rate.fields(name)


def _name(request: Request, caller: Caller) -> Hashable:
    """Return what a caller is counted as. Without a token it is their address."""
    if caller.role == PUBLIC and request.client is not None:
        return counted_as(request.client.host)
    return caller.tenant, caller.email


class DownloadsAtOnce:
    """Limits the zips and single files that are sent at the same time in the name of one user."""

    def __init__(self, most: int = 0) -> None:
        """``most``: how many; 0 for no limit."""
        self._most = most
        self._under_way: Count[Hashable] = Count()

    @contextmanager
    def one_more(self, request: Request, user: Hashable | None) -> Iterator[None]:
        """Count a download until the end of the context. None: the user may have any number.

        Raises:
            HttpError: 429, because as many as allowed are under way.
        """
        if user is None or not self._most:
            yield
            return
        if self._under_way[user] >= self._most:
            text = f"{self._most} downloads of yours are under way: wait until one has ended"
            raise _too_many(request, "user-downloads", text, _WAIT_FOR_A_DOWNLOAD)
        self._under_way[user] += 1
        try:
            yield
        finally:
            self._under_way[user] -= 1
            if not self._under_way[user]:
                del self._under_way[user]


def _too_many(
    request: Request,
    limit: str,
    reason: str,
    seconds: float,
    fields: Mapping[str, str] = MappingProxyType({}),
) -> HttpError:
    facts_of(request.scope)["limit"] = limit
    _limited.labels(limit).inc()
    wait = max(_SHORTEST_WAIT, math.ceil(seconds))
    text = f"{reason}. Try again in {wait} s."
    headers = {"Retry-After": str(wait), **fields}
    return HttpError(429, "TOO_MANY_REQUESTS", text, headers=headers)
