"""The sources of the sampled metrics: health, queues of the broker, outbox, tenants and connections."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from prometheus_client import Gauge

from rs_order.app.metrics import Source
from rs_order.app.shared_parts import SharedParts
from rs_order.broker.batch_consumer import BatchConsumer
from rs_order.broker.queue_depths import QueueDepths
from rs_order.broker.topology import Vhost
from rs_order.contracts.administration import HealthStatus
from rs_order.core.measurements import Measurements
from rs_order.domain.shares import NOTHING, Amount
from rs_order.ports import Clock, Health, ServedTenants
from rs_order.store.backlog import Backlog
from rs_order.store.outbox import Outbox
from rs_order.store.pool import Pool
from rs_order.store.tenants import DataSource

_up = Gauge("rs_order_component_up", "0 if a component of health is DOWN, else 1", ["component"])


def health_source(health: Health) -> Source:
    async def sample() -> None:
        for name, component in (await health.check()).items():
            _up.labels(name).set(component.status is not HealthStatus.DOWN)

    return Source("health", sample, [_up])


_messages = Gauge("rs_order_queue_messages", "Messages that no consumer has received", ["queue"])
_consumers = Gauge("rs_order_queue_consumers", "Consumers, of all processes", ["queue"])
_dead_letters = Gauge("rs_order_dead_letters", "Messages in dead-letter queues", ["vhost", "queue"])


def queues_source(readers: Mapping[Vhost, QueueDepths], dead_letters: frozenset[str]) -> Source:
    """Return the source of the depths of queues. ``dead_letters``: the queues that hold dead letters."""

    async def sample() -> None:
        depths = {vhost: await reader.read() for vhost, reader in readers.items()}
        for gauge in gauges:
            gauge.clear()
        for vhost, of_vhost in depths.items():
            for queue, depth in of_vhost.items():
                if queue in dead_letters:
                    _dead_letters.labels(vhost.value, queue).set(depth.messages)
                else:
                    _messages.labels(queue).set(depth.messages)
                    _consumers.labels(queue).set(depth.consumers)

    gauges = (_messages, _consumers, _dead_letters)
    return Source("queues", sample, gauges)


_outbox_rows = Gauge("rs_order_outbox_rows", "Rows of the outbox that should have left", ["state"])
_outbox_oldest = Gauge(
    "rs_order_outbox_oldest_seconds", "Time since the oldest of these rows was due", ["state"]
)


def _outbox_source(outbox: Outbox) -> Source:
    async def sample() -> None:
        lag = await outbox.lag()
        _outbox_rows.labels("due").set(lag.rows)
        _outbox_oldest.labels("due").set(lag.oldest_seconds)
        _outbox_rows.labels("rejected").set(lag.rejected)
        _outbox_oldest.labels("rejected").set(lag.oldest_rejected_seconds)

    return Source("outbox", sample, [_outbox_rows, _outbox_oldest])


_restores = Gauge(
    "rs_order_restores_in_flight", "Sub-orders that wait for an answer of storage", ["tenant"]
)
_files = Gauge("rs_order_files_in_flight", "Files of these sub-orders", ["tenant"])
_bytes = Gauge("rs_order_bytes_in_flight", "Bytes of these sub-orders", ["tenant"])
_oldest_request = Gauge(
    "rs_order_request_oldest_seconds", "Time since the oldest open request was received", ["tenant"]
)
_oldest_sub_order = Gauge(
    "rs_order_sub_order_oldest_seconds", "Time that the oldest sub-order waits", ["tenant", "state"]
)
_overdue = Gauge(
    "rs_order_sub_order_overdue_seconds", "Time since the most overdue step was due", ["tenant"]
)
_oldest_event = Gauge(
    "rs_order_event_oldest_seconds",
    "Time since the oldest event without a position was written",
    ["tenant"],
)


class TenantSource:
    """Samples what waits in the tenants. Tenants without a label of their own are added up."""

    def __init__(
        self, backlog: Backlog, tenants: ServedTenants, measurements: Measurements, clock: Clock
    ) -> None:
        self._backlog = backlog
        self._tenants = tenants
        self._label = measurements.label
        self._clock = clock

    def source(self) -> Source:
        since = (_oldest_request, _oldest_sub_order, _overdue, _oldest_event)
        gauges = (_restores, _files, _bytes, *since)
        return Source("tenants", self._sample, gauges)

    async def _sample(self) -> None:
        in_flight = dict.fromkeys(map(self._label, self._tenants.names()), NOTHING)
        since: dict[Gauge, dict[tuple[str, ...], datetime | None]] = defaultdict(dict)
        for one in await self._backlog.restores():
            label = self._label(one.tenant)
            in_flight[label] = in_flight.get(label, NOTHING) + one.in_flight
            _keep_oldest(since[_oldest_sub_order], (label, "RUNNING"), one.oldest)
        for tenant in self._tenants.names():
            label, waiting = self._label(tenant), await self._backlog.of(tenant)
            _keep_oldest(since[_oldest_request], (label,), waiting.request)
            _keep_oldest(since[_oldest_sub_order], (label, "READY"), waiting.ready)
            _keep_oldest(since[_oldest_sub_order], (label, "PROCESSING"), waiting.processing)
            _keep_oldest(since[_overdue], (label,), waiting.due)
            _keep_oldest(since[_oldest_event], (label,), waiting.event)
        self._set(in_flight, since)

    def _set(
        self,
        in_flight: Mapping[str, Amount],
        since: Mapping[Gauge, Mapping[tuple[str, ...], datetime | None]],
    ) -> None:
        now = self._clock.now()
        for gauge in (_restores, _files, _bytes):
            gauge.clear()
        for label, amount in in_flight.items():
            _restores.labels(label).set(amount.sub_orders)
            _files.labels(label).set(amount.files)
            _bytes.labels(label).set(amount.bytes)
        for gauge, instants in since.items():
            gauge.clear()
            for labels, at in instants.items():
                seconds = 0.0 if at is None else max(0.0, (now - at).total_seconds())
                gauge.labels(*labels).set(seconds)


def database_sources(shared: SharedParts, pool: Pool) -> list[Source]:
    """Return the sources that read the database. Their values are the same in all processes."""
    silence = timedelta(hours=shared.settings.processing_silence_hours)
    backlog = Backlog(pool, processing_silence=silence)
    tenants = TenantSource(backlog, shared.tenants, shared.measurements, shared.clock)
    return [_outbox_source(Outbox(pool, shared.clock)), tenants.source()]


def _keep_oldest(
    instants: dict[tuple[str, ...], datetime | None], labels: tuple[str, ...], at: datetime | None
) -> None:
    known = instants.get(labels)
    instants[labels] = min(known, at) if known and at else known or at


_oldest_message = Gauge(
    "rs_order_queue_oldest_seconds",
    "Time since the publication of the oldest message received here and not acknowledged",
    ["queue"],
)
_connections = Gauge("rs_order_pool_connections", "Connections of the pool", ["state"])
_pool_size = Gauge("rs_order_pool_size", "The most connections that the pool opens")


def current_values(
    consumers: Callable[[], Sequence[BatchConsumer]], data_source: DataSource, clock: Clock
) -> Callable[[], None]:
    """Return a function that sets the gauges of what this process knows.

    Args:
        consumers: returns the consumers of the queues that the instances share.
        data_source: the use of the pool.
        clock: the time.
    """

    def set_current() -> None:
        now, use = clock.now(), data_source.use()
        for consumer in consumers():
            oldest = consumer.oldest_unsettled or now
            seconds = max(0.0, (now - oldest).total_seconds())
            _oldest_message.labels(consumer.queue.name).set(seconds)
        _connections.labels("active").set(use.active)
        _connections.labels("idle").set(use.idle)
        _pool_size.set(use.most)

    return set_current
