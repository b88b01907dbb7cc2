"""Availability events: one for each file, as storage sends them, among as many events that aren't ours.

200,000 events over 1,000 running sub-orders of 10 tenants. The events of a round wait in a queue, shuffled.
The time is measured until every sub-order is done and the queue is empty. The consumer and its handlers are
as in production, in this process; the relay doesn't run. The floor consumes the same events, parses them,
and acknowledges them in batches. Both are measured with a quorum queue, and in small numbers with the classic
queue of the ``compatible`` mode, whose 255 priorities make the broker the limit.

The rate with the quorum queue is limited by the one process of the service, which also waits for the
database. A profile (py-spy) with batches of 1,000 events shows its time. The statements of the ten tenants
take 60 %: about twelve for each tenant and batch. Batches have 2,000 events now, so there are half as many.
Parsing takes 17 %. The rest is receiving and acknowledging, which is all that the floor does.
"""

import asyncio
import random
import time
from collections.abc import Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aio_pika
import orjson
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from rs_order.app.application import Application
from rs_order.app.consumers import shared_consumers
from rs_order.app.shared_parts import broker_topology
from rs_order.broker.batch_consumer import BatchConsumer
from rs_order.broker.connection import SupervisedConnection
from rs_order.broker.topology import Elements, Queue, Topology, declare
from rs_order.contracts.platform_messages import AVAILABLE, FileReferenceEvent
from rs_order.domain.ids import Checksum, Tenant
from tests.benchmarks.report import Figure, Report, Target
from tests.benchmarks.rounds import interleaved, rounds_of
from tests.benchmarks.servers import BenchmarkServers, benchmark_servers
from tests.benchmarks.service import settings_of
from tests.benchmarks.stored_orders import StoredOrders, composed_application, foreign_checksum
from tests.support.polling import eventually
from tests.support.servers import FreshBroker

RATIO = 0.5
PUBLISHED_AT_ONCE = 500
ACKNOWLEDGED_AT_ONCE = 500
LONGEST_SECONDS = 900


@dataclass(frozen=True)
class _Sizes:
    tenants: Sequence[Tenant]
    stored: StoredOrders
    rounds: int
    quorum: int
    """Sub-orders of each tenant in a round on the quorum queue."""
    compatible: int
    """The same on the classic queue."""


def _sizes(quick: bool) -> _Sizes:
    if quick:
        return _Sizes([Tenant("a"), Tenant("b")], StoredOrders(2, 3, 5), 1, 4, 2)
    tenants = [Tenant(f"tenant{number}") for number in range(10)]
    return _Sizes(
        tenants, StoredOrders(users=10, sub_orders=10, files=100), rounds_of(False), 18, 2
    )


async def measure(quick: bool) -> Report:
    """Measure the service and the floor on both kinds of queues, in turn."""
    sizes = _sizes(quick)
    async with (
        benchmark_servers() as servers,
        servers.database() as url,
        servers.broker() as broker,
        composed_application(**settings_of(url, broker, tenants=sizes.tenants)) as application,
        _opened(broker) as channel,
    ):
        for tenant in sizes.tenants:
            await sizes.stored.write(url, tenant, state="RUNNING")
        run = _Run(servers, broker, application, channel, sizes)
        samples = await run.samples()
    return _report(sizes, samples, run.cpu)


class _Run:
    """The rounds of one measurement."""

    def __init__(
        self,
        servers: BenchmarkServers,
        broker: FreshBroker,
        application: Application,
        channel: AbstractChannel,
        sizes: _Sizes,
    ) -> None:
        self._servers = servers
        self._broker = broker
        self._application = application
        self._channel = channel
        self._sizes = sizes
        self._names = broker_topology(application.shared.settings)
        self._quorum = self._names.quorum_queue(self._names.file_references)
        self._next_sub_order = 1
        self._events: list[aio_pika.Message] = []
        self.cpu: dict[str, list[float]] = {"service": [], "database": [], "broker": []}
        """CPU time per event in ms, in rounds of the service on the quorum queue."""

    async def samples(self) -> dict[str, tuple[float, ...]]:
        """Return the events per second of each side."""
        await declare(self._channel, self._names.multitenant)
        await declare(self._channel, Elements((), (self._quorum,), ()))
        classic = self._names.file_references
        try:
            return await interleaved(
                self._sizes.rounds,
                {
                    "quorum, service": lambda: self._service(self._quorum, self._sizes.quorum),
                    "quorum, floor": lambda: self._floor(self._quorum),
                    "compatible, service": lambda: self._service(classic, self._sizes.compatible),
                    "compatible, floor": lambda: self._floor(classic),
                },
            )
        finally:
            await self._channel.queue_delete(self._quorum.name)

    async def _service(self, queue: Queue, sub_orders: int) -> float:
        """Let the service handle the events of the next sub-orders of each tenant."""
        first, self._next_sub_order = self._next_sub_order, self._next_sub_order + sub_orders
        self._events = _shuffled(self._sizes, range(first, self._next_sub_order))
        await self._publish(queue)
        before = await self._cpu()
        seconds = await self._handled(queue)
        if queue is self._quorum:
            for name, used in (await self._cpu()).items():
                self.cpu[name].append(1000 * (used - before[name]) / len(self._events))
        return len(self._events) / seconds

    async def _floor(self, queue: Queue) -> float:
        """Consume the events of the round again, parse them, and acknowledge them in batches."""
        await self._publish(queue)
        return len(self._events) / await _consumed(self._broker, queue, len(self._events))

    async def _publish(self, queue: Queue) -> None:
        exchange = self._channel.default_exchange
        for start in range(0, len(self._events), PUBLISHED_AT_ONCE):
            some = self._events[start : start + PUBLISHED_AT_ONCE]
            await asyncio.gather(*(exchange.publish(event, queue.name) for event in some))

    async def _handled(self, queue: Queue) -> float:
        """Run the service's consumer until it has handled all events. Return the time in seconds."""
        consumer = _consumer(self._application, self._names, queue)
        url, vhost = self._broker.url, self._broker.vhost
        connection = SupervisedConnection(url, vhost, Elements((), (), ()), [consumer])
        running = asyncio.create_task(connection.run())
        await eventually(lambda: consumer.registered, "the consumer registered")
        began = time.perf_counter()
        await eventually(
            lambda: self._is_done(queue, consumer), "all events handled", seconds=LONGEST_SECONDS
        )
        seconds = time.perf_counter() - began
        await connection.stop()
        await running
        return seconds

    async def _is_done(self, queue: Queue, consumer: BatchConsumer) -> bool:
        """True if the queue is empty, the consumer has no event, and the sub-orders of the round are done."""
        declared = await self._channel.declare_queue(queue.name, passive=True)
        if declared.declaration_result.message_count or consumer.oldest_unsettled is not None:
            return False
        for tenant in self._sizes.tenants:
            async with self._application.shared.store.unit_of_work(tenant) as uow:
                loaded = await uow.sub_orders.load(list(range(1, self._next_sub_order)))  # type: ignore[arg-type]
            if any(one.counters.pending for one in loaded):
                return False
        return True

    async def _cpu(self) -> dict[str, float]:
        return {
            "service": time.process_time(),
            "database": await self._servers.database_cpu_seconds(),
            "broker": await self._servers.broker_cpu_seconds(),
        }


def _consumer(application: Application, names: Topology, queue: Queue) -> BatchConsumer:
    """Return the consumer of a queue, as the service builds it."""

    async def index(_: Sequence[object]) -> None:
        raise AssertionError("an event became a dead letter")

    consumers = shared_consumers(names, application, index)
    return next(one for one in consumers if one.queue == queue)


async def _consumed(broker: FreshBroker, queue: Queue, total: int) -> float:
    """Consume so many events, parse them and acknowledge them in batches. Return the time in seconds."""
    done = asyncio.Event()
    count = 0

    async def receive(message: AbstractIncomingMessage) -> None:
        nonlocal count
        FileReferenceEvent.model_validate(orjson.loads(message.body))
        count += 1
        if count % ACKNOWLEDGED_AT_ONCE == 0 or count == total:
            await message.ack(multiple=True)
        if count == total:
            done.set()

    async with _opened(broker) as channel:
        await channel.set_qos(prefetch_count=2 * ACKNOWLEDGED_AT_ONCE)
        opened = await channel.get_queue(queue.name, ensure=False)
        began = time.perf_counter()
        await opened.consume(receive)
        await done.wait()
        return time.perf_counter() - began


@asynccontextmanager
async def _opened(broker: FreshBroker) -> Any:
    connection = await aio_pika.connect(f"{broker.url}/{broker.vhost}?heartbeat=0")
    async with connection:
        yield await connection.channel()


def _shuffled(sizes: _Sizes, sub_orders: range) -> list[aio_pika.Message]:
    """Return an event for each file of these sub-orders of each tenant, and as many that aren't ours."""
    events = [
        _event(tenant, checksum)
        for tenant in sizes.tenants
        for sub_order in sub_orders
        for number, ours in enumerate(sizes.stored.files_of(sub_order))
        for checksum in (ours, foreign_checksum(sub_order * sizes.stored.files + number))
    ]
    random.Random(sub_orders.start).shuffle(events)  # noqa: S311 - the same order in every run
    return events


def _event(tenant: Tenant, checksum: Checksum) -> aio_pika.Message:
    body = {
        "checksum": checksum,
        "type": AVAILABLE,
        "message": f"File {checksum}.fits (checksum {checksum}) is available for download.",
        "owners": ["storage"],
        "location": {"storage": "tape", "url": f"file:///archive/{checksum}.fits"},
        "metaInfo": {"fileName": f"{checksum}.fits", "fileSize": 1000, "algorithm": "MD5"},
    }
    return aio_pika.Message(
        orjson.dumps(body),
        headers={"regards.tenant": tenant},
        content_type="application/json",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
    )


def _report(
    sizes: _Sizes, samples: dict[str, tuple[float, ...]], cpu: dict[str, list[float]]
) -> Report:
    def ratio(queue: str) -> float:
        """Return the median of the rounds' ratios of service and floor."""
        both = zip(samples[f"{queue}, service"], samples[f"{queue}, floor"], strict=True)
        ratios = sorted(service / floor for service, floor in both)
        return ratios[len(ratios) // 2]

    events = 2 * len(sizes.tenants) * sizes.stored.files * sizes.rounds
    return Report(
        figures=[
            *(Figure(name, "events/s", values) for name, values in samples.items()),
            *(Figure(f"CPU of the {name}, quorum", "ms/event", tuple(cpu[name])) for name in cpu),
        ],
        targets=[
            Target(f"service over floor, {queue}", ratio(queue), RATIO, at_least=True)
            for queue in ("quorum", "compatible")
        ],
        notes=[
            f"{events * sizes.quorum:,} events on the quorum queue",
            f"{events * sizes.compatible:,} events on the classic queue",
            f"{sizes.rounds} rounds; {sizes.stored.files} files in a sub-order, {len(sizes.tenants)} tenants",
        ],
    )
