"""The latency at 20 % of the ingest rate: request to GRANTED, and last event of a sub-order to SUBORDER_DONE.

Requests arrive at a steady rate, however slow the responses are. Storage answers each restore request at
once. The floor is publish to consume through the same broker at the same rate, by a queue with the arguments
of the service's queue of order requests. The curves have a round at each of some lower rates.

At the full rate the machine is the limit, not a pause or a queue. Requests of a tenant come so far apart that
each order is done by itself, in about 70 round trips to the database. That takes 30 ms of CPU time, with
PostgreSQL and the broker, so two cores are full at about 60 orders per second. Beyond that, orders wait until
batches are large enough: one in a large batch takes 5 ms. Half a second or more is what it takes to gather
them. In hours when the machine was slow, all this took twice as much.
"""

import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import orjson
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from tests.benchmarks.ingest import BARE_QUEUE, Ingest, bare_queue
from tests.benchmarks.report import Curve, Figure, Report, Target
from tests.benchmarks.requesting import Requester, Storage, opened_channel
from tests.benchmarks.rounds import rounds_of
from tests.benchmarks.servers import benchmark_servers
from tests.benchmarks.service import service_process

SHARE_OF_INGEST = 0.2
INGESTED = 3000
"""Requests that find out the ingest rate."""
QUICK_RATE = 10.0
LOWER_RATES = (0.05, 0.1, 0.25, 0.5)
"""Parts of the rate at which a round is measured for the curves, too."""
SECONDS, QUICK_SECONDS = 20, 2
"""Duration of a round."""
TARGETS_MS = (30.0, 150.0)
"""The limits of p50 and p99."""
MILLISECONDS = 1000


@dataclass
class Latency:
    """Measures the latencies of a running service, and of the broker alone."""

    tenants: Sequence[str]
    rate: float
    """Requests per second."""
    seconds: float
    requester: Requester
    storage: Storage
    broker_only: list[list[float]] = field(default_factory=list)
    granted: list[list[float]] = field(default_factory=list)
    sub_order_done: list[list[float]] = field(default_factory=list)
    by_rate: dict[float, tuple[list[float], list[float]]] = field(default_factory=dict)
    """The latencies until GRANTED and until SUBORDER_DONE in one round at each lower rate."""
    _products: int = 0
    """The products that were ordered so far."""

    def count(self, rate: float) -> int:
        """Return the requests of a round at a rate."""
        return max(10, round(rate * self.seconds))

    async def floor(self, number: int, channel: AbstractChannel) -> None:
        """Measure one round of publish to consume."""
        arrived: dict[str, float] = {}
        complete = asyncio.Event()

        async def receive(message: AbstractIncomingMessage) -> None:
            arrived[orjson.loads(message.body)["correlationId"]] = time.monotonic()
            await message.ack()
            if len(arrived) == self.count(self.rate):
                complete.set()

        queue = await channel.get_queue(BARE_QUEUE, ensure=False)
        tag = await queue.consume(receive)
        await self._publish(f"floor-{number}", 0, self.rate, queue=BARE_QUEUE)
        await complete.wait()
        await queue.cancel(tag)
        published = self.requester.published
        self.broker_only.append([arrived[id_] - published[id_] for id_ in arrived])

    async def orders(self, number: int) -> None:
        """Measure one round of orders of one file each, which storage brings back."""
        granted, done = await self._orders(f"round-{number}", self.rate)
        self.granted.append(granted)
        self.sub_order_done.append(done)

    async def orders_at(self, rate: float) -> None:
        """Measure one round at a lower rate."""
        self.by_rate[rate] = await self._orders(f"at-{rate}", rate)

    async def _orders(self, prefix: str, rate: float) -> tuple[list[float], list[float]]:
        requester, first = self.requester, self._products
        ids = await self._publish(prefix, first, rate)
        self._products += len(ids)
        await requester.until_all("SUBORDER_DONE", ids)
        granted = [requester.arrival("GRANTED", id_) - requester.published[id_] for id_ in ids]
        done = [
            requester.arrival("SUBORDER_DONE", id_) - self.storage.published_at(first + at)
            for at, id_ in enumerate(ids)
        ]
        return granted, done

    async def _publish(
        self, prefix: str, first: int, rate: float, queue: str | None = None
    ) -> list[str]:
        return await self.requester.publish_at_rate(
            self.tenants, self.count(rate), prefix, rate=rate, first=first, queue=queue
        )

    def report(self) -> Report:
        of_floor = percentiles("publish to consume", self.broker_only)
        of_grant = percentiles("request to GRANTED", self.granted)
        of_done = percentiles("last event to SUBORDER_DONE", self.sub_order_done)
        targets = [
            Target(figure.name, figure.median, limit, at_least=False)
            for figures in (of_grant, of_done)
            for figure, limit in zip(figures, TARGETS_MS, strict=True)
        ]
        note = f"{self.rate:.0f} requests/s of {len(self.tenants)} tenants, {self.count(self.rate)} per round"
        curves = [
            self._curve("Request to GRANTED", 0, of_grant[0].median),
            self._curve("Last event to SUBORDER_DONE", 1, of_done[0].median),
        ]
        return Report([*of_grant, *of_done, *of_floor], targets, curves, notes=[note])

    def _curve(self, name: str, index: int, median_ms: float) -> Curve:
        """Return the median latencies by the rate. ``median_ms``: that at the rate of the rounds."""
        lower = [
            (rate, MILLISECONDS * statistics.median(latencies[index]))
            for rate, latencies in self.by_rate.items()
        ]
        return Curve(name, "requests/s", "ms", (*lower, (self.rate, median_ms)))


def percentiles(name: str, rounds: Sequence[Sequence[float]]) -> tuple[Figure, Figure]:
    """Return the 50th and the 99th percentile of each round, in milliseconds, from samples in seconds."""
    cuts = [statistics.quantiles(samples, n=100) for samples in rounds]
    return (
        Figure(f"{name}, p50", "ms", tuple(MILLISECONDS * cut[49] for cut in cuts)),
        Figure(f"{name}, p99", "ms", tuple(MILLISECONDS * cut[98] for cut in cuts)),
    )


async def measure(quick: bool, seconds: float = SECONDS) -> Report:
    async with benchmark_servers() as servers:
        ingest = Ingest.sized(servers, quick=quick, requests=INGESTED)
        rate = QUICK_RATE if quick else SHARE_OF_INGEST * await ingest.service()
        tenants = ingest.tenants
        async with (
            servers.database() as url,
            servers.broker() as broker,
            bare_queue(url, broker),
            service_process(url, broker, tenants=tenants, max_storage_files_jobs_per_user=0),
            Requester.connected(broker) as requester,
            Storage.connected(broker) as storage,
            opened_channel(broker) as channel,
        ):
            latency = Latency(
                tenants, rate, QUICK_SECONDS if quick else seconds, requester, storage
            )
            for part in () if quick else LOWER_RATES:
                await latency.orders_at(part * rate)
            for number in range(rounds_of(quick)):
                await latency.floor(number, channel)
                await latency.orders(number)
    return latency.report()
