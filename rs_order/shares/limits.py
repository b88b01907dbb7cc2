"""Shows and changes the limits of what is in flight at storage (waiting.md T1)."""

from dataclasses import dataclass

import structlog

from rs_order.core.capacity_queue import capacity_queue
from rs_order.core.errors import LimitRejected
from rs_order.core.operator_reasons import checked_reason
from rs_order.core.policies import SlotLimits
from rs_order.core.shared_steps import ScheduleStep
from rs_order.domain.ids import Tenant
from rs_order.domain.shares import MOST, NOTHING, Amount, CapacityQueue, LimitKind, Limits
from rs_order.store.audit import AuditAction, AuditActor, AuditEntry
from rs_order.store.unit_of_work import Store, UnitOfWork

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class NewLimit:
    """A limit to be set, of a tenant or of each of its users."""

    tenant: Tenant
    kind: LimitKind
    limit: Amount
    """0: none."""

    @classmethod
    def of(cls, tenant: Tenant, kind: LimitKind, limit: Amount) -> "NewLimit":
        """Return a limit that may be set.

        Raises:
            LimitRejected: it is out of range.
        """
        if any(not 0 <= one <= MOST for one in (limit.sub_orders, limit.files, limit.bytes)):
            raise LimitRejected(MOST)
        return cls(tenant, kind, limit)


class ManageLimits:
    """Shows and changes the limits of tenants. Those of the service are settings."""

    def __init__(self, store: Store, limits: SlotLimits) -> None:
        self._store = store
        self._limits = limits

    async def show(self, tenant: Tenant) -> Limits:
        """Return the limits that concern a tenant."""
        async with self._store.unit_of_work(tenant) as uow:
            found = await uow.shares.limits()
            claims = await uow.capacity.counted_claims(owner="")
        return Limits(
            tenant,
            self._limits.of_service,
            found.get(LimitKind.TENANT, NOTHING),
            found.get(LimitKind.USER, NOTHING),
            None if claims is None else claims.tenant.taken,
        )

    async def preview(self, new: NewLimit) -> CapacityQueue:
        """Return the queue of all tenants as it would be with a limit. Nothing is changed."""
        async with self._store.preview(new.tenant) as uow:
            await uow.shares.set_limit(new.kind, new.limit)
            return await capacity_queue(uow, self._limits)

    async def change(self, new: NewLimit, *, reason: str, by: AuditActor) -> None:
        """Set a limit. Each pass in any instance either ends before, or keeps it.

        What runs goes on, even if it is more than the limit. Owners whom the limit before kept waiting
        are scheduled.

        Raises:
            ReasonRejected: there is no reason, or it is too long.
        """
        wanted = checked_reason(reason)
        async with self._store.unit_of_work(new.tenant) as uow:
            await uow.holds.lock()
            await uow.capacity.lock()
            before = (await uow.shares.limits()).get(new.kind, NOTHING)
            if before == new.limit:
                return
            await uow.shares.set_limit(new.kind, new.limit)
            await uow.audit(_entry(new, before, wanted, by))
            await _schedule_all(uow)
        log.info(
            "limit-changed", tenant=new.tenant, kind=new.kind, user=by.name, **_shown(new.limit)
        )


async def _schedule_all(uow: UnitOfWork) -> None:
    owners = await uow.sub_orders.owners_ready()
    await uow.messages.send([ScheduleStep(owner).to(uow.tenant) for owner in owners])


def _entry(new: NewLimit, before: Amount, reason: str, by: AuditActor) -> AuditEntry:
    return AuditEntry(
        action=AuditAction.LIMIT_CHANGED,
        by=by,
        tenant=new.tenant,
        object_id=new.kind,
        before=_shown(before),
        after=_shown(new.limit),
        reason=reason,
    )


def _shown(limit: Amount) -> dict[str, int]:
    return {"subOrders": limit.sub_orders, "files": limit.files, "bytes": limit.bytes}
