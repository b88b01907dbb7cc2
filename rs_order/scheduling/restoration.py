"""Requests the files of sub-orders from storage, applies its events (amqp.md 3.2), and gives up in time."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from rs_order.consumers.batches import Received, dropped
from rs_order.contracts.order_messages import ResponseStatus
from rs_order.contracts.platform_messages import (
    AVAILABILITY_ERROR,
    AVAILABLE,
    FileReferenceEvent,
    FilesRestorationRequest,
)
from rs_order.core.forecasts import Forecast, Forecasts
from rs_order.core.measurements import Measurements
from rs_order.core.policies import SLICE_SIZES, SliceSizes
from rs_order.core.settlement import Cause, Settlement
from rs_order.core.shared_steps import AskAgainStep, StartProcessingStep, StopSubOrdersStep
from rs_order.domain.estimates import Sample
from rs_order.domain.group_ids import asking_sub_order, group_id
from rs_order.domain.identity import SERVICE
from rs_order.domain.ids import Checksum, OrderId, SubOrderId, Tenant
from rs_order.domain.moves import Reason
from rs_order.domain.order import Order
from rs_order.domain.recalls import Need, PendingFile, Share, Shared, remind, share
from rs_order.domain.retry import RetryPolicy
from rs_order.domain.states import FileState, OrderStatus, SubOrderKind, SubOrderState
from rs_order.domain.sub_order import SubOrder
from rs_order.ports import Clock, MessageKind
from rs_order.processing.start import BeginProcessing
from rs_order.store.outbox import OutgoingMessage
from rs_order.store.recalls import Joiner
from rs_order.store.unit_of_work import Store, UnitOfWork

LONGEST_STORAGE: Final = 128
"""Characters of a storage's name that are kept."""
ANYBODY: Final[Mapping[Checksum, Collection[SubOrderId]]] = MappingProxyType({})
"""Rejections that answer the request of whoever waits for the file."""


class AskersNotLocked(Exception):
    """Sub-orders are to join the requests of orders that their unit of work hasn't locked."""

    def __init__(self, orders: Collection[OrderId]) -> None:
        super().__init__(f"orders {sorted(orders)} have asked for the same files")
        self.orders = frozenset(orders)


def restore_requests(
    tenant: Tenant,
    sub_order: SubOrderId,
    checksums: Mapping[int, Sequence[Checksum]],
    *,
    most: int,
) -> list[OutgoingMessage]:
    """Return requests of a sub-order for distinct checksums, ``most`` in each, each with its own group id.

    ``checksums``: by the availability to ask for, in hours.
    """
    return [
        OutgoingMessage(
            kind=MessageKind.RESTORE_REQUEST,
            tenant=tenant,
            body=FilesRestorationRequest(
                checksums=list(wanted[start : start + most]),
                availability_hours=hours,
                group_id=str(group_id(sub_order)),
            ).to_wire(),
        )
        for hours, wanted in checksums.items()
        for start in range(0, len(wanted), most)
    ]


class AskStorage:
    """Requests the files of a sub-order from storage, and repeats the request until storage answers."""

    def __init__(
        self,
        store: Store,
        settlement: Settlement,
        clock: Clock,
        retries: RetryPolicy,
        sizes: SliceSizes = SLICE_SIZES,
    ) -> None:
        self._checksums = sizes.requested_checksums
        self._store = store
        self._settlement = settlement
        self._processing = BeginProcessing(settlement)
        self._clock = clock
        self._retries = retries

    async def first(
        self,
        uow: UnitOfWork,
        chosen: Sequence[tuple[Order, SubOrder]],
        forecast: Forecast,
        locked: Collection[OrderId],
        *,
        askers_known: bool,
    ) -> None:
        """Request the files of sub-orders in the caller's unit of work; the caller saves the sub-orders.

        Files that storage was asked for already are joined. A process whose inputs are all settled, or
        external, begins at once.

        Args:
            uow: the caller's.
            chosen: the sub-orders, with their orders.
            forecast: grows by what is asked for.
            locked: all orders that the unit of work has locked.
            askers_known: True if it has started again, with the orders locked that have asked.

        Raises:
            AskersNotLocked: start again with further orders locked. Otherwise the answer to a request could
                be applied while it is joined, and would miss the joining sub-order.
        """
        ids = [sub_order.id for _, sub_order in chosen]
        pending, shared = await _to_share(uow, ids, locked, askers_known=askers_known)
        needs = [
            Need(sub_order.id, order.id, order.sub_order_hours, pending[sub_order.id])
            for order, sub_order in chosen
        ]
        shares = share(needs, shared)
        messages: list[OutgoingMessage] = []
        for order, sub_order in chosen:
            mine = shares[sub_order.id]
            messages += self._started(uow.tenant, order, sub_order, mine)
            if sub_order.kind is SubOrderKind.STORAGE:
                asked = sub_order.counters.bytes[FileState.PENDING] - mine.joined_bytes
                forecast.expect(sub_order, asked)
        await _join(uow, shares)
        await uow.messages.send(messages)

    def _started(
        self, tenant: Tenant, order: Order, sub_order: SubOrder, mine: Share
    ) -> list[OutgoingMessage]:
        """Start a sub-order. Return its requests and its reminder, or the step that starts its process."""
        now = self._clock.now()
        sub_order.joined_files, sub_order.joined_bytes = mine.joined_files, mine.joined_bytes
        sub_order.asked_hours = mine.hours
        if sub_order.kind is SubOrderKind.PROCESSING and not mine.asked and not mine.joined:
            sub_order.begin_processing(now, reason=Reason.NOTHING_TO_ASK)
            return [StartProcessingStep(order.id, sub_order.id).to(tenant)]
        sub_order.start(now)
        return [
            *restore_requests(tenant, sub_order.id, mine.asked, most=self._checksums),
            self._reminder(tenant, sub_order),
        ]

    async def again(self, tenant: Tenant, step: AskAgainStep) -> None:
        """Remind storage of the files that it has not settled, or give up."""
        now = self._clock.now()
        async with self._store.unit_of_work(tenant) as uow:
            orders = await uow.orders.lock([step.order_id])
            loaded = await uow.sub_orders.load([step.sub_order_id])
            if not orders or not loaded:
                return
            (order,), (sub_order,) = orders, loaded
            if order.status.deleted_or_expired or sub_order.asks != step.asks:
                return
            if sub_order.order_id != order.id or sub_order.state is not SubOrderState.RUNNING:
                return
            if order.status is OrderStatus.PAUSED:
                await self._wait_for_its_stop(uow, sub_order)
                return
            if sub_order.asked_at and self._retries.exhausted(sub_order.asked_at, now):
                await self._give_up(uow, order, sub_order)
                return
            sub_order.asks += 1
            mine = await self._reminded(uow, order, sub_order)
            await uow.messages.send(
                [
                    *restore_requests(tenant, sub_order.id, mine.asked, most=self._checksums),
                    self._reminder(tenant, sub_order),
                ]
            )
            await uow.sub_orders.save([sub_order], now)

    async def _reminded(self, uow: UnitOfWork, order: Order, sub_order: SubOrder) -> Share:
        """Return what a sub-order reminds storage of: what it asked for, and what no other one does."""
        pending = await uow.recalls.pending([sub_order.id])
        shared = await uow.recalls.shared(pending, reminded=True)
        need = Need(sub_order.id, order.id, order.sub_order_hours, pending[sub_order.id])
        mine = remind(need, shared)
        await _join(uow, {sub_order.id: mine})
        if mine.asked:
            sub_order.asked_hours = mine.hours
        return mine

    async def _wait_for_its_stop(self, uow: UnitOfWork, sub_order: SubOrder) -> None:
        """Send the stop again, and the reminder for the case that the order is resumed before the stop."""
        now = self._clock.now()
        sub_order.due_at = now + self._retries.first
        await uow.sub_orders.save([sub_order], now)
        await uow.messages.send(
            [
                # The first of these steps may have been lost.
                StopSubOrdersStep(sub_order.order_id).to(uow.tenant),
                _ask_again(sub_order).to(uow.tenant, sub_order.due_at),
            ]
        )

    async def _give_up(self, uow: UnitOfWork, order: Order, sub_order: SubOrder) -> None:
        """Settle pending files as errors after the deadline; a process begins with the inputs it has."""
        now = self._clock.now()
        hours = self._retries.deadline.total_seconds() / 3600
        cause = Cause(Reason.STORAGE_SILENT, SERVICE, now)
        reason = f"Storage gave no answer for {hours:g} hours."
        if sub_order.joined_files:
            await uow.recalls.leave(sub_order.id)
        if sub_order.kind is SubOrderKind.PROCESSING:
            await uow.inputs.give_up(sub_order.id, reason)
            await self._processing.begin(uow, [sub_order.id], reason=cause.reason, at=now)
            return
        moves = await uow.files.give_up(sub_order.id, reason)
        await self._settlement.apply(uow, [order], moves, cause)

    def _reminder(self, tenant: Tenant, sub_order: SubOrder) -> OutgoingMessage:
        """Return the delayed step that asks again; the caller saves its due date with the sub-order."""
        now = self._clock.now()
        due = self._retries.next_attempt(sub_order.asks, sub_order.asked_at or now, now)
        sub_order.due_at = due
        return _ask_again(sub_order).to(tenant, due)


async def _to_share(
    uow: UnitOfWork, ids: Sequence[SubOrderId], locked: Collection[OrderId], *, askers_known: bool
) -> tuple[Mapping[SubOrderId, Sequence[PendingFile]], Mapping[Checksum, Shared]]:
    """Return what sub-orders need, and which of it others wait for, too.

    Those that ask for nothing, because they join everything, keep nobody else from asking.
    """
    for to_ask in (False, True) if askers_known else (True,):
        pending = await uow.recalls.pending(ids, to_ask=to_ask)
        shared = await uow.recalls.shared(pending)
        recalls = {checksum: one.recall for checksum, one in shared.items() if one.recall}
        missing = {recall.order_id for recall in recalls.values()} - set(locked)
        if missing:
            raise AskersNotLocked(missing)
        if all(file.checksum in recalls for files in pending.values() for file in files):
            break
    return pending, shared


async def _join(uow: UnitOfWork, shares: Mapping[SubOrderId, Share]) -> None:
    """Write down what sub-orders join, and what they ask for themselves now."""
    for sub_order, mine in shares.items():
        if mine.left:
            await uow.recalls.leave(sub_order, mine.left)
    await uow.recalls.join([file for mine in shares.values() for file in mine.joined])


def _ask_again(sub_order: SubOrder) -> AskAgainStep:
    return AskAgainStep(sub_order.order_id, sub_order.id, sub_order.asks)


@dataclass(frozen=True, slots=True)
class Applied:
    """The effects that were committed for a batch of answers."""

    done: int = 0
    """SUBORDER_DONE that were sent."""
    samples: Sequence[Sample] = ()
    """Sub-orders that needed tape, and that storage has settled."""


class ApplyAvailability:
    """Settles files requested from storage; a batch without any of them costs one query.

    Sub-orders that joined the request of another one are settled with it.

    Inputs of a process are settled in the same way. The process starts once none of them is pending.

    A late answer is applied unless the order is expired or deleted (decisions.md).
    """

    def __init__(
        self,
        store: Store,
        settlement: Settlement,
        clock: Clock,
        sizes: SliceSizes = SLICE_SIZES,
    ) -> None:
        self._checksums = sizes.requested_checksums
        self._store = store
        self._settlement = settlement
        self._processing = BeginProcessing(settlement)
        self._clock = clock

    async def handle(
        self,
        tenant: Tenant,
        available: Sequence[Checksum],
        unavailable: Mapping[Checksum, str],
        askers: Mapping[Checksum, Collection[SubOrderId]] = ANYBODY,
        storage: str | None = None,
    ) -> Applied:
        """Apply a batch of answers. A checksum in both arguments counts as unavailable.

        Args:
            tenant: the tenant.
            available: checksums of available files.
            unavailable: checksums of the others, each with its reason.
            askers: the sub-orders whose requests "unavailable" answers, if the events name them. Others wait
                for the answer to their own request, because the event may be older.
            storage: the one that most of the files come from, if it is known.
        """
        checksums = sorted({*available, *unavailable})
        async with self._store.unit_of_work(tenant) as uow:
            locked = await uow.orders.lock_awaiting(checksums)
            orders = [order for order in locked if not order.status.deleted_or_expired]
            if not orders:
                return Applied()
            ids = [order.id for order in orders]
            joiners = await uow.recalls.joined(checksums, {order.id for order in locked})
            askers = _with_joiners(askers, joiners)
            cause = Cause(Reason.STORAGE_ANSWERED, "storage", self._clock.now(), storage)
            moves = await uow.files.settle_by_checksum(ids, available, unavailable, askers)
            await self._settlement.apply(uow, orders, moves, cause)
            complete = await uow.inputs.settle_by_checksum(ids, available, unavailable, askers)
            if complete:
                await self._processing.begin(uow, complete, reason=cause.reason, at=cause.at)
            await uow.recalls.forget(joiners)
            longer = _too_short(joiners, orders, set(available) - set(unavailable))
            for sub_order, wanted in longer.items():
                await uow.messages.send(
                    restore_requests(tenant, sub_order, wanted, most=self._checksums)
                )
        done = uow.messages.count_responded(ResponseStatus.SUBORDER_DONE)
        return Applied(done, uow.sub_orders.sampled)


def _with_joiners(
    askers: Mapping[Checksum, Collection[SubOrderId]], joiners: Iterable[Joiner]
) -> Mapping[Checksum, Collection[SubOrderId]]:
    """Add to the sub-orders whose requests are rejected those that have joined these requests."""
    extended = {checksum: set(named) for checksum, named in askers.items()}
    for one in joiners:
        file = one.file
        if file.asked_by in askers.get(file.checksum, ()):
            extended[file.checksum].add(file.sub_order_id)
    return extended


def _too_short(
    joiners: Iterable[Joiner], orders: Iterable[Order], available: Collection[Checksum]
) -> Mapping[SubOrderId, Mapping[int, Sequence[Checksum]]]:
    """Return available files that are needed much longer, by the sub-order that needs each longest."""
    hours = {order.id: order.sub_order_hours for order in orders}
    longest: dict[Checksum, tuple[int, SubOrderId]] = {}
    for one in joiners:
        file = one.file
        if file.asks_longer and one.order_id in hours and file.checksum in available:
            mine = hours[one.order_id], file.sub_order_id
            longest[file.checksum] = max(mine, longest.get(file.checksum, mine))
    wanted: dict[SubOrderId, dict[int, list[Checksum]]] = defaultdict(lambda: defaultdict(list))
    for checksum, (needed, sub_order) in sorted(longest.items()):
        wanted[sub_order][needed].append(checksum)
    return wanted


class Rejections:
    """The rejections of a batch of events."""

    def __init__(self) -> None:
        self.reasons: dict[Checksum, str] = {}
        self._named: dict[Checksum, set[SubOrderId]] = {}
        self._unnamed: set[Checksum] = set()

    def add(self, event: FileReferenceEvent) -> None:
        """Add an event of the type ``AVAILABILITY_ERROR``."""
        checksum = Checksum(event.checksum or "")
        self.reasons[checksum] = event.message or "Storage can't deliver it."
        groups = [asking_sub_order(group) for group in event.group_ids]
        self._named.setdefault(checksum, set()).update(one for one in groups if one is not None)
        if None in groups or not groups:
            self._unnamed.add(checksum)

    def askers(self) -> Mapping[Checksum, Collection[SubOrderId]]:
        """Return the sub-orders whose requests are rejected, of the checksums whose events all name them."""
        return {
            checksum: named
            for checksum, named in self._named.items()
            if checksum not in self._unnamed
        }


class FileReferenceHandler:
    """Applies the availability of files to the sub-orders that wait for them.

    rs-storage publishes the events of all files of the platform. Two types matter, and only for files
    that an order waits for.
    """

    def __init__(
        self,
        apply: ApplyAvailability,
        forecasts: Forecasts,
        measurements: Measurements,
        clock: Clock,
    ) -> None:
        self._apply = apply
        self._forecasts = forecasts
        self._measurements = measurements
        self._clock = clock

    async def __call__(self, tenant: Tenant, batch: Sequence[Received[FileReferenceEvent]]) -> None:
        available: set[Checksum] = set()
        rejections = Rejections()
        storages: Counter[str] = Counter()
        for received in batch:
            event = received.message
            if event.checksum and event.type == AVAILABLE:
                available.add(Checksum(event.checksum))
            elif event.checksum and event.type == AVAILABILITY_ERROR:
                rejections.add(event)
            else:
                dropped.labels(received.delivery.queue, "unused-type").inc()
                continue
            if event.origin_storage:
                storages[event.origin_storage[:LONGEST_STORAGE]] += 1
        if not available and not rejections.reasons:
            return
        arrived = self._clock.now()
        applied = await self._apply.handle(
            tenant,
            sorted(available),
            rejections.reasons,
            rejections.askers(),
            storage=max(storages, key=storages.__getitem__, default=None),
        )
        last_event = max(received.delivery.timestamp or arrived for received in batch)
        self._measurements.sub_orders_done(tenant, applied.done, last_event, self._clock.now())
        if applied.samples:
            await self._count_outcomes(tenant, applied.samples)

    async def _count_outcomes(self, tenant: Tenant, samples: Sequence[Sample]) -> None:
        """Count how the ranges of settled sub-orders came true. It reads once a minute at most."""
        hindsight = (await self._forecasts.of(tenant)).hindsight
        for sample in samples:
            at_half = hindsight.at_half(sample)
            self._measurements.estimated(tenant, sample.storage, "asked", sample.outcome)
            self._measurements.estimated(tenant, sample.storage, "half", at_half)
