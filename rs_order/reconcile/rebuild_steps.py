"""Writes steps again that the broker lost, for all work that is stalled according to the tables.

A step is either a row of the outbox or a message of the broker, and purging a queue loses its messages. Work
that hasn't moved for the time of a run gets its step again. If the first step wasn't lost, the second does
nothing.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import structlog

from rs_order.actions.retry_order import RetryOrderStep
from rs_order.core.policies import SlotLimits
from rs_order.core.shared_steps import (
    CompleteOrderStep,
    ExpireOrderStep,
    GrantRequestsStep,
    ScheduleStep,
    StartProcessingStep,
)
from rs_order.core.steps import Step
from rs_order.domain.ids import MailId, OrderId, RequestId, Tenant
from rs_order.domain.states import SubOrderState
from rs_order.mails.send import SendMailStep
from rs_order.ports import Clock
from rs_order.processing.results import GiveUpResultsStep
from rs_order.scheduling.restoration import AskAgainStep
from rs_order.store.reconciliation import OverdueSubOrder
from rs_order.store.unit_of_work import Store, UnitOfWork

PAGE = 500
"""Items that one transaction checks."""

log = structlog.get_logger(__name__)


class Part(StrEnum):
    """The kinds of work that may be stalled, in the order in which they are checked."""

    REQUESTS = "requests"
    COMPLETIONS = "completions"
    RETRIES = "retries"
    OWNERS = "owners"
    """Owners of ready sub-orders."""
    SUB_ORDERS = "sub-orders"
    """Sub-orders that run or are processed."""
    EXPIRIES = "expiries"
    MAILS = "mails"


@dataclass(frozen=True)
class RebuildPageStep(Step, name="rebuild-steps"):
    """Check a page of a part, and write the steps again that were lost."""

    part: Part
    after: int | str | None = None
    """The last id or owner of the page before; None in the first page of a part."""


@dataclass(frozen=True, slots=True)
class _Page:
    """The result of the check of a page."""

    lost: Sequence[Step]
    after: int | str | None = None
    """The last id or owner, if there may be another page."""


class RebuildSteps:
    """Checks all parts, page by page."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        limits: SlotLimits,
        count: Callable[[str, int], None],
        *,
        every: timedelta,
    ) -> None:
        """``count``: is called with the name and the number of lost steps.

        ``every``: time without progress after which work is stalled.
        """
        self._store = store
        self._clock = clock
        self._slots = limits.per_user
        self._count = count
        self._every = every

    async def handle(self, tenant: Tenant, step: RebuildPageStep) -> None:
        """Check a page of a part, then the following parts up to the first with more than one page."""
        parts, after = list(Part), step.after
        for part in parts[parts.index(step.part) :]:
            async with self._store.unit_of_work(tenant) as uow:
                page = await self._check(uow, part, after)
                await uow.messages.send([lost.to(tenant) for lost in page.lost])
                if page.after is not None:
                    await uow.messages.send([RebuildPageStep(part, page.after).to(tenant)])
            self._report(tenant, page.lost)
            if page.after is not None:
                return
            after = None

    async def _check(self, uow: UnitOfWork, part: Part, after: int | str | None) -> _Page:
        before = self._clock.now() - self._every
        if part is Part.OWNERS:
            return await _owners(uow, str(after or ""), self._slots)
        if part is Part.SUB_ORDERS:
            return await _sub_orders(uow, before, self._clock.now())
        return await _BY_ID[part](uow, before, int(after or 0))

    def _report(self, tenant: Tenant, lost: Sequence[Step]) -> None:
        written = Counter(step.name for step in lost)
        for name, number in written.items():
            self._count(name, number)
            log.warning("steps-written-again", tenant=tenant, step=name, steps=number)


async def _requests(uow: UnitOfWork, before: datetime, after: int) -> _Page:
    ids = await uow.reconciliation.stalled_requests(before, RequestId(after), PAGE)
    lost = [GrantRequestsStep(tuple(ids))] if ids else []
    return _Page(lost, _last(ids))


async def _completions(uow: UnitOfWork, before: datetime, after: int) -> _Page:
    found = await uow.reconciliation.stalled_completions(before, OrderId(after), PAGE)
    return _Page(
        [CompleteOrderStep(*cursor) for cursor in found],
        _last([order for order, _, _ in found]),
    )


async def _retries(uow: UnitOfWork, before: datetime, after: int) -> _Page:
    found = await uow.reconciliation.stalled_retries(before, OrderId(after), PAGE)
    return _Page(
        [RetryOrderStep.at(order, cursor) for order, cursor in found],
        _last([order for order, _ in found]),
    )


async def _owners(uow: UnitOfWork, after: str, slots: int) -> _Page:
    owners = await uow.reconciliation.stalled_owners(after, PAGE, slots)
    return _Page(
        [ScheduleStep(owner.name) for owner in owners if owner.may_start],
        _last([owner.name for owner in owners]),
    )


async def _sub_orders(uow: UnitOfWork, before: datetime, now: datetime) -> _Page:
    """Return a page of overdue sub-orders. The check marks them as due now, so the next page has others."""
    overdue = await uow.reconciliation.overdue_sub_orders(before, now, PAGE)
    return _Page(
        [_step_of(one) for one in overdue],
        _last([one.id for one in overdue]),
    )


async def _expiries(uow: UnitOfWork, before: datetime, after: int) -> _Page:
    orders = await uow.reconciliation.overdue_orders(before, OrderId(after), PAGE)
    return _Page([ExpireOrderStep(order) for order in orders], _last(orders))


async def _mails(uow: UnitOfWork, before: datetime, after: int) -> _Page:
    mails = await uow.reconciliation.stalled_mails(before, MailId(after), PAGE)
    return _Page([SendMailStep(mail) for mail in mails], _last(mails))


_BY_ID: Mapping[Part, Callable[[UnitOfWork, datetime, int], Awaitable[_Page]]] = {
    Part.REQUESTS: _requests,
    Part.COMPLETIONS: _completions,
    Part.RETRIES: _retries,
    Part.EXPIRIES: _expiries,
    Part.MAILS: _mails,
}
"""The parts whose pages are ordered by id."""


def _step_of(one: OverdueSubOrder) -> Step:
    """Return the step that continues an overdue sub-order."""
    if one.state is SubOrderState.RUNNING:
        return AskAgainStep(one.order_id, one.id, one.asks)
    if one.executions_asked:
        return GiveUpResultsStep(one.order_id, one.id)
    return StartProcessingStep(one.order_id, one.id)


def _last(found: Sequence[int] | Sequence[str]) -> int | str | None:
    """Return the last item if there may be another page."""
    return found[-1] if len(found) == PAGE else None
