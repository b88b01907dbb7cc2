"""Takes samples for the metrics that nothing counts: what waits, and since when.

A sample is taken when somebody asks for the metrics, so nothing runs while nobody does.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog
from prometheus_client import Counter, Histogram
from prometheus_client.metrics import MetricWrapperBase

RECENT_SECONDS: Final = 10.0
"""The age of a sample that still answers."""
LARGEST_SHARE: Final = 0.05
"""The share of the time that sampling may take: with many tenants, samples are taken less often."""
LONGEST_WAIT_SECONDS: Final = 2.0
"""The longest wait of a caller. After that the last sample answers, and the new one goes on."""
LONGEST_SAMPLE_SECONDS: Final = 30.0
LAG_CHECK_SECONDS: Final = 0.5

_failed = Counter("rs_order_samples_failed", "Samples that couldn't be taken", ["source"])
_lag = Histogram(
    "rs_order_event_loop_lag_seconds",
    "Time by which the event loop runs a task too late, checked twice a second",
    buckets=(0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60),
)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Source:
    """A part of a sample."""

    name: str
    sample: Callable[[], Awaitable[None]]
    """Reads the values, then sets the gauges."""
    gauges: Sequence[MetricWrapperBase]
    """They have no value while the source can't be read."""


class MetricsSampler:
    """Takes a sample unless the last one is recent. All callers share it, so their number costs nothing."""

    def __init__(
        self,
        sources: Sequence[Source],
        set_current: Callable[[], None] = lambda: None,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Set what to sample.

        Args:
            sources: read at most every ten seconds, all at the same time.
            set_current: sets the gauges of what this process knows without asking, for each caller.
            now: a monotonic clock.
        """
        self._sources = sources
        self._set_current = set_current
        self._now = now
        self._next = 0.0
        self._sampling: asyncio.Task[Any] | None = None

    async def refresh(self) -> None:
        """Return when the metrics are recent, or after two seconds."""
        if self._sampling is None or (self._sampling.done() and self._now() >= self._next):
            self._sampling = asyncio.create_task(self._sample())
        await asyncio.wait({self._sampling}, timeout=LONGEST_WAIT_SECONDS)
        self._set_current()

    async def _sample(self) -> None:
        began = self._now()
        await asyncio.gather(*map(_read, self._sources))
        self._next = began + max(RECENT_SECONDS, (self._now() - began) / LARGEST_SHARE)


async def _read(source: Source) -> None:
    try:
        async with asyncio.timeout(LONGEST_SAMPLE_SECONDS):
            await source.sample()
    except Exception as error:  # noqa: BLE001 - whatever it is, the other sources are read
        for gauge in source.gauges:
            gauge.clear()
        _failed.labels(source.name).inc()
        cause = f"{type(error).__name__}: {error}"
        log.warning("metrics-not-sampled", source=source.name, cause=cause)


async def measure_event_loop() -> None:
    """Measure how late the event loop runs a task, until this one is cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + LAG_CHECK_SECONDS
        await asyncio.sleep(LAG_CHECK_SECONDS)
        _lag.observe(max(0.0, loop.time() - due))
