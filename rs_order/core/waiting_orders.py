"""Says of orders why they wait and until when, for all that shows orders."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from rs_order.contracts.progress_bodies import ReasonDto
from rs_order.core.forecasts import Forecasts
from rs_order.core.order_watch import OrderWatch
from rs_order.core.reason_texts import Language, text_of
from rs_order.domain.expectations import (
    LONGEST_PAUSE,
    Answer,
    Expectations,
    pause_until_next_check,
)
from rs_order.domain.ids import OrderId, Tenant
from rs_order.domain.reasons import OrderFacts, WaitingReason, reasons_of
from rs_order.ports import Clock
from rs_order.store.progress import Progress


@dataclass(slots=True)  # a frozen one takes three times as long to create
class Waiting:
    """Why an unfinished order waits, and until when."""

    reason: WaitingReason
    expected: Answer
    """As far as it is known without its place in the owner's queue."""
    next_check: timedelta
    """The pause before it is worth to ask again."""


@dataclass(frozen=True, slots=True)
class WaitingOrders:
    """Reads why orders wait. All calls raise StoreUnavailable."""

    progress: Progress
    watch: OrderWatch
    forecasts: Forecasts
    clock: Clock

    async def facts(self, tenant: Tenant, order_id: OrderId) -> OrderFacts | None:
        """Return the facts of an order, or None if there is no such order."""
        found = await self.progress.facts(tenant, [order_id], self.clock.now())
        return found.get(order_id)

    async def expectations(self, tenant: Tenant) -> Expectations:
        """Return what gives expected times now. It reads once a minute at most."""
        forecast = await self.forecasts.of(tenant)
        return Expectations(forecast.outlook, self.progress.slots_per_user, self.clock.now())

    async def pause(self, tenant: Tenant, order_id: OrderId) -> timedelta:
        """Return how long to wait before it is worth to ask for a pending file of an order again."""
        found = (await self.of(tenant, [order_id])).get(order_id)
        return LONGEST_PAUSE if found is None else found.next_check

    async def of(self, tenant: Tenant, ids: Sequence[OrderId]) -> dict[OrderId, Waiting]:
        """Return why orders wait that aren't finished: one statement for any number of them."""
        if not ids:
            return {}
        expectations = await self.expectations(tenant)
        found = await self.progress.facts(tenant, ids, expectations.now)
        return {
            order_id: waiting(facts, expectations)
            for order_id, facts in found.items()
            if facts.unfinished
        }


def waiting(facts: OrderFacts, expectations: Expectations) -> Waiting:
    """Return why an unfinished order with these facts waits."""
    reason = reasons_of(facts, expectations.slots_per_user).reason
    expected = expectations.of_order(facts)
    return Waiting(reason, expected, pause_until_next_check(reason, expected, expectations))


def reason_document(
    reason: WaitingReason, next_check: datetime | None, language: Language
) -> ReasonDto:
    """Return a reason as its owner sees it. ``next_check``: when it is worth to ask again; None: never."""
    meaning = reason.meaning
    return ReasonDto(
        code=reason.code,
        text=text_of(reason, language),
        since=reason.since,
        sub_orders=reason.sub_orders,
        actor=meaning.actor,
        your_turn=meaning.your_turn,
        next_check=next_check,
    )
