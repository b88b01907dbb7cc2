"""Applies moves of files to sub-orders and orders: counters, states, responses, new expiry dates.

Only this module decides that a sub-order is ready or that an order has ended, whichever feature moved the
files.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from rs_order.core import responses
from rs_order.core.links import DownloadLinks, Links
from rs_order.core.policies import SlotLimits
from rs_order.core.responses import Response
from rs_order.core.shared_steps import ExpireOrderStep, ScheduleStep
from rs_order.domain.estimates import ONLINE, Sample
from rs_order.domain.events import EventType, passed_thresholds
from rs_order.domain.ids import OrderId, SubOrderId
from rs_order.domain.moves import Reason
from rs_order.domain.order import Order, expiration
from rs_order.domain.shares import Room
from rs_order.domain.states import FileMove, FileState, SubOrderKind, SubOrderState
from rs_order.domain.sub_order import SubOrder
from rs_order.domain.throughput import throughput_of
from rs_order.store.unit_of_work import UnitOfWork

MOST_WOKEN: Final = 100
"""Owners who are woken at the same time. Their passes wake the next ones."""


async def wake_next_waiters(uow: UnitOfWork, limits: SlotLimits) -> None:
    """Promise the free capacity to owners who wait, one sub-order each, and schedule them.

    All free capacity is counted, and not only what was just released. This makes up for capacity that
    its owner didn't need.
    """
    await uow.capacity.lock()
    claims = await uow.capacity.claims(owner="")
    free = limits.service - claims.taken.sub_orders if limits.service else MOST_WOKEN
    if free > 0 and claims.others_wait:
        room = Room(limits.of_service, claims.taken)
        waiters = await uow.capacity.next_waiters(min(free, MOST_WOKEN), room)
        await uow.messages.send([ScheduleStep(owner).to(tenant) for tenant, owner in waiters])


async def schedule_following(uow: UnitOfWork, owners: Iterable[str]) -> None:
    """Schedule owners whose next sub-order may have left the queue, or asks storage for less than before.

    Under a limit of files or bytes, a large sub-order keeps smaller ones behind it waiting: they may fit now.
    While nothing is limited, nothing waits for that.
    """
    if await uow.capacity.is_counted():
        await uow.messages.send([ScheduleStep(owner).to(uow.tenant) for owner in sorted(owners)])


async def renew_expiration(
    uow: UnitOfWork, order: Order, *, storage_sub_orders: int, now: datetime
) -> None:
    """Set the expiry date that the new sub-orders need; the caller saves the order."""
    settings = await uow.settings()
    order.expires_at = expiration(
        now,
        storage_sub_orders=storage_sub_orders,
        sub_order_hours=settings.user_sub_order_hours,
        max_hours=settings.expiration_max_hours,
    )
    await uow.messages.send([ExpireOrderStep(order.id).to(uow.tenant, order.expires_at)])


async def announce(
    uow: UnitOfWork, links: Links, complete: Iterable[tuple[Order, Sequence[SubOrder]]]
) -> None:
    """Announce slices of orders' sub-orders that are complete at once, and the ends of final orders.

    The end, if the order has just come to it, is the last of its events. The caller saves the orders.
    """
    of_orders = await links.within(uow)
    announcements: list[Response] = []
    for order, sub_orders in complete:
        link = of_orders.of(order.id)
        end = [order.events.pop()] if order.status.final else []
        _note_ready(order, sub_orders)
        order.events += end
        announcements += [
            responses.sub_order_done(uow.tenant, order, sub_order, link) for sub_order in sub_orders
        ]
        if order.status.final:
            announcements.append(responses.order_ended(uow.tenant, order, link))
    await uow.messages.respond(announcements)


@dataclass(frozen=True, slots=True)
class Cause:
    """The reason, actor and time of changes of files, for the history."""

    reason: Reason
    """Stable code."""
    actor: str
    """The e-mail of a user, or the name of a service."""
    at: datetime
    storage: str | None = None
    """The storage that sent the events, if it was one."""


class Settlement:
    """Derives the state of sub-orders and orders from their files, inside the caller's unit of work."""

    def __init__(self, limits: SlotLimits, links: Links) -> None:
        self._limits = limits
        self._links = links

    async def apply(
        self,
        uow: UnitOfWork,
        orders: Sequence[Order],
        moves: Sequence[FileMove],
        cause: Cause,
    ) -> None:
        """Apply changes of files of locked orders, save the orders and sub-orders, and notify peers."""
        if not moves:
            return
        uow.throughput += throughput_of(moves, cause.reason)
        sub_orders = await uow.sub_orders.load(sorted({move.sub_order_id for move in moves}))
        changes = [_Change(sub_order) for sub_order in sub_orders]
        apply_moves(sub_orders, moves)
        for change in changes:
            change.downloadable = change.sub_order.settle(reason=cause.reason)
        moved = _by_order(moves)
        touched = [order for order in orders if order.id in moved]
        of_order: dict[OrderId, list[_Change]] = defaultdict(list)
        for change in changes:
            of_order[change.sub_order.order_id].append(change)
        announcements: list[Response] = []
        links = await self._links.within(uow)
        for order in touched:
            announcements += _apply_to_order(
                uow, order, moved[order.id], of_order[order.id], cause=cause, links=links
            )
        for order in touched:
            if _is_late(moved[order.id]) and order.needs_new_expiry(cause.at):
                await renew_expiration(uow, order, storage_sub_orders=0, now=cause.at)
        samples = [sample for change in changes if (sample := _sample(change, cause))]
        await uow.sub_orders.save(sub_orders, cause.at, samples)
        await uow.orders.save(touched, cause.at)
        await uow.messages.respond(announcements)
        await self._free_slots(uow, changes)

    async def settle_recounted(
        self,
        uow: UnitOfWork,
        order: Order,
        sub_orders: Sequence[SubOrder],
        cause: Cause,
    ) -> None:
        """Settle an order whose sub-orders have corrected counters; the caller saves the order."""
        changes = [_Change(sub_order) for sub_order in sub_orders]
        for change in changes:
            change.downloadable = change.sub_order.settle(reason=cause.reason)
        await uow.sub_orders.save(sub_orders, cause.at)
        totals = await uow.reconciliation.add_up(order.id)
        order.counters, order.sub_orders = totals.counters, totals.sub_orders
        order.waiting_sub_orders = totals.waiting
        links = await self._links.within(uow)
        await uow.messages.respond(
            _announcements(uow, order, [], changes, cause=cause, links=links)
        )
        await self._free_slots(uow, changes)

    async def _free_slots(self, uow: UnitOfWork, changes: Sequence["_Change"]) -> None:
        # Without a limit nothing waits for a slot: a pass starts all that is ready, or writes the next pass.
        freed = changes if self._limits.per_user else ()
        owners = {change.sub_order.owner for change in freed if change.freed_slot}
        stopped = [change.sub_order for change in changes if change.stopped_running]
        if await self.release_capacity(uow, [one.id for one in stopped]):
            owners |= {one.owner for one in stopped}
        await uow.messages.send([ScheduleStep(owner).to(uow.tenant) for owner in sorted(owners)])
        shortened = {change.sub_order.owner for change in changes if change.was_ready} - owners
        if shortened:
            await schedule_following(uow, shortened)

    async def release_capacity(self, uow: UnitOfWork, ended: Sequence[SubOrderId]) -> bool:
        """Release the capacity of sub-orders that no longer run, and wake the next waiters of any tenant.

        Return whether their owners may wait for it themselves, because each user of the tenant has limits.
        """
        if not ended:
            return False
        if self._limits.limited:
            # Otherwise a pass that finds no capacity could begin to wait just after this check.
            await uow.capacity.lock()
        released = await uow.capacity.release(ended)
        if self._limits.limited or released.counted:
            await wake_next_waiters(uow, self._limits)
        return released.users_are_limited


class _Change:
    """Compares a sub-order before and after a settlement."""

    def __init__(self, sub_order: SubOrder) -> None:
        self.sub_order = sub_order
        self.downloadable = False
        """True once the settlement has made the sub-order downloadable."""
        self._before = sub_order.state
        self._took_slot = sub_order.takes_slot

    @property
    def waiting(self) -> int:
        """Return the change of the order's count of waiting sub-orders: -1, 0 or 1."""
        return self.sub_order.waiting_for_user - (self._before is SubOrderState.WAITING)

    @property
    def was_ready(self) -> bool:
        return self._before is SubOrderState.READY

    @property
    def freed_slot(self) -> bool:
        return self._took_slot and not self.sub_order.takes_slot

    @property
    def stopped_running(self) -> bool:
        ran = self._before is SubOrderState.RUNNING
        return ran and self.sub_order.state is not SubOrderState.RUNNING


def _sample(change: _Change, cause: Cause) -> Sample | None:
    """Return the sample of a sub-order that storage has just settled, if it needed tape (faces.md Y-6).

    One that joined requests of others has none: storage was asked before it.
    """
    sub_order = change.sub_order
    alone = sub_order.kind is SubOrderKind.STORAGE and not sub_order.joined_files
    asked = sub_order.asked_at if alone else None
    if not asked or not change.stopped_running or cause.reason is not Reason.STORAGE_ANSWERED:
        return None
    sample = Sample(
        asked_at=asked,
        settled_at=cause.at,
        bytes=sub_order.counters.total_bytes,
        guess=sub_order.guess,
        expected=sub_order.expected,
        files=sub_order.counters.total_files,
        storage=cause.storage,
    )
    return sample if sample.took >= ONLINE else None


def _apply_to_order(
    uow: UnitOfWork,
    order: Order,
    moves: Sequence[FileMove],
    changes: Sequence[_Change],
    *,
    cause: Cause,
    links: DownloadLinks,
) -> list[Response]:
    """Update counters and status of one order; return the responses in the order of their causes."""
    before = order.percent
    order.counters.apply(moves)
    for threshold in passed_thresholds(before, order.percent):
        order.note(EventType.ORDER_PROGRESS, threshold=threshold)
    order.waiting_sub_orders += sum(change.waiting for change in changes)
    return _announcements(uow, order, moves, changes, cause=cause, links=links)


def _announcements(
    uow: UnitOfWork,
    order: Order,
    moves: Sequence[FileMove],
    changes: Sequence[_Change],
    *,
    cause: Cause,
    links: DownloadLinks,
) -> list[Response]:
    """Derive the status of an order from its counters, and return the responses; its end comes last."""
    link = links.of(order.id)
    ready = [change.sub_order for change in changes if change.downloadable]
    _note_ready(order, ready)
    announcements = [responses.sub_order_done(uow.tenant, order, one, link) for one in ready]
    if _ends(order, moves, cause):
        announcements.append(responses.order_ended(uow.tenant, order, link))
    order.apply_download_errors()
    if _is_all_downloaded(order, moves):
        order.note(EventType.ORDER_DOWNLOADED)
    return announcements


def _note_ready(order: Order, ready: Iterable[SubOrder]) -> None:
    """Add an event for each sub-order whose files can be downloaded."""
    for one in ready:
        order.note(
            EventType.SUB_ORDER_READY,
            subOrderId=one.id,
            subOrderFiles=one.counters.total_files,
            subOrderBytes=one.counters.total_bytes,
            subOrderFailed=one.counters.errors,
            totalSubOrders=order.sub_orders,
        )


def _is_all_downloaded(order: Order, moves: Iterable[FileMove]) -> bool:
    """True if the last file that could be delivered was delivered now."""
    left = order.counters.pending or order.counters.available
    failed = order.counters.files[FileState.DOWNLOAD_ERROR]
    now = any(move.after is FileState.DOWNLOADED for move in moves)
    return now and not left and not failed


def apply_moves(sub_orders: Iterable[SubOrder], moves: Iterable[FileMove]) -> None:
    """Apply moves of files to the counters of their sub-orders."""
    by_id = {sub_order.id: sub_order for sub_order in sub_orders}
    for move in moves:
        by_id[move.sub_order_id].counters.apply([move])


def _by_order(moves: Iterable[FileMove]) -> dict[OrderId, list[FileMove]]:
    grouped: dict[OrderId, list[FileMove]] = defaultdict(list)
    for move in moves:
        grouped[move.order_id].append(move)
    return grouped


def _ends(order: Order, moves: Iterable[FileMove], cause: Cause) -> bool:
    """True if the order ends, or if its final status, announced before, improves.

    A download settles no file, so it never ends an order.
    """
    if cause.reason is Reason.DOWNLOADED:
        return False
    if order.settle(reason=cause.reason, actor=cause.actor):
        return True
    return _is_late(moves) and order.improve(reason=cause.reason, actor=cause.actor)


def _is_late(moves: Iterable[FileMove]) -> bool:
    """True if files arrive that had failed before."""
    return any(move.before.failed for move in moves)
