"""A step that nobody of this service wrote changes nothing that it may not change."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import timedelta
from typing import Any

import orjson
import pytest
from pydantic.alias_generators import to_camel

from rs_order.broker.delivery import DeadLetter, DeadLetterReason, Delivery, Done
from rs_order.consumers.step_handler import StepHandler
from rs_order.core.steps import Step, StepQueue, step_names
from rs_order.domain.ids import OrderId, SubOrderId
from rs_order.domain.states import FileState, OrderStatus, SubOrderKind, SubOrderState
from tests.integration.app_harness import TENANT, AppHarness
from tests.support.rows import OWNER, TenantRows
from tests.unit.test_steps import WRITTEN

ENDED = (OrderStatus.DONE, OrderStatus.DONE_WITH_WARNING, OrderStatus.FAILED)
FILES = {
    OrderStatus.FAILED: {"a": FileState.ERROR, "b": FileState.ERROR},
    OrderStatus.DONE: {"a": FileState.AVAILABLE, "b": FileState.DOWNLOADED},
    OrderStatus.DONE_WITH_WARNING: {"a": FileState.AVAILABLE, "b": FileState.ERROR},
}
PENDING_FILES = {"a": FileState.PENDING, "b": FileState.PENDING}
CHANGES_DELETED = {"delete-files"}
"""Steps that may change an order that is deleted or expired."""
TABLES = ("orders", "sub_order", "data_file", "process_input", "completion", "retry", "history")


def forged(order: OrderId, sub_order: SubOrderId) -> list[dict[str, Any]]:
    """Return one step of each class that names an order or its owner."""
    return [
        {"step": "complete-order", "orderId": order, "selection": 0, "page": 0},
        {"step": "schedule", "owner": OWNER},
        {"step": "ask-again", "orderId": order, "subOrderId": sub_order, "asks": 0},
        {"step": "start-processing", "orderId": order, "subOrderId": sub_order},
        {"step": "give-up-results", "orderId": order, "subOrderId": sub_order},
        {"step": "retry-order", "orderId": order, "datasetTaskId": 0, "dataFileId": 0},
        {"step": "expire-order", "orderId": order},
        {"step": "stop-sub-orders", "orderId": order},
        {"step": "delete-files", "orderId": order},
    ]


ABOUT_NO_ORDER = {
    "grant-requests",
    "tidy",
    "remind",
    "send-mail",
    "reconcile",
    "rebuild-steps",
    "rebuild-remote-steps",
    "recount",
    "wake-tenant",
    "connect-tenant",
    "report-connection",
    "find-tenants",
    "act-on-dead-letters",
    "end-hold",
    "make-quote",
    "make-archive",
    "read-archive",
    "timed-events",
}
"""Steps that name no order: they work on what the tables have to do, and nothing if they have nothing."""


def test_every_step_is_in_the_table() -> None:
    """A new step is forged as well, or named as one that names no order."""
    steps = {body["step"] for body in forged(OrderId(1), SubOrderId(1))} | ABOUT_NO_ORDER

    assert steps == step_names(StepQueue.LOCAL) | step_names(StepQueue.REMOTE)


async def an_order(
    app: AppHarness, rows: TenantRows, status: OrderStatus
) -> tuple[OrderId, SubOrderId]:
    """Create an order with two files; its running sub-order is due in an hour."""
    files = FILES.get(status, PENDING_FILES)
    state = SubOrderState.RUNNING
    if status in ENDED:
        available = FileState.AVAILABLE in files.values()
        state = SubOrderState.WAITING if available else SubOrderState.ENDED
    if status is OrderStatus.PAUSED:
        state = SubOrderState.READY
    order = await rows.order(status)
    sub_order = await rows.sub_order(order, files, state=state)
    await app.rows(
        "update orders set expires_at = $2 where id = $1",
        order,
        app.clock.now() + timedelta(days=1),
    )
    await app.rows(
        "update sub_order set due_at = $2 where id = $1 and state = 'RUNNING'",
        sub_order,
        app.clock.now() + timedelta(hours=1),
    )
    return order, sub_order


async def state_of(app: AppHarness) -> list[Sequence[Any]]:
    return [
        [tuple(row.values()) for row in await app.rows(f"select * from {table} order by 1")]  # noqa: S608 - our own names
        for table in TABLES
    ]


@pytest.mark.parametrize("status", OrderStatus)
async def test_a_forged_step_changes_no_order(
    status: OrderStatus, app: AppHarness, rows: TenantRows
) -> None:
    """Each step about an order in each status, and the steps that follow from it."""
    order, sub_order = await an_order(app, rows, status)
    for step in forged(order, sub_order):
        if status.deleted_or_expired and step["step"] in CHANGES_DELETED:
            continue
        before = await state_of(app)
        await app.do(step)
        await app.run()

        assert (step["step"], await state_of(app)) == (step["step"], before)


async def test_a_step_with_the_sub_order_of_another_order_does_nothing(
    app: AppHarness, rows: TenantRows
) -> None:
    """The lock of its order would not protect the sub-order, and the counters of both would be wrong."""
    running = await rows.order()
    await rows.sub_order(running, {"x": FileState.PENDING})
    other, asked = await an_order(app, rows, OrderStatus.RUNNING)
    processing = await rows.sub_order(
        other,
        {"y": FileState.PENDING},
        state=SubOrderState.PROCESSING,
        kind=SubOrderKind.PROCESSING,
    )
    app.clock.move(days=3)
    before = await state_of(app)
    await app.do({"step": "ask-again", "orderId": running, "subOrderId": asked, "asks": 1})
    for name in ("start-processing", "give-up-results"):
        await app.do({"step": name, "orderId": running, "subOrderId": processing})

    assert await state_of(app) == before


async def test_the_files_of_a_removed_order_are_deleted(app: AppHarness, rows: TenantRows) -> None:
    """The guard of an order that exists doesn't keep what an order left behind."""
    order, _ = await an_order(app, rows, OrderStatus.DELETED)
    await app.rows("delete from orders where id = $1", order)
    await app.do({"step": "delete-files", "orderId": order})

    assert await app.files(order) == {}


def _mutations() -> list[tuple[dict[str, Any], str]]:
    """Return bodies of steps with one wrong or missing member, and the name of that member."""
    mutations: list[tuple[dict[str, Any], str]] = []
    for step, body in WRITTEN:
        for name in (to_camel(field.name) for field in fields(step)):
            wire_name = "round" if name == "number" else name
            mutations.append(({**body, wire_name: {"not": "a value"}}, wire_name))
            if wire_name in body and not _has_default(step, name):
                mutations.append(({k: v for k, v in body.items() if k != wire_name}, wire_name))
            if isinstance(body.get(wire_name), int):
                mutations.append(({**body, wire_name: 2**63}, wire_name))
    return mutations


def _has_default(step: Step, name: str) -> bool:
    return any(to_camel(one.name) == name and hasattr(type(step), one.name) for one in fields(step))


MUTATIONS = _mutations()


async def _outcome(app: AppHarness, body: Mapping[str, Any]) -> DeadLetter | Done:
    shared = app.application.shared
    handler = StepHandler(shared.steps, shared.tenants, shared.step_failures, shared.failures)
    delivery = Delivery(orjson.dumps(body), {"regards.tenant": TENANT}, "rs-order.steps")
    (outcome,) = await handler([delivery])
    return outcome


async def test_a_step_that_cannot_be_read_names_the_member(app: AppHarness) -> None:
    """Each member of each step: missing, of another type, and out of range."""
    before = await app.steps()
    for body, name in MUTATIONS:
        outcome = await _outcome(app, body)

        assert isinstance(outcome, DeadLetter), body
        assert outcome.reason is DeadLetterReason.INVALID_MESSAGE, (body, outcome)
        assert name in outcome.detail, (body, outcome)
    assert await app.steps() == before
