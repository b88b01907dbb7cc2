"""Writes steps again that were lost with the broker, from what the tables say is under way.

A step is either a row of the outbox or in the broker's hands; who purges a queue loses those. What should
have moved a round ago and didn't gets its step again. Where the first wasn't lost, the second does nothing.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import structlog

from rs_order.actions.retry import RetryOrderStep
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
"""Looked at in one transaction."""

log = structlog.get_logger(__name__)


class Part(StrEnum):
    """What may stand still, in the order in which it is looked at."""

    REQUESTS = "requests"
    COMPLETIONS = "completions"
    RETRIES = "retries"
    OWNERS = "owners"
    """Of ready sub-orders."""
    SUB_ORDERS = "sub-orders"
    """That run or are processed."""
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
    lost: Sequence[Step]
    after: int | str | None = None
    """What the next page is behind; None: this was the last one."""


class RebuildSteps:
    """A chain of pages over all parts."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        limits: SlotLimits,
        count: Callable[[str, int], None],
        *,
        every: timedelta,
    ) -> None:
        """``count``: counts steps by name; ``every``: how long something may stand still."""
        self._store = store
        self._clock = clock
        self._slots = limits.per_user
        self._count = count
        self._every = every

    async def handle(self, tenant: Tenant, step: RebuildPageStep) -> None:
        """Look at a page of a part, then at the parts behind it as long as they fit on a page each."""
        parts, after = list(Part), step.after
        for part in parts[parts.index(step.part) :]:
            async with self._store.unit_of_work(tenant) as uow:
                page = await self._look(uow, part, after)
                await uow.messages.send([lost.to(tenant) for lost in page.lost])
                if page.after is not None:
                    await uow.messages.send([RebuildPageStep(part, page.after).to(tenant)])
            self._tell(tenant, page.lost)
            if page.after is not None:
                return
            after = None

    async def _look(self, uow: UnitOfWork, part: Part, after: int | str | None) -> _Page:
        before = self._clock.now() - self._every
        if part is Part.OWNERS:
            return await _owners(uow, str(after or ""), self._slots)
        if part is Part.SUB_ORDERS:
            return await _sub_orders(uow, before, self._clock.now())
        return await _BY_ID[part](uow, before, int(after or 0))

    def _tell(self, tenant: Tenant, lost: Sequence[Step]) -> None:
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
    """They count as due now: the next page has others."""
    overdue = await uow.reconciliation.overdue_sub_orders(before, now, PAGE)
    return _Page(
        [_of_sub_order(one) for one in overdue],
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
"""Parts whose pages go by id."""


def _of_sub_order(one: OverdueSubOrder) -> Step:
    if one.state is SubOrderState.RUNNING:
        return AskAgainStep(one.order_id, one.id, one.asks)
    if one.executions_asked:
        return GiveUpResultsStep(one.order_id, one.id)
    return StartProcessingStep(one.order_id, one.id)


def _last(found: Sequence[int] | Sequence[str]) -> int | str | None:
    """What the next page is behind; None when there is none."""
    return found[-1] if len(found) == PAGE else None
