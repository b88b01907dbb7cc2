"""Does the steps that this process wrote, without the way through the broker.

A leased step is a row of the outbox that is due in a few seconds. After the commit, the process that wrote it
does its work and deletes the row. If the process dies or the step fails, the row becomes due: the relay
publishes the step, and the consumers of its queue handle it as any other. So the row keeps the promises.
"""

import asyncio
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from typing import Final, NamedTuple

import structlog

from rs_order import traces
from rs_order.consumers.step_handler import facts
from rs_order.core.shared_steps import CompleteOrderStep, GrantRequestsStep, ScheduleStep
from rs_order.core.steps import Step, StepRegistry, is_again, read_step, step_class
from rs_order.correlation_ids import correlated
from rs_order.domain.ids import Tenant
from rs_order.ports import Clock, ServedTenants
from rs_order.store.errors import StoreError, StoreUnavailable
from rs_order.store.outbox import Lease, LeasedRows, OutgoingMessage
from rs_order.store.unit_of_work import retry_on_conflict

LEASE: Final = timedelta(seconds=10)
"""How long a lease lasts if no step waits. The leases of steps that run for longer are extended."""
STEPS_PER_SECOND: Final = 100
"""A lease lasts longer for the steps that wait before it, as if this process did so many in a second. It does
more unless a service that it asks is slow."""
EXTEND: Final = timedelta(seconds=3)
"""A lease that is older is extended if its step still runs. The leases are checked as often."""
COLLECT_SECONDS: Final = 1.0
"""The rows of steps that are done are collected for so long, and deleted together."""
WORKERS: Final[dict[type[Step], int]] = {
    GrantRequestsStep: 8,
    CompleteOrderStep: 8,
    ScheduleStep: 2,
}
"""The steps that are leased, and how many of each run at a time. So grants don't wait for completions."""
TOGETHER: Final[dict[type[Step], int]] = {GrantRequestsStep: 8, CompleteOrderStep: 128}
"""How many steps of a kind are done together, if they have the same cause; one of each other kind."""
MOST_WAITING: Final = 10_000
"""Steps of one kind that wait in this process. Further ones go through the broker, where each step is done by
itself, for several times the cost. The longest lease is shorter than the time after which the reconciler
takes a step for lost (:data:`rs_order.reconcile.rebuild_steps.HANDLING`)."""

log = structlog.get_logger(__name__)


class _Cause(NamedTuple):
    """What steps must have in common to be done together."""

    tenant: Tenant
    correlation_id: str | None
    traceparent: str | None


_Leased = dict[Step, list[Lease]]
"""Steps with the leases of all that are equal: one run does their work."""


@dataclass(slots=True)
class _Lane:
    """The steps of one kind that wait in this process."""

    idle: int
    """Workers without a step."""
    together: int
    """The most steps that a worker takes."""
    waiting: int = 0
    """The number of leases."""
    _by_cause: dict[_Cause, _Leased] = field(default_factory=dict)
    """The first is that of the next steps."""

    def add(self, step: Step, lease: Lease) -> None:
        message = lease.message
        cause = _Cause(message.tenant, message.correlation_id, message.traceparent)
        self._by_cause.setdefault(cause, {}).setdefault(step, []).append(lease)
        self.waiting += 1

    def take(self) -> tuple[_Cause, _Leased]:
        """Remove and return the next steps. Others of their cause wait for those of other causes."""
        cause = next(iter(self._by_cause))
        steps = self._by_cause.pop(cause)
        taken = {step: steps.pop(step) for step in list(islice(steps, self.together))}
        if steps:
            self._by_cause[cause] = steps
        self.waiting -= sum(map(len, taken.values()))
        return cause, taken

    def leases(self) -> list[Lease]:
        """Return the leases of all steps that wait."""
        return [one for steps in self._by_cause.values() for some in steps.values() for one in some]


class LocalSteps:
    """Leases steps to this process and does them. It leases none unless it runs."""

    def __init__(self, clock: Clock, tenants: ServedTenants, rows: LeasedRows) -> None:
        self._clock = clock
        self._tenants = tenants
        self._rows = rows
        self._lanes = {
            step: _Lane(workers, TOGETHER.get(step, 1)) for step, workers in WORKERS.items()
        }
        self._running: set[Lease] = set()
        self._done: list[Lease] = []
        self._left: list[Lease] = []
        """Leases that this process gives up."""
        self._changed = asyncio.Event()
        self._workers: asyncio.TaskGroup | None = None
        self._steps = StepRegistry()

    def lease(self, message: OutgoingMessage, before: int) -> Lease | None:
        """Return the lease of a step that is about to be written. None: the broker gets it when it is due.

        ``before``: leases of the same unit of work.
        """
        lane = self._lanes.get(step_class(message.body))
        if self._workers is None or lane is None:
            return None
        waiting = lane.waiting + before
        if waiting >= MOST_WAITING:
            return None
        # A step that the reconciler wrote shows that its queue moves.
        if message.due_at is not None or is_again(message.body):
            return None
        turn = timedelta(seconds=waiting // STEPS_PER_SECOND)
        return Lease(message, self._clock.now() + LEASE + turn)

    def begin(self, leases: Sequence[Lease]) -> None:
        """Do the work of steps whose rows are committed."""
        for lease in leases:
            kind = step_class(lease.message.body)
            lane = self._lanes[kind]
            lane.add(read_step(kind, lease.message.body), lease)
            if lane.idle and self._workers is not None:
                lane.idle -= 1
                # A context of its own: the worker goes on with steps of other requests.
                self._workers.create_task(self._work(lane), context=Context())

    async def run(self, steps: StepRegistry, stop: asyncio.Event) -> None:
        """Do steps until ``stop``. Then finish those that have begun, and leave the others to the broker."""
        self._steps = steps
        async with asyncio.TaskGroup() as group:
            keeping = group.create_task(self._keep_rows())
            async with asyncio.TaskGroup() as workers:
                self._workers = workers
                await stop.wait()
                self._workers = None
            keeping.cancel()
        for lane in self._lanes.values():
            self._left += lane.leases()
        await self._write()

    async def _work(self, lane: _Lane) -> None:
        """Do steps of a lane until none waits, or until this process stops."""
        while lane.waiting and self._workers is not None:
            cause, taken = lane.take()
            # After its end a lease is due: the broker has the step.
            now = self._clock.now()
            held = {
                step: [lease for lease in leases if lease.until > now]
                for step, leases in taken.items()
            }
            steps = [step for step, leases in held.items() if leases]
            if steps:
                running = [lease for leases in held.values() for lease in leases]
                self._running.update(running)
                failed = await self._do(cause, steps)
                self._running.difference_update(running)
                for step, leases in held.items():
                    (self._left if step in failed else self._done).extend(leases)
                self._changed.set()
        lane.idle += 1

    async def _do(self, cause: _Cause, steps: Sequence[Step]) -> Collection[Step]:
        """Do steps. Return those that fail: the consumers of their queue decide what follows from that."""
        if not self._tenants.serves(cause.tenant):
            return steps
        name = steps[0].name
        with (
            correlated(cause.correlation_id),
            structlog.contextvars.bound_contextvars(tenant=cause.tenant, step=name),
            traces.span(f"step {name}", "CONSUMER", parent=cause.traceparent, tenant=cause.tenant),
        ):
            return await self._do_together(cause.tenant, steps)

    async def _do_together(self, tenant: Tenant, steps: Sequence[Step]) -> Collection[Step]:
        """Do steps together. If that fails, do each half by itself, down to the one that fails."""
        began = time.perf_counter()
        try:
            await retry_on_conflict(lambda: self._steps.handle(tenant, *steps))
        except Exception as error:  # noqa: BLE001 - whatever it is, the step comes again
            middle = len(steps) // 2
            if middle and not isinstance(error, StoreUnavailable):
                return [
                    *await self._do_together(tenant, steps[:middle]),
                    *await self._do_together(tenant, steps[middle:]),
                ]
            for step in steps:
                log.info("local-step-failed", cause=type(error).__name__, **facts(step))
            return steps
        ms = round(1000 * (time.perf_counter() - began), 1)
        for step in steps:
            log.info("step-done", ms=ms, **facts(step))
        return ()

    async def _keep_rows(self) -> None:
        """Delete the rows of steps that are done, and extend the leases of those that run for long."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(EXTEND.total_seconds()):
                    await self._changed.wait()
            self._changed.clear()
            await asyncio.sleep(COLLECT_SECONDS)
            await self._write()

    async def _write(self) -> None:
        """Write what became of leases. If that fails, their rows become due, and the steps do nothing."""
        done, left, now = list(self._done), list(self._left), self._clock.now()
        ending = [one for one in self._running if one.until - now < LEASE - EXTEND]
        try:
            await self._rows.delete(done)
            await self._rows.move(left, None)
            await self._rows.move(ending, now + LEASE)
        except StoreError as error:
            log.warning("leases-not-written", cause=str(error))
        del self._done[: len(done)], self._left[: len(left)]
