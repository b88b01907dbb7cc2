"""Remembers of each service of the platform when it last answered well, and how often it failed lately.

Hosts that users or files name are remembered, too, but say nothing of the platform.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import Final

HOUR_SECONDS: Final = 3600.0
MOST_KEPT: Final = 10_000
"""Failures of a service that are kept; more aren't counted."""
EXTERNAL: Final = "external"
"""The hosts of external files, in the metrics of remote calls."""
RECEIVERS: Final = "webhooks"
"""The receivers of webhooks, in the metrics of remote calls."""
OF_OTHERS: Final = frozenset({EXTERNAL, RECEIVERS})
"""Any of these hosts may be dead while the platform is well."""
GOOD: Final = frozenset({"ok", "absent", "rejected"})
"""Outcomes of calls that the service answered as its contract says."""


@dataclass(frozen=True, slots=True)
class ServiceCalls:
    """How the calls of a service went."""

    last_good: datetime | None
    last_failure: datetime | None
    failures: int
    """Within the last hour."""
    of_others: bool = False
    """True if they went to hosts that don't belong to the platform."""

    @property
    def well(self) -> bool:
        """True if the last call was answered well."""
        good, failed = self.last_good, self.last_failure
        return good is not None and (failed is None or good >= failed)


def merged(of_processes: Iterable[Mapping[str, ServiceCalls]]) -> dict[str, ServiceCalls]:
    """Return the calls of several processes, by service."""
    found: dict[str, ServiceCalls] = {}
    for name, calls in chain.from_iterable(one.items() for one in of_processes):
        known = found.get(name)
        found[name] = calls if known is None else _both(known, calls)
    return found


def _both(one: ServiceCalls, other: ServiceCalls) -> ServiceCalls:
    return ServiceCalls(
        max(filter(None, (one.last_good, other.last_good)), default=None),
        max(filter(None, (one.last_failure, other.last_failure)), default=None),
        one.failures + other.failures,
        one.of_others,
    )


class CallWatch:
    """The calls of this process, by service."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._good: dict[str, float] = {}
        self._failed: dict[str, deque[float]] = {}
        self._last_failure: dict[str, float] = {}

    def note(self, service: str, outcome: str) -> None:
        """Note the outcome of a call, as the metrics name it."""
        if outcome in GOOD:
            self._good[service] = self._now()
            return
        self._last_failure[service] = self._now()
        self._failed.setdefault(service, deque(maxlen=MOST_KEPT)).append(self._now())

    def services(self) -> Mapping[str, ServiceCalls]:
        """Return the services that were called."""
        return {name: self._calls(name) for name in sorted(self._good.keys() | self._failed.keys())}

    def _calls(self, service: str) -> ServiceCalls:
        good, failed = self._good.get(service), self._failed.get(service, deque())
        while failed and failed[0] <= self._now() - HOUR_SECONDS:
            failed.popleft()
        return ServiceCalls(
            _instant(good),
            _instant(self._last_failure.get(service)),
            len(failed),
            service in OF_OTHERS,
        )


def _instant(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
