"""Metrics cost one sample per ten seconds, however many scrape, and none while nobody does (F14)."""

import asyncio
from collections.abc import Sequence
from typing import cast

import pytest
from prometheus_client import REGISTRY, CollectorRegistry, Gauge

from rs_order.app.metrics import MetricsSampler, Source
from rs_order.core.measurements import Measurements
from rs_order.domain.ids import Tenant
from rs_order.ports import ServedTenants


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class CountedSource:
    """A source whose samples take as long as a test says, or fail."""

    def __init__(self, clock: Clock) -> None:
        self.samples = 0
        self.seconds = 0.0
        self.error: Exception | None = None
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.registry = CollectorRegistry()
        self._gauge = Gauge("waiting", "Waiting", ["tenant"], registry=self.registry)
        self.clock = clock

    async def sample(self) -> None:
        self.samples += 1
        await self.go_on.wait()
        self.clock.now += self.seconds
        if self.error is not None:
            raise self.error
        self._gauge.labels("demo").set(7)

    @property
    def value(self) -> float | None:
        return self.registry.get_sample_value("waiting", {"tenant": "demo"})

    def source(self) -> Source:
        return Source("test", self.sample, [self._gauge])


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def source(clock: Clock) -> CountedSource:
    return CountedSource(clock)


@pytest.fixture
def sampler(source: CountedSource, clock: Clock) -> MetricsSampler:
    return MetricsSampler([source.source()], now=clock)


async def test_callers_share_a_sample(sampler: MetricsSampler, source: CountedSource) -> None:
    """A caller who leaves doesn't end it for the others."""
    source.go_on.clear()
    callers = [asyncio.create_task(sampler.refresh()) for _ in range(50)]
    await asyncio.sleep(0)
    callers[0].cancel()
    source.go_on.set()
    await asyncio.gather(*callers[1:])

    assert (source.samples, source.value) == (1, 7)


@pytest.mark.parametrize(
    ("took", "later", "is_new"),
    [(0.0, 9.9, False), (0.0, 10.0, True), (1.0, 18.9, False), (1.0, 19.0, True)],
)
async def test_a_sample_answers_for_ten_seconds(
    sampler: MetricsSampler, source: CountedSource, took: float, later: float, *, is_new: bool
) -> None:
    """After a sample that took long the next one is later: sampling takes a twentieth of the time at most."""
    source.seconds = took
    await sampler.refresh()
    source.clock.now += later
    await sampler.refresh()

    assert source.samples == 1 + is_new


async def test_a_source_that_fails_has_no_values(
    sampler: MetricsSampler, source: CountedSource, clock: Clock
) -> None:
    """An old value would look like a good one. The failure is counted."""

    def failed() -> float:
        return REGISTRY.get_sample_value("rs_order_samples_failed_total", {"source": "test"}) or 0

    await sampler.refresh()
    before = failed()
    source.error = ConnectionError("the database is away")
    clock.now += 10
    await sampler.refresh()

    assert (source.value, failed() - before) == (None, 1)


class FourTenants:
    """Implements the part of ``ServedTenants`` that labels use."""

    def names(self) -> Sequence[Tenant]:
        return [Tenant(name) for name in ("zoe", "ann", "max", "bob")]


@pytest.mark.parametrize(
    ("most", "labels"),
    [
        (50, ["zoe", "ann", "max", "bob", "other"]),
        (2, ["zoe", "ann", "other", "other", "other"]),
        (0, ["other"] * 5),
    ],
)
def test_labels_of_tenants_are_limited(most: int, labels: list[str]) -> None:
    """The first tenants that were added have their own; an unknown one never has."""
    measurements = Measurements(cast("ServedTenants", FourTenants()), tenant_labels=most)

    assert [measurements.label(name) for name in ("zoe", "ann", "max", "bob", "new")] == labels
