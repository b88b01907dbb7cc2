"""Begins quotes, within the limits of users and tenants (faces.md Q-8)."""

import asyncio
from datetime import datetime, timedelta
from typing import Final

from rs_order.contracts.order_messages import OrderRequest
from rs_order.core.errors import InvalidInput, TooManyQuotes
from rs_order.core.reconciliations import begin_reconciling
from rs_order.core.shared_steps import MakeQuoteStep
from rs_order.domain.identity import Caller
from rs_order.domain.quotes import MOST_AT_WORK, MOST_PER_HOUR
from rs_order.ports import Clock
from rs_order.requests.accept import MAX_USER, violations
from rs_order.store.quotes import StoredQuote
from rs_order.store.unit_of_work import Store, UnitOfWork

WAIT_AT_WORK: Final = timedelta(seconds=30)
"""The pause before a quote is requested again, while too many are at work."""


class BeginQuotes:
    """Stores quotes that steps make. It calls no other service."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def begin(
        self, caller: Caller, request: OrderRequest | None, *, due: datetime | None = None
    ) -> StoredQuote:
        """Store a quote that steps make, from ``due`` on, and return it.

        Args:
            caller: the owner.
            request: an order request; None: the caller's basket.
            due: when the first step is due; None: now.

        Raises:
            InvalidInput: the request breaks rules of rest.md 4.3; one message for each.
            TooManyQuotes: a limit of the user or of the tenant is reached.
        """
        owner, now = caller.email[:MAX_USER], self._clock.now()
        if request is not None:
            checked = request.model_copy(update={"user": request.user or owner})
            broken = await asyncio.to_thread(violations, checked)
            if broken:
                raise InvalidInput(*(violation.sentence for violation in broken))
        async with self._store.unit_of_work(caller.tenant) as uow:
            await _require_limits(uow, owner, now)
            wire = None if request is None else request.to_wire()
            quote = await uow.quotes.begin(owner, caller.role, now, wire)
            await uow.messages.send([MakeQuoteStep(quote.id, 0).to(uow.tenant, due)])
            await begin_reconciling(uow, now)
        return quote


async def _require_limits(uow: UnitOfWork, owner: str, now: datetime) -> None:
    """Check that one more quote of the owner, and of the tenant, may begin.

    Raises:
        TooManyQuotes: it may not.
    """
    limits = await uow.quotes.limits(owner, now)
    if limits.first_at is not None and limits.of_owner >= MOST_PER_HOUR:
        pause = limits.first_at + timedelta(hours=1) - now
        raise TooManyQuotes(f"You requested {limits.of_owner} quotes within an hour", pause)
    if limits.at_work >= MOST_AT_WORK:
        raise TooManyQuotes(f"{limits.at_work} quotes of the project are at work", WAIT_AT_WORK)
