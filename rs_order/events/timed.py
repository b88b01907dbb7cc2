"""Writes the events of orders that come with time (faces.md E-1).

Each run of the reconciler checks the orders that are due by then, a slice in one transaction. So there is no
timer for an order, and nothing is lost when a process ends.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import orjson

from rs_order.core.reason_texts import Language
from rs_order.core.shared_steps import TimedEventsStep
from rs_order.core.waiting_orders import Waiting, WaitingOrders, reason_document, waiting
from rs_order.domain.events import EventType
from rs_order.domain.ids import OrderId, Tenant
from rs_order.domain.instants import wire_instant
from rs_order.domain.order import Order
from rs_order.domain.reasons import OrderFacts
from rs_order.domain.states import FileState
from rs_order.domain.timed_events import Check, check
from rs_order.ports import Clock
from rs_order.store.timed_events import FailedFile
from rs_order.store.unit_of_work import Store, UnitOfWork

SLICE: Final = 200
"""Orders that one transaction checks."""
MOST_FILES: Final = 100
"""The most files that an event names."""
MOST_BYTES: Final = 15_000
"""The most bytes of them as JSON, since an event has 20 KiB at most."""


class WriteTimedEvents:
    """Checks the orders that are due."""

    def __init__(
        self, store: Store, orders: WaitingOrders, clock: Clock, *, warned: timedelta
    ) -> None:
        """``warned``: the time before its expiry at which an order has its first warning."""
        self._store = store
        self._orders = orders
        self._clock = clock
        self._warned = warned

    async def handle(self, tenant: Tenant, step: TimedEventsStep) -> None:
        """Check a slice of the orders that are due, and send the step again if there may be more."""
        now = self._clock.now()
        async with self._store.unit_of_work(tenant) as uow:
            due = await uow.timed_events.due(now, SLICE)
        if not due:
            return
        expectations = await self._orders.expectations(tenant)
        facts = await self._orders.progress.facts(tenant, due, now)
        async with self._store.unit_of_work(tenant) as uow:
            orders = await uow.orders.lock(due, filling=False)
            waits = {
                order.id: waiting(facts[order.id], expectations)
                for order in orders
                if order.status.unfinished and _is_true(order, facts.get(order.id))
            }
            checks = await self._check(uow, orders, waits, now)
            await uow.orders.save([order for order in orders if order.events], now)
            await uow.timed_events.save(checks)
            if len(due) == SLICE:
                await uow.messages.send([step.to(tenant)])

    async def _check(
        self,
        uow: UnitOfWork,
        orders: Sequence[Order],
        waits: dict[OrderId, Waiting],
        now: datetime,
    ) -> dict[OrderId, Check]:
        """Check the orders that nobody checked meanwhile, and note their events."""
        last = await uow.timed_events.last_checks([order.id for order in orders], now)
        orders = [order for order in orders if order.id in last]
        checks = {
            order.id: check(
                order,
                waits[order.id].reason if order.id in waits else None,
                last[order.id],
                now,
                self._warned,
            )
            for order in orders
        }
        failed = [id_ for id_, one in checks.items() if one.failed]
        files = await uow.timed_events.failed_files(failed, MOST_FILES) if failed else {}
        for order in orders:
            _note(order, checks[order.id], waits.get(order.id), files.get(order.id, ()), now)
        return checks


def _is_true(order: Order, facts: OrderFacts | None) -> bool:
    """True if the order is as it was when its facts were read."""
    return (
        facts is not None
        and facts.status is order.status
        and facts.pending_files == order.counters.pending
        and facts.available_files == order.counters.available
    )


def _note(
    order: Order,
    found: Check,
    waits: Waiting | None,
    failed: Sequence[FailedFile],
    now: datetime,
) -> None:
    if found.failed:
        order.note(EventType.FILES_FAILED, count=found.failed, failedFiles=_named(failed))
    if found.waits and waits is not None:
        reason = reason_document(waits.reason, now + waits.next_check, Language.ENGLISH)
        order.note(EventType.ORDER_WAITING, reason=reason.to_wire())
    if found.expires and order.expires_at is not None:
        size = order.counters.bytes[FileState.AVAILABLE]
        order.note(EventType.ORDER_EXPIRING, expires=wire_instant(order.expires_at), bytes=size)


def _named(files: Sequence[FailedFile]) -> list[dict[str, Any]]:
    """Return files as an event has them, as many as fit."""
    named: list[dict[str, Any]] = []
    left = MOST_BYTES
    for file in files:
        entry = {"fileId": file.id, "name": file.name, "code": file.code}
        left -= len(orjson.dumps(entry)) + 1
        if left < 0:
            break
        named.append(entry)
    return named
