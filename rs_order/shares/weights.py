"""Shows the queue for capacity, and shows and changes weights (waiting.md T2, T3)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from rs_order.core.capacity_queue import capacity_queue
from rs_order.core.errors import WeightRejected
from rs_order.core.operator_reasons import checked_reason
from rs_order.core.policies import SlotLimits
from rs_order.domain.identity import INSTANCE
from rs_order.domain.ids import Tenant
from rs_order.domain.shares import HEAVIEST, LIGHTEST, CapacityQueue, Share, ShareKind
from rs_order.ports import Clock
from rs_order.store.audit import AuditAction, AuditActor, AuditEntry
from rs_order.store.unit_of_work import Store, UnitOfWork

MOST_USERS: Final = 1000
"""The users whose shares are listed."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class NewWeight:
    """A weight to be set."""

    tenant: Tenant
    kind: ShareKind
    name: str
    weight: float | None
    """None: the default."""

    @classmethod
    def of(
        cls, tenant: Tenant, *, user: str | None, role: str | None, weight: float | None
    ) -> "NewWeight":
        """Return the weight of a user, of a role, or of the tenant if neither is named.

        Raises:
            WeightRejected: it is out of range, or both a user and a role are named.
        """
        if user is not None and role is not None:
            raise WeightRejected(
                "A weight is of a user or of a role, not both", code="weight-of-two"
            )
        if weight is not None and not LIGHTEST <= weight <= HEAVIEST:
            raise WeightRejected(
                f"A weight is from {LIGHTEST} to {HEAVIEST:.0f}", code="weight-out-of-range"
            )
        if user is not None:
            return cls(tenant, ShareKind.USER, user, weight)
        if role is not None:
            return cls(tenant, ShareKind.ROLE, role, weight)
        return cls(tenant, ShareKind.TENANT, tenant, weight)


class ManageShares:
    """Shows the queue for capacity, and shows and changes weights."""

    def __init__(self, store: Store, clock: Clock, limits: SlotLimits) -> None:
        self._store = store
        self._clock = clock
        self._limits = limits

    async def queue(self) -> CapacityQueue:
        """Return the queue of all tenants."""
        async with self._store.preview(INSTANCE) as uow:
            return await capacity_queue(uow, self._limits)

    async def preview(self, new: NewWeight) -> CapacityQueue:
        """Return the queue of all tenants as it would be with a weight. Nothing is changed."""
        async with self._store.preview(new.tenant) as uow:
            await self._set(uow, new)
            return await capacity_queue(uow, self._limits)

    async def list(self, tenant: Tenant) -> Sequence[Share]:
        """Return the weights and recent uses of a tenant."""
        now, half_life = self._clock.now(), self._limits.half_life
        async with self._store.unit_of_work(tenant) as uow:
            return await uow.shares.list(now, half_life, users=MOST_USERS)

    async def change(self, new: NewWeight, *, reason: str, by: AuditActor) -> None:
        """Set a weight. From then on it decides in every instance who is woken next.

        Raises:
            ReasonRejected: there is no reason, or it is too long.
        """
        wanted = checked_reason(reason)
        async with self._store.unit_of_work(new.tenant) as uow:
            await uow.capacity.lock()
            before = await self._set(uow, new)
            if before != new.weight:
                await uow.audit(_entry(new, before, wanted, by))
        share = f"{new.kind} {new.name}"
        log.info("weight-changed", tenant=new.tenant, share=share, weight=new.weight, user=by.name)

    async def _set(self, uow: UnitOfWork, new: NewWeight) -> float | None:
        """Set a weight and return the one before."""
        before = await uow.shares.weight(new.kind, new.name)
        await uow.shares.set_weight(new.kind, new.name, new.weight, self._clock.now())
        return before


def _entry(new: NewWeight, before: float | None, reason: str, by: AuditActor) -> AuditEntry:
    return AuditEntry(
        action=AuditAction.WEIGHT_CHANGED,
        by=by,
        tenant=new.tenant,
        object_id=f"{new.kind} {new.name}",
        before=before,
        after=new.weight,
        reason=reason,
    )
