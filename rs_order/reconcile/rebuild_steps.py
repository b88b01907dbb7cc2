"""Writes steps again that the broker lost, for all work that is stalled according to the tables.

A step is either a row of the outbox or a message of the broker, and purging a queue loses its messages.
A check travels through the queue whose steps it looks for. It notes the stalled work, and is sent a second
time: when it arrives again, everything that was in the queue before has been delivered. Work that hasn't
moved until then has lost its step. So a backlog is left alone, however long it is.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

import structlog

from rs_order.actions.retry_order import RetryOrderStep
from rs_order.core.policies import SlotLimits
from rs_order.core.shared_steps import (
    AskAgainStep,
    CompleteOrderStep,
    EndHoldStep,
    ExpireOrderStep,
    GrantRequestsStep,
    MakeQuoteStep,
    ScheduleStep,
    StartProcessingStep,
)
from rs_order.core.step_failures import StepFailures
from rs_order.core.steps import Step, StepQueue
from rs_order.domain.ids import MailId, OrderId, RequestId, SubOrderId, Tenant
from rs_order.domain.states import SubOrderState
from rs_order.mails.send import SendMailStep
from rs_order.ports import Clock
from rs_order.processing.results import GiveUpResultsStep
from rs_order.store.reconciliation import OverdueSubOrder
from rs_order.store.repeated_steps import StalledWork
from rs_order.store.unit_of_work import Store, UnitOfWork

PAGE = 500
"""Items that one transaction checks."""
HANDLING = timedelta(minutes=3)
"""The longest time that a step is handled for. The second check is sent after this time."""

log = structlog.get_logger(__name__)


class Part(StrEnum):
    """The kinds of work that may be stalled, in the order in which they are checked."""

    REQUESTS = "requests"
    COMPLETIONS = "completions"
    RETRIES = "retries"
    OWNERS = "owners"
    """Owners of ready sub-orders."""
    SUB_ORDERS = "sub-orders"
    """Sub-orders that run, or whose executions were requested."""
    PROCESSES = "processes"
    """Sub-orders whose executions have to be requested."""
    EXPIRIES = "expiries"
    MAILS = "mails"
    HOLDS = "holds"
    QUOTES = "quotes"


@dataclass(frozen=True)
class _Check(Step):
    """The members of the steps that check a part."""

    part: Part
    after: int | str | None = None
    """The last id or owner of the page before; None in the first page of a part."""
    written_at: datetime | None = None
    """When the check was sent through the queue; None: now."""
    confirms: bool | None = None
    """True for the second check of a run."""

    def __post_init__(self) -> None:
        """Check that the page before has an id or an owner, as the part has.

        Raises:
            ValueError: it has the other one.
        """
        super().__post_init__()
        if self.after is not None and isinstance(self.after, str) is not (self.part is Part.OWNERS):
            raise ValueError("after is no id or owner of its part")


@dataclass(frozen=True)
class RebuildPageStep(_Check, name="rebuild-steps"):
    """Check a page of the work whose steps need the database alone."""


@dataclass(frozen=True)
class RebuildRemotePageStep(_Check, name="rebuild-remote-steps", queue=StepQueue.REMOTE):
    """Check a page of the work whose steps call other services."""


CheckStep = RebuildPageStep | RebuildRemotePageStep


def first_checks(now: datetime) -> list[CheckStep]:
    """Return the steps that begin a run, one for each queue."""
    return [
        RebuildPageStep(Part.REQUESTS, written_at=now),
        RebuildRemotePageStep(Part.REQUESTS, written_at=now),
    ]


@dataclass(frozen=True, slots=True)
class _Stalled:
    """A step that may be lost, and how far its work has come if the step doesn't have it."""

    step: Step
    progress: str | None = None

    def work(self) -> list[StalledWork]:
        order = getattr(self.step, "order_id", None)
        return [
            StalledWork(self.step.name, subject, order, self.progress)
            for subject in self.step.subjects
        ]


@dataclass(frozen=True, slots=True)
class _Page:
    """The result of the check of a page."""

    stalled: Sequence[_Stalled]
    after: int | str | None = None
    """The last id or owner, if there may be another page."""


class RebuildSteps:
    """Checks the parts of a queue, page by page."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        limits: SlotLimits,
        count: Callable[[str, int], None],
        *,
        failures: StepFailures,
        every: timedelta,
    ) -> None:
        """``count``: is called with the name and the number of lost steps.

        ``every``: time without progress after which work is stalled.
        """
        self._store = store
        self._clock = clock
        self._slots = limits.per_user
        self._count = count
        self._failures = failures
        self._every = every

    async def handle(self, tenant: Tenant, step: CheckStep) -> None:
        """Check a page of a part, then the following parts up to the first with more than one page."""
        step = replace(step, written_at=step.written_at or self._clock.now())
        for part in _parts_from(step):
            page, lost = await self._check(tenant, replace(step, part=part))
            self._report(tenant, lost)
            if page.after is not None:
                return
            step = replace(step, after=None)
        await self._end(tenant, step)

    async def _check(self, tenant: Tenant, step: CheckStep) -> tuple[_Page, list[Step]]:
        """Check a page: note what is stalled, write again what is lost, and the step of the next page."""
        async with self._store.unit_of_work(tenant) as uow:
            page = await self._find(uow, step)
            lost = await self._lost(uow, step, page.stalled)
            await uow.messages.send([one.to(tenant, again=True) for one in lost])
            if page.after is not None:
                await uow.messages.send([replace(step, after=page.after).to(tenant)])
        return page, lost

    async def _find(self, uow: UnitOfWork, step: CheckStep) -> _Page:
        before = (step.written_at or self._clock.now()) - self._every
        if step.part is Part.OWNERS:
            return await _owners(uow, str(step.after or ""), self._slots)
        return await _BY_ID[step.part](uow, before, int(step.after or 0))

    async def _lost(
        self, uow: UnitOfWork, step: CheckStep, stalled: Sequence[_Stalled]
    ) -> list[Step]:
        """Note stalled work whose step isn't in the outbox. Return the steps to write again."""
        now = self._clock.now()
        work = [work for one in stalled for work in one.work()]
        waiting = await uow.messages.unpublished_steps(
            [(one.step, one.subject) for one in work], now
        )
        due = await uow.repeated_steps.note_stalled(
            [one for one in work if (one.step, one.subject) not in waiting],
            now,
            until=step.written_at or now,
            known_since=now - 2 * self._every,
            pause=self._every,
        )
        lost = [_only(one.step, {subject for _, subject in due}) for one in stalled]
        return [one for one in lost if one is not None and _is_among(one, due)]

    async def _end(self, tenant: Tenant, step: CheckStep) -> None:
        """Send the second check of a run, if it may find something; forget what goes on."""
        now = self._clock.now()
        began = step.written_at or now
        async with self._store.unit_of_work(tenant) as uow:
            names = _names(step)
            if not step.confirms and await uow.repeated_steps.any_unconfirmed(names, began):
                second = replace(step, part=Part.REQUESTS, written_at=now, confirms=True)
                await uow.messages.send([second.to(tenant, now + HANDLING)])
            done = await uow.repeated_steps.forget_unseen(names, began - 3 * self._every)
            await self._failures.close(uow, done)
            await uow.repeated_steps.forget_old(now - timedelta(days=2))

    def _report(self, tenant: Tenant, lost: Sequence[Step]) -> None:
        written = Counter(step.name for step in lost)
        for name, number in written.items():
            self._count(name, number)
            log.warning("steps-written-again", tenant=tenant, step=name, steps=number)


def _only(step: Step, subjects: set[str]) -> Step | None:
    """Return the step without the requests that aren't lost; None if none is left."""
    if not isinstance(step, GrantRequestsStep):
        return step
    requests = tuple(one for one in step.requests if str(one) in subjects)
    return GrantRequestsStep(requests) if requests else None


def _is_among(step: Step, due: set[tuple[str, str]]) -> bool:
    return all((step.name, subject) in due for subject in step.subjects)


async def _requests(uow: UnitOfWork, before: datetime, after: int) -> _Page:
    ids = await uow.reconciliation.stalled_requests(before, RequestId(after), PAGE)
    return _Page([_Stalled(GrantRequestsStep(tuple(ids)))] if ids else [], _last(ids))


async def _completions(uow: UnitOfWork, before: datetime, after: int) -> _Page:
    found = await uow.reconciliation.stalled_completions(before, OrderId(after), PAGE)
    return _Page(
        [_Stalled(CompleteOrderStep(*cursor)) for cursor in found],
        _last([order for order, _, _ in found]),
    )


async def _retries(uow: UnitOfWork, before: datetime, after: int) -> _Page:
    found = await uow.reconciliation.stalled_retries(before, OrderId(after), PAGE)
    return _Page(
        [_Stalled(RetryOrderStep.at(order, cursor)) for order, cursor in found],
        _last([order for order, _ in found]),
    )


async def _owners(uow: UnitOfWork, after: str, slots: int) -> _Page:
    """Return a page of owners. As long as the next sub-order is the same, none has started."""
    owners = await uow.reconciliation.stalled_owners(after, PAGE, slots)
    return _Page(
        [
            _Stalled(ScheduleStep(owner.name), str(owner.next))
            for owner in owners
            if owner.next is not None
        ],
        _last([owner.name for owner in owners]),
    )


async def _sub_orders(uow: UnitOfWork, before: datetime, after: int) -> _Page:
    overdue = await uow.reconciliation.overdue_sub_orders(
        before, SubOrderId(after), PAGE, to_process=False
    )
    return _Page([_Stalled(_step_of(one)) for one in overdue], _last([one.id for one in overdue]))


async def _processes(uow: UnitOfWork, before: datetime, after: int) -> _Page:
    overdue = await uow.reconciliation.overdue_sub_orders(
        before, SubOrderId(after), PAGE, to_process=True
    )
    return _Page(
        [_Stalled(StartProcessingStep(one.order_id, one.id)) for one in overdue],
        _last([one.id for one in overdue]),
    )


async def _expiries(uow: UnitOfWork, before: datetime, after: int) -> _Page:
    orders = await uow.reconciliation.overdue_orders(before, OrderId(after), PAGE)
    return _Page([_Stalled(ExpireOrderStep(order)) for order in orders], _last(orders))


async def _holds(uow: UnitOfWork, before: datetime, after: int) -> _Page:
    holds = await uow.reconciliation.overdue_holds(before, after, PAGE)
    return _Page([_Stalled(EndHoldStep(hold)) for hold in holds], _last(holds))


async def _quotes(uow: UnitOfWork, before: datetime, after: int) -> _Page:
    quotes = await uow.quotes.stalled(before, after, PAGE)
    return _Page(
        [_Stalled(MakeQuoteStep(quote, slices)) for quote, slices in quotes],
        _last([quote for quote, _ in quotes]),
    )


async def _mails(uow: UnitOfWork, before: datetime, after: int) -> _Page:
    mails = await uow.reconciliation.stalled_mails(before, MailId(after), PAGE)
    return _Page([_Stalled(SendMailStep(mail)) for mail in mails], _last(mails))


_BY_ID: Mapping[Part, Callable[[UnitOfWork, datetime, int], Awaitable[_Page]]] = {
    Part.REQUESTS: _requests,
    Part.COMPLETIONS: _completions,
    Part.RETRIES: _retries,
    Part.SUB_ORDERS: _sub_orders,
    Part.PROCESSES: _processes,
    Part.EXPIRIES: _expiries,
    Part.MAILS: _mails,
    Part.HOLDS: _holds,
    Part.QUOTES: _quotes,
}
"""The parts whose pages are ordered by id."""

_STEPS: Mapping[Part, Sequence[type[Step]]] = {
    Part.REQUESTS: (GrantRequestsStep,),
    Part.COMPLETIONS: (CompleteOrderStep,),
    Part.RETRIES: (RetryOrderStep,),
    Part.OWNERS: (ScheduleStep,),
    Part.SUB_ORDERS: (AskAgainStep, GiveUpResultsStep),
    Part.PROCESSES: (StartProcessingStep,),
    Part.EXPIRIES: (ExpireOrderStep,),
    Part.MAILS: (SendMailStep,),
    Part.HOLDS: (EndHoldStep,),
    Part.QUOTES: (MakeQuoteStep,),
}
"""The steps that a part writes; all of them have the same queue."""


def _parts_from(check: CheckStep) -> list[Part]:
    """Return the parts of the queue of a check, from its part on."""
    parts = list(Part)
    return [
        part for part in parts[parts.index(check.part) :] if _STEPS[part][0].queue is check.queue
    ]


def _names(check: CheckStep) -> list[str]:
    """Return the names of all steps that the checks of a queue write."""
    return [step.name for steps in _STEPS.values() for step in steps if step.queue is check.queue]


def _step_of(one: OverdueSubOrder) -> Step:
    """Return the step that continues an overdue sub-order."""
    if one.state is SubOrderState.RUNNING:
        return AskAgainStep(one.order_id, one.id, one.asks)
    return GiveUpResultsStep(one.order_id, one.id)


def _last(found: Sequence[int] | Sequence[str]) -> int | str | None:
    """Return the last item if there may be another page."""
    return found[-1] if len(found) == PAGE else None
