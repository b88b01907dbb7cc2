"""A process does the steps that it wrote by itself. The broker gets those that it leaves."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import pytest

from rs_order.consumers import local_steps
from rs_order.consumers.local_steps import (
    LEASE,
    MOST_WAITING,
    STEPS_PER_SECOND,
    TOGETHER,
    WORKERS,
    LocalSteps,
)
from rs_order.core.shared_steps import (
    REQUESTS_OF_A_STEP,
    CompleteOrderStep,
    ExpireOrderStep,
    GrantRequestsStep,
    ScheduleStep,
)
from rs_order.core.steps import Step, StepRegistry
from rs_order.correlation_ids import correlated
from rs_order.domain.ids import OrderId, RequestId, Tenant
from rs_order.ports import Written
from rs_order.reconcile.rebuild_steps import HANDLING
from rs_order.store.errors import StoreUnavailable
from rs_order.store.outbox import LeasedRows
from rs_order.store.pool import Pool
from rs_order.store.tenants import Tenants
from rs_order.store.unit_of_work import Store
from tests.integration.app_harness import TENANT
from tests.support.clock import ManualClock
from tests.support.polling import WAIT_SECONDS, eventually

DUE_NOW = None


class Process:
    """A process whose handler of `ScheduleStep` notes the owners, and waits until it may go on."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.clock = ManualClock()
        self.tenants = Tenants(pool)
        self.committed: list[Written] = []
        self.steps = LocalSteps(self.clock, self.tenants, LeasedRows(pool, self.committed.append))
        self.store = Store(pool, self.committed.append, leases=self.steps)
        self.handled: list[str] = []
        self.began = asyncio.Semaphore(0)
        self.may_continue = asyncio.Event()
        self.may_continue.set()
        self.fails = False
        self.registry = StepRegistry()
        self.registry.on(ScheduleStep, self._handle)
        self.completed: list[list[OrderId]] = []
        """The orders of each call of the handler of `CompleteOrderStep`."""
        self.broken: OrderId | None = None
        """The handler fails if it gets this order."""
        self.registry.on_groups(CompleteOrderStep, self._complete)
        self.granted: list[list[RequestId]] = []
        """The requests of each call of the handler of `GrantRequestsStep`."""
        self.registry.on_groups(GrantRequestsStep, self._grant)

    async def _handle(self, tenant: Tenant, step: ScheduleStep) -> None:
        assert tenant == TENANT
        self.handled.append(step.owner)
        self.began.release()
        await self.may_continue.wait()
        if self.fails:
            raise RuntimeError("a defect")

    async def _complete(self, tenant: Tenant, steps: Sequence[CompleteOrderStep]) -> None:
        assert tenant == TENANT
        orders = [step.order_id for step in steps]
        self.completed.append(orders)
        if self.broken in orders:
            raise RuntimeError("a defect")

    async def _grant(self, tenant: Tenant, steps: Sequence[GrantRequestsStep]) -> None:
        assert tenant == TENANT
        self.granted.append([request for step in steps for request in step.requests])

    async def send(self, *steps: Step, again: bool = False) -> None:
        async with self.store.unit_of_work(TENANT) as uow:
            await uow.messages.send([step.to(TENANT, again=again) for step in steps])

    async def due(self) -> list[float | None]:
        """Return the seconds until each row of the outbox is due; None: it is due at once."""
        rows = await self._pool.fetch("select due_at from rs_order.outbox order by id")
        now = self.clock.now()
        return [row["due_at"] and (row["due_at"] - now).total_seconds() for row in rows]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run in the block, and stop at its end."""
        await self.tenants.load()
        stop = asyncio.Event()
        running = asyncio.create_task(self.steps.run(self.registry, stop))
        await asyncio.sleep(0)
        try:
            yield
        finally:
            stop.set()
            async with asyncio.timeout(WAIT_SECONDS):
                await running

    async def until_begun(self, steps: int) -> None:
        async with asyncio.timeout(WAIT_SECONDS):
            for _ in range(steps):
                await self.began.acquire()


@pytest.fixture
def process(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> Process:
    monkeypatch.setattr(local_steps, "COLLECT_SECONDS", 0.0)
    monkeypatch.setattr(local_steps, "EXTEND", timedelta(seconds=0.02))
    return Process(pool)


async def test_a_step_is_done_without_the_broker(process: Process) -> None:
    """Its row is due when the lease ends, and is deleted once the step is done."""
    process.may_continue.clear()
    async with process.running():
        await process.send(ScheduleStep("jane"))
        await process.until_begun(1)
        leased = await process.due()
        process.may_continue.set()
        await eventually(lambda: _is_empty(process), "the row is deleted")

    assert leased == [LEASE.total_seconds()]
    assert process.handled == ["jane"]


async def test_one_run_does_the_work_of_equal_steps(process: Process) -> None:
    process.may_continue.clear()
    async with process.running():
        await process.send(*(ScheduleStep(f"first {n}") for n in range(WORKERS[ScheduleStep])))
        await process.until_begun(WORKERS[ScheduleStep])
        await process.send(ScheduleStep("jane"), ScheduleStep("joe"), ScheduleStep("jane"))
        process.may_continue.set()
        await eventually(lambda: _is_empty(process), "all rows are deleted")

    assert process.handled[WORKERS[ScheduleStep] :] == ["jane", "joe"]


async def test_steps_of_one_cause_are_done_together(process: Process) -> None:
    """As many as fit into one run. A step of another request has another correlation id, and runs alone."""
    async with process.running():
        await process.send(*completions(TOGETHER[CompleteOrderStep] + 1))
        with correlated("another request"):
            await process.send(*completions(1, first=100))
        await eventually(lambda: _is_empty(process), "the rows are deleted")

    assert sorted(map(len, process.completed)) == [1, 1, TOGETHER[CompleteOrderStep]]
    assert [OrderId(100)] in process.completed


async def test_requests_of_several_steps_are_granted_together(process: Process) -> None:
    requests = [RequestId(number) for number in range(1, 2 * REQUESTS_OF_A_STEP + 2)]
    steps = GrantRequestsStep.for_all(requests)
    async with process.running():
        await process.send(*steps)
        await eventually(lambda: _is_empty(process), "all steps are done")

    assert [len(step.requests) for step in steps] == [REQUESTS_OF_A_STEP] * 2 + [1]
    assert process.granted == [requests]


async def test_a_step_that_fails_fails_no_other(process: Process) -> None:
    """The group is done in halves, down to the step that fails. The broker gets that one."""
    process.broken = OrderId(3)
    async with process.running():
        await process.send(*completions(5))
        await eventually(lambda: _is_due(process), "only the row of the step that failed is left")

    succeeded = [order for orders in process.completed if 3 not in orders for order in orders]
    assert sorted(succeeded) == [0, 1, 2, 4]
    assert process.completed.count([OrderId(3)]) == 1


async def test_all_steps_are_left_to_the_broker_while_the_database_is_down(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Halves would fail as well, so they aren't tried."""

    async def down(tenant: Tenant, *steps: CompleteOrderStep) -> None:
        process.completed.append([step.order_id for step in steps])
        raise StoreUnavailable("it is down")

    monkeypatch.setattr(process.registry, "handle", down)
    async with process.running():
        await process.send(*completions(5))
        await eventually(lambda: _are_due(process, 5), "the rows are due")

    assert len(process.completed) == 1


async def test_the_broker_gets_a_step_that_fails_at_once(process: Process) -> None:
    process.fails = True
    async with process.running():
        await process.send(ScheduleStep("jane"))
        await eventually(lambda: _is_due(process), "the row is due")

    assert process.handled == ["jane"]
    assert process.committed[-1].partitions, "the relay isn't notified"


async def test_the_broker_gets_the_steps_that_wait_when_the_process_stops(process: Process) -> None:
    """Steps that have begun are finished first."""
    process.may_continue.clear()
    busy = WORKERS[ScheduleStep]
    async with process.running():
        await process.send(*(ScheduleStep(f"owner {n}") for n in range(busy + 3)))
        await process.until_begun(busy)
        asyncio.get_running_loop().call_soon(process.may_continue.set)

    assert len(process.handled) == busy
    assert await process.due() == [DUE_NOW] * 3


async def test_the_lease_of_a_long_step_is_extended(process: Process) -> None:
    """Otherwise the broker would deliver a step whose work goes on."""
    process.may_continue.clear()
    async with process.running():
        await process.send(ScheduleStep("jane"))
        await process.until_begun(1)
        process.clock.move(seconds=9)
        await eventually(lambda: _lasts(process, LEASE.total_seconds()), "the lease is extended")
        process.may_continue.set()
        await eventually(lambda: _is_empty(process), "the row is deleted")


async def test_a_step_whose_lease_ended_while_it_waited_is_left_to_the_broker(
    process: Process,
) -> None:
    process.may_continue.clear()
    busy = WORKERS[ScheduleStep]
    async with process.running():
        await process.send(*(ScheduleStep(f"owner {n}") for n in range(busy)))
        await process.until_begun(busy)
        await process.send(ScheduleStep("jane"))
        process.clock.move(seconds=11)
        process.may_continue.set()
        await eventually(lambda: _are_left(process, 1), "the rows of the others are deleted")

    assert "jane" not in process.handled


async def test_steps_that_are_not_leased(process: Process) -> None:
    """Steps of other kinds, of the reconciler, beyond the limit, and all that a stopped process writes.

    The lease of a step lasts until its turn, which comes before the reconciler takes the step for lost.
    """
    process.may_continue.clear()
    async with process.running():
        await process.send(ExpireOrderStep(OrderId(1)))
        await process.send(ScheduleStep("jane"), again=True)
        others = await process.due()
        await process.send(*(ScheduleStep(f"owner {n}") for n in range(MOST_WAITING + 1)))
        many = await process.due()
        process.may_continue.set()
    await process.send(ScheduleStep("late"))
    late = (await process.due())[-1]

    assert others == [DUE_NOW, DUE_NOW]
    leases = [LEASE.total_seconds() + n // STEPS_PER_SECOND for n in range(MOST_WAITING)]
    assert many[2:] == [*leases, DUE_NOW]
    assert leases[-1] < HANDLING.total_seconds()
    assert late is DUE_NOW


async def test_nothing_is_done_for_a_commit_that_fails(process: Process) -> None:
    async with process.running():
        with suppress(RuntimeError):
            async with process.store.unit_of_work(TENANT) as uow:
                await uow.messages.send([ScheduleStep("jane").to(TENANT)])
                raise RuntimeError("no")

    assert process.handled == []


async def test_the_broker_gets_the_steps_of_a_tenant_that_became_inactive(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The consumer of its queue knows what to do with them."""
    async with process.running():
        monkeypatch.setattr(process.tenants, "serves", lambda _: False)  # as after its event
        await process.send(ScheduleStep("jane"))
        await eventually(lambda: _is_due(process), "the row is due")

    assert process.handled == []


def completions(number: int, first: int = 0) -> list[CompleteOrderStep]:
    """Return the first steps of so many orders."""
    return [CompleteOrderStep(OrderId(first + n), 0, 0) for n in range(number)]


async def _is_empty(process: Process) -> bool:
    return await process.due() == []


async def _is_due(process: Process) -> bool:
    return await _are_due(process, 1)


async def _are_due(process: Process, rows: int) -> bool:
    return await process.due() == [DUE_NOW] * rows


async def _lasts(process: Process, seconds: float) -> bool:
    return await process.due() == [seconds]


async def _are_left(process: Process, rows: int) -> bool:
    return len(await process.due()) == rows
