"""A step that fails is reported once. The reconciler writes lost steps again, with pauses that grow."""

from collections.abc import Mapping
from datetime import timedelta
from itertools import pairwise
from typing import Any, cast

import orjson
import pytest
from structlog.testing import capture_logs

from rs_order.broker.delivery import DEATH_QUEUE_HEADER, DeadLetter, Delivery, Done, Outcome
from rs_order.consumers.step_handler import StepHandler
from rs_order.core.shared_steps import CompleteOrderStep, ReconcileStep
from rs_order.core.step_failures import DELAYED
from rs_order.domain.ids import OrderId
from rs_order.ports import RemoteError
from rs_order.reconcile.rebuild_steps import HANDLING, RebuildPageStep, RebuildRemotePageStep
from rs_order.store.repeated_steps import StalledWork
from tests.integration.app_harness import JANE, TENANT, AppHarness

EVERY = timedelta(minutes=15)
ORDERS = 100


class BrokerQueue:
    """The steps that were published to the queue of steps that call other services, in their order."""

    def __init__(self, app: AppHarness) -> None:
        self._app = app
        self._names = [
            "complete-order",
            "grant-requests",
            "send-mail",
            "start-processing",
            RebuildRemotePageStep.name,
        ]
        self.steps: list[dict[str, Any]] = []

    async def publish(self) -> None:
        """Do what the relay does: move the due rows into the queue."""
        rows = await self._app.rows(
            "with published as (delete from rs_order.outbox where kind = 'STEP'"
            " and (due_at is null or due_at <= $1) and body::json ->> 'step' = any ($2)"
            " returning id, body) select body from published order by id",
            self._app.clock.now(),
            self._names,
        )
        self.steps += [orjson.loads(row["body"]) for row in rows]

    def count(self, name: str) -> int:
        return sum(step["step"] == name for step in self.steps)

    async def handle(self, steps: int) -> None:
        """Handle the oldest steps."""
        for step in self.steps[:steps]:
            await self._app.do(step)
        del self.steps[:steps]
        await self.publish()


async def one_run(app: AppHarness, queue: BrokerQueue) -> None:
    """Let a run of the reconciler begin, and handle the steps that need the database alone."""
    app.clock.move(seconds=EVERY.total_seconds())
    for _ in range(2):
        for kind in (ReconcileStep, RebuildPageStep):
            await app.run(kind)
        await queue.publish()
        app.clock.move(seconds=HANDLING.total_seconds())


async def test_a_backlog_is_left_alone(app: AppHarness) -> None:
    """Many steps wait in a queue whose consumers have stopped, then work slowly: none is written again."""
    queue = BrokerQueue(app)
    for _ in range(ORDERS):
        await app.order("a")
    await app.application.reconcile.resume(TENANT)
    await queue.publish()
    for handled in (0, 0, ORDERS // 4, ORDERS // 4):
        await queue.handle(handled)
        await one_run(app, queue)
        assert [step for step in queue.steps if step.get("again")] == []
        assert handled or queue.count(CompleteOrderStep.name) == ORDERS

    assert await app.rows("select from repeated_step where times > 0") == []


async def test_a_lost_step_is_written_again_behind_any_backlog(app: AppHarness) -> None:
    """The queue never gets empty, but the checks pass through it."""
    queue = BrokerQueue(app)
    orders = [await app.order("a") for _ in range(10)]
    await app.application.reconcile.resume(TENANT)
    await queue.publish()
    lost = queue.steps.pop(3)
    written: list[dict[str, Any]] = []
    for _ in range(7):
        await one_run(app, queue)
        await queue.handle(12)
        written += [step for step in queue.steps if step.get("again")]
        for _ in range(4):
            await app.order("b")
        await queue.publish()
        assert queue.steps

    assert [step["orderId"] for step in written[:1]] == [lost["orderId"]]
    assert {step["orderId"] for step in written} == {lost["orderId"]}
    while queue.steps:
        await queue.handle(1)
    assert await app.status(orders[3]) == "RUNNING"


async def test_the_pauses_between_two_writes_grow_to_a_day(app: AppHarness) -> None:
    """A step that fails each time is written after 15 min, 30 min, 1 h … by runs every 15 min."""
    work = StalledWork("complete-order", "{}", OrderId(1))
    began, written = app.clock.now(), list[float]()
    for _ in range(4 * 96):
        app.clock.move(seconds=EVERY.total_seconds())
        now = app.clock.now()
        async with app.store.unit_of_work(TENANT) as uow:
            due = await uow.repeated_steps.note_stalled(
                [work], now, until=now, known_since=now - 2 * EVERY, pause=EVERY
            )
        if due:
            written.append((now - began).total_seconds() / 3600)

    pauses = [after - before for before, after in pairwise(written)]
    assert written[0] == 0.5
    assert pauses[:6] == [0.25, 0.5, 1, 2, 4, 8]
    assert all(pause <= 24 for pause in pauses)
    assert len(written) < 12


async def deliver(app: AppHarness, body: Mapping[str, Any], **other: Any) -> Outcome:
    shared = app.application.shared
    handler = StepHandler(shared.steps, shared.tenants, shared.step_failures, shared.failures)
    headers = {"regards.tenant": TENANT, **other.pop("headers", {})}
    delivery = Delivery(orjson.dumps(body), headers, "rs-order.remote-steps", **other)
    with capture_logs():  # stack traces take long to write
        (outcome,) = await handler([delivery])
    return outcome


def fail_with(app: AppHarness, error: Exception | None) -> None:
    app.catalog.error = cast("RemoteError | None", error)


async def notifications(app: AppHarness) -> list[dict[str, Any]]:
    rows = await app.rows(
        "select body from rs_order.outbox where kind = 'NOTIFICATION' order by id"
    )
    return [orjson.loads(row["body"])["notification"] for row in rows]


async def message_of(app: AppHarness, order: OrderId) -> str | None:
    (row,) = await app.rows("select message from orders where id = $1", order)
    return cast("str | None", row["message"])


async def test_a_step_that_fails_is_reported_once_per_cause(app: AppHarness) -> None:
    """One dead letter and one notification; the order says that it is delayed, until the step is done."""
    order = await app.order("a")
    (step,) = await app.steps(CompleteOrderStep)
    fail_with(app, RuntimeError("row 17 is broken"))
    assert isinstance(await deliver(app, step), DeadLetter)
    fail_with(app, RuntimeError("row 18 is broken"))
    assert [type(await deliver(app, {**step, "again": True})) for _ in range(3)] == [Done] * 3
    assert await message_of(app, order) == DELAYED
    fail_with(app, ValueError("another cause"))
    assert isinstance(await deliver(app, step), DeadLetter)

    (first, second) = await notifications(app)
    assert first == second
    assert (first["title"], first["roleRecipients"]) == (
        "AMQP batch processing failure.",
        ["EXPLOIT"],
    )
    (noted,) = await app.rows("select * from repeated_step")
    assert (noted["order_id"], noted["failures"]) == (order, 1)
    assert "ValueError: another cause" in noted["detail"]

    fail_with(app, None)
    assert isinstance(await deliver(app, {**step, "again": True}), Done)
    assert await message_of(app, order) is None
    assert await app.rows("select * from repeated_step") == []


@pytest.mark.parametrize(
    "properties",
    [{"redelivered": True}, {"headers": {DEATH_QUEUE_HEADER: "rs-order.remote-steps"}}],
    ids=["interrupted", "replayed"],
)
async def test_a_step_that_no_dead_letter_holds_becomes_one(
    app: AppHarness, properties: dict[str, Any]
) -> None:
    """The process died before the dead letter was published, or an operator took it out of its queue."""
    await app.order("a")
    (step,) = await app.steps(CompleteOrderStep)
    fail_with(app, RuntimeError("broken"))
    await deliver(app, step)

    assert isinstance(await deliver(app, step, **properties), DeadLetter)
    assert len(await notifications(app)) == 1


async def test_a_failure_that_is_overtaken_is_forgotten(app: AppHarness) -> None:
    """The owner paused the order and resumed it, so another step did the work."""
    order = await app.order("a")
    (step,) = await app.steps(CompleteOrderStep)
    fail_with(app, RuntimeError("broken"))
    await deliver(app, step)
    fail_with(app, None)
    await app.actions.pause(JANE, order)
    await app.actions.resume(JANE, order)
    await app.run()
    assert await message_of(app, order) == DELAYED
    queue = BrokerQueue(app)
    for _ in range(4):
        await one_run(app, queue)
        await queue.handle(len(queue.steps))

    assert await message_of(app, order) is None
    assert await app.rows("select * from repeated_step") == []


async def letter(app: AppHarness, id_: str, body: Mapping[str, Any], order: int | None) -> None:
    await app.rows(
        "insert into rs_order.dead_letter (id, identity, vhost, queue, tenant, reason, order_id, step,"
        " times, headers, properties, body)"
        " values ($1, $1, 'multitenant', 'q.DLQ', $2, 'unexpected-batch-failure', $3, $4, 1, '{}', '{}', $5)",
        id_,
        TENANT,
        order,
        body["step"],
        orjson.dumps(body),
    )


async def test_the_dead_letters_of_a_step_that_is_done_are_discarded(app: AppHarness) -> None:
    """Dead letters of other steps, of other orders, and of other members stay."""
    order = await app.order("a")
    (step,) = await app.steps(CompleteOrderStep)
    fail_with(app, RuntimeError("broken"))
    await deliver(app, step)
    await letter(app, "mine", step, order)
    await letter(app, "again", {**step, "again": True}, order)
    await letter(app, "page", {**step, "page": 7}, order)
    await letter(app, "other", {**step, "orderId": order + 1}, order + 1)
    await letter(app, "unreadable", {"step": step["step"], "orderId": order}, order)
    await letter(app, "expiry", {"step": "expire-order", "orderId": order}, order)
    fail_with(app, None)
    await deliver(app, {**step, "again": True})

    rows = await app.rows(
        "select id, changed_by, because from rs_order.dead_letter where state = 'discarded' order by id"
    )
    assert [tuple(row.values()) for row in rows] == [
        ("again", "rs-order", "overtaken"),
        ("mine", "rs-order", "overtaken"),
    ]
