"""Begins and ends holds. What storage was asked for goes on, and no status changes (waiting.md T3)."""

from datetime import datetime

import structlog

from rs_order.core.capacity_queue import capacity_queue
from rs_order.core.errors import HoldRejected, NothingToHold, UnknownHold
from rs_order.core.operator_reasons import checked_reason
from rs_order.core.policies import SlotLimits
from rs_order.core.settlement import schedule_following, wake_next_waiters
from rs_order.core.shared_steps import EndHoldStep, ScheduleStep
from rs_order.domain.holds import HeldThing, Hold
from rs_order.domain.ids import Tenant
from rs_order.domain.instants import wire_instant
from rs_order.domain.shares import CapacityQueue
from rs_order.ports import Clock
from rs_order.store.audit import AuditAction, AuditActor, AuditEntry
from rs_order.store.unit_of_work import Store, UnitOfWork

log = structlog.get_logger(__name__)


class HoldWork:
    """Begins and ends holds, and schedules the owners who waited when one ends."""

    def __init__(self, store: Store, clock: Clock, limits: SlotLimits) -> None:
        self._store = store
        self._clock = clock
        self._limits = limits

    async def begin(self, held: HeldThing, *, reason: str, until: datetime, by: AuditActor) -> Hold:
        """Hold a tenant, a user or an order, in every instance as soon as this returns.

        Raises:
            HoldRejected: the end isn't in the future, or both a user and an order are named.
            ReasonRejected: there is no reason, or it is too long.
            NothingToHold: the user or the order doesn't exist.
        """
        now = self._clock.now()
        wanted = _checked(held, reason, until, now)
        async with self._store.unit_of_work(held.tenant) as uow:
            await uow.holds.lock()
            if not await uow.holds.exists(held):
                raise NothingToHold(held)
            hold = await uow.holds.add(held, wanted, by.name, now, until)
            await uow.messages.send([EndHoldStep(hold.id).to(held.tenant, until)])
            await self._start_following(uow, held)
            await uow.audit(_entry(AuditAction.HOLD_BEGUN, hold, by, wanted))
        log.info("hold-begun", tenant=held.tenant, hold=hold.id, held=str(held), user=by.name)
        return hold

    async def _start_following(self, uow: UnitOfWork, held: HeldThing) -> None:
        """Let those start who waited only because what is held now was to start before them."""
        if held.order_id is not None:
            owner = await uow.holds.owner_of(held.order_id)
            await schedule_following(uow, [owner] if owner is not None else [])
        elif await uow.capacity.is_counted():
            await uow.capacity.lock()
            await uow.capacity.renew_blocked()
            await wake_next_waiters(uow, self._limits)

    async def preview(self, held: HeldThing, *, reason: str, until: datetime) -> CapacityQueue:
        """Return who would start next if there were a hold. Nothing is changed.

        Raises:
            HoldRejected, ReasonRejected, NothingToHold: as of ``begin``.
        """
        now = self._clock.now()
        wanted = _checked(held, reason, until, now)
        async with self._store.preview(held.tenant) as uow:
            if not await uow.holds.exists(held):
                raise NothingToHold(held)
            await uow.holds.add(held, wanted, "", now, until)
            return await capacity_queue(uow, self._limits)

    async def end(
        self, tenant: Tenant, hold_id: int, *, reason: str | None, by: AuditActor
    ) -> Hold:
        """End a hold of a tenant before its time, and return it.

        Raises:
            UnknownHold: there is none with this id; it may have ended.
            ReasonRejected: the reason is empty or too long.
        """
        wanted = None if reason is None else checked_reason(reason)
        async with self._store.unit_of_work(tenant) as uow:
            hold = await uow.holds.end(hold_id)
            if hold is None:
                raise UnknownHold(hold_id)
            await _schedule_owners(uow, hold.held)
            await uow.audit(_entry(AuditAction.HOLD_ENDED, hold, by, wanted))
        log.info("hold-ended", tenant=tenant, hold=hold_id, held=str(hold.held), user=by.name)
        return hold

    async def end_in_time(self, tenant: Tenant, step: EndHoldStep) -> None:
        """End a hold whose end has passed. Handling the step twice does no harm."""
        async with self._store.unit_of_work(tenant) as uow:
            hold = await uow.holds.end(step.hold_id, due=self._clock.now())
            if hold is None:
                return
            await _schedule_owners(uow, hold.held)
        log.info("hold-ended", tenant=tenant, hold=hold.id, held=str(hold.held), user=None)


def _checked(held: HeldThing, reason: str, until: datetime, now: datetime) -> str:
    """Return the reason of a hold that keeps the rules.

    Raises:
        HoldRejected: the end isn't in the future, or both a user and an order are named.
        ReasonRejected: there is no reason, or it is too long.
    """
    if held.owner is not None and held.order_id is not None:
        raise HoldRejected("A hold is of a user or of an order, not both", code="hold-of-two")
    if until <= now:
        raise HoldRejected("The end of a hold must be in the future", code="hold-has-ended")
    return checked_reason(reason)


async def _schedule_owners(uow: UnitOfWork, held: HeldThing) -> None:
    """Schedule the owners that a hold kept waiting."""
    if held.order_id is not None:
        owner = await uow.holds.owner_of(held.order_id)
        owners = [] if owner is None else [owner]
    elif held.owner is not None:
        owners = [held.owner]
    else:
        owners = await uow.sub_orders.owners_ready()
    await uow.messages.send([ScheduleStep(owner).to(uow.tenant) for owner in owners])


def _entry(action: AuditAction, hold: Hold, by: AuditActor, reason: str | None) -> AuditEntry:
    """Return the entry of the audit about a hold that begins or ends."""
    held = {
        "user": hold.held.owner,
        "orderId": hold.held.order_id,
        "reason": hold.reason,
        "until": wire_instant(hold.until),
    }
    shown = {name: value for name, value in held.items() if value is not None}
    begins = action is AuditAction.HOLD_BEGUN
    return AuditEntry(
        action=action,
        by=by,
        tenant=hold.held.tenant,
        object_id=str(hold.id),
        before=None if begins else shown,
        after=shown if begins else None,
        reason=reason,
    )
