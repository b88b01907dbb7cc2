"""Order requests of 10 tenants that wait in the queue, until all are GRANTED on the response exchange.

The floor is a consumer (prefetch 1000, 100 handlers) that per message inserts one row in a transaction of
its own, publishes one confirmed message, and acknowledges. Service and floor are processes of their own,
which are suspended while the requests are published. The responses are counted in their queue, and read after
the measurement: each request has to be granted once. Both consume a queue with the same arguments: the
compatible one with 256 priorities, which limits both, and the quorum queue.

With the quorum queue the machine is the limit: the service, PostgreSQL and the broker share its cores, while
the floor is limited by its own process. A profile (py-spy, 10,000 requests) shows the CPU time of the
service. The commits of grants take 21 %: they write five tables and the answers. The relay takes 14 %,
decisions 11 %, and what is done for granted orders meanwhile 11 %. Receiving messages takes 9 %, accepting
them 6 %. The rest is the event loop and the driver of the database.
"""

import itertools
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import asyncpg
from aio_pika.abc import AbstractChannel
from pamqp.common import FieldTable

from rs_order.broker.queue_names import topology
from tests.acceptance.peer import RESPONSES
from tests.benchmarks import bare_consumer
from tests.benchmarks.children import Child, child_process
from tests.benchmarks.report import Figure, Report, Target
from tests.benchmarks.requesting import Requester, UnreadResponses, fanout, opened_channel
from tests.benchmarks.rounds import interleaved, rounds_of
from tests.benchmarks.servers import BenchmarkServers, benchmark_servers
from tests.benchmarks.service import service_process
from tests.support.reused_broker import INSTANCE
from tests.support.servers import FreshBroker

TENANTS = tuple(f"tenant{number}" for number in range(1, 11))
REQUESTS, QUICK_REQUESTS = 20_000, 50
BARE_QUEUE = "bare-requests"
COMPATIBLE, QUORUM = "compatible", "quorum"
"""The modes of the input queues, see RS_ORDER_QUEUES."""


@dataclass
class Ingest:
    """Measures consumers of order requests, each round with an empty database."""

    servers: BenchmarkServers
    requests: int
    tenants: tuple[str, ...] = TENANTS
    cpu_ms: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """CPU time per request by its figure, one for each round."""
    peaks_mib: list[float] = field(default_factory=list)
    _rounds: "itertools.count[int]" = field(default_factory=itertools.count)

    @classmethod
    def sized(cls, servers: BenchmarkServers, *, quick: bool, requests: int) -> "Ingest":
        """Return the measurement in the size of a full or a quick run."""
        if quick:
            return cls(servers, QUICK_REQUESTS, TENANTS[:2])
        return cls(servers, requests)

    async def service(self, queues: str = COMPATIBLE) -> float:
        """Return the requests per second that the service grants, with input queues of this mode."""
        async with (
            self.servers.database() as url,
            self.servers.broker() as broker,
            service_process(url, broker, tenants=self.tenants, queues=queues) as child,
            opened_channel(broker) as channel,
        ):
            rate = await self._rate("service", child, channel, queue=None)
            self.peaks_mib.append(child.peak_mib())
            return rate

    async def consumer(self, name: str, module: str, queues: str) -> float:
        """Return the requests per second that a child process with a handler of one row answers.

        Its queue has the arguments of the service's queue in this mode. The costs have its ``name``.
        """
        async with (
            self.servers.database() as url,
            self.servers.broker() as broker,
            opened_channel(broker) as channel,
            bare_queue(url, broker, queues),
        ):
            options = {
                "database_url": url,
                "amqp_url": f"{broker.url}/{broker.vhost}",
                "queue": BARE_QUEUE,
            }
            async with child_process(module, options) as child:
                return await self._rate(name, child, channel, queue=BARE_QUEUE)

    async def _rate(
        self, name: str, child: Child, channel: AbstractChannel, queue: str | None
    ) -> float:
        """Let the requests wait in the queue, resume the consumer, and return the requests per second."""
        prefix = f"round-{next(self._rounds)}"
        responses = await UnreadResponses.bound(channel)
        with child.suspended():
            ids = await Requester(channel).publish(self.tenants, self.requests, prefix, queue=queue)
        async with self._costs_of(name, child):
            began = time.monotonic()
            ended = await responses.until(self.requests)
        if await responses.read() != Counter((id_, "GRANTED") for id_ in ids):
            raise RuntimeError(f"the {name} didn't grant each request once")
        return self.requests / (ended - began)

    @asynccontextmanager
    async def _costs_of(self, name: str, child: Child) -> AsyncIterator[None]:
        """Note the CPU time per request of a child, and of PostgreSQL meanwhile."""
        own, database = child.cpu_seconds(), await self.servers.database_cpu_seconds()
        yield
        own = child.cpu_seconds() - own
        database = await self.servers.database_cpu_seconds() - database
        self.cpu_ms[f"CPU of the {name} per request"].append(1000 * own / self.requests)
        self.cpu_ms[f"CPU of PostgreSQL per request, {name}"].append(
            1000 * database / self.requests
        )

    def costs(self) -> list[Figure]:
        """Return what a request cost, whatever the mode."""
        return [
            *(Figure(name, "ms", tuple(samples)) for name, samples in self.cpu_ms.items()),
            Figure("peak memory of the service", "MiB", tuple(self.peaks_mib)),
        ]


@asynccontextmanager
async def bare_queue(
    database_url: str, broker: FreshBroker, queues: str = COMPATIBLE
) -> AsyncIterator[None]:
    """Create the table and, like the service's own queue, the queue of a bare consumer; delete the queue."""
    database = await asyncpg.connect(database_url)
    await database.execute(bare_consumer.TABLE)
    await database.close()
    names = topology(instance_identifier=INSTANCE)
    like = names.order_requests
    if queues == QUORUM:
        like = names.quorum_queue(like)
    arguments: FieldTable = {**like.arguments}
    async with opened_channel(broker) as channel:
        await fanout(channel, RESPONSES)
        queue = await channel.declare_queue(BARE_QUEUE, durable=True, arguments=arguments)
        yield
        await queue.delete(if_unused=False, if_empty=False)


async def measure(quick: bool, requests: int = REQUESTS) -> Report:
    return await compared(
        "floor", bare_consumer.__name__, quick=quick, requests=requests, limit=1.0
    )


async def compared(other: str, module: str, *, quick: bool, requests: int, limit: float) -> Report:
    """Measure the service and another consumer in turn, with the queues of each mode.

    Args:
        other: what the other consumer is called in the report.
        module: the module of the other consumer.
        quick: small sizes, and one mode.
        requests: the number of requests per round, unless it is quick.
        limit: the least rate of the service, as a multiple of the other's.
    """
    modes = (COMPATIBLE,) if quick else (COMPATIBLE, QUORUM)
    async with benchmark_servers() as servers:
        ingest = Ingest.sized(servers, quick=quick, requests=requests)
        sides: dict[str, Callable[[], Awaitable[float]]] = {}
        for mode in modes:
            sides[f"service, {mode}"] = partial(ingest.service, mode)
            sides[f"{other}, {mode}"] = partial(ingest.consumer, other, module, mode)
        rates = await interleaved(rounds_of(quick), sides)
    ratios = [
        Figure(
            f"service / {other}, {mode}",
            "",
            ratios_of(rates[f"service, {mode}"], rates[f"{other}, {mode}"]),
        )
        for mode in modes
    ]
    return Report(
        figures=[
            *(Figure(name, "requests/s", samples) for name, samples in rates.items()),
            *ratios,
            *ingest.costs(),
        ],
        targets=[Target(ratio.name, ratio.median, limit, at_least=True) for ratio in ratios],
        notes=[f"{ingest.requests:,} requests of {len(ingest.tenants)} tenants per round"],
    )


def ratios_of(values: tuple[float, ...], others: tuple[float, ...]) -> tuple[float, ...]:
    """Return the ratio of each round."""
    return tuple(value / other for value, other in zip(values, others, strict=True))
