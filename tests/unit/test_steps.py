"""Each step is read as it was written, and has a handler."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from rs_order.actions.retry_order import RetryOrderStep
from rs_order.core.shared_steps import (
    AskAgainStep,
    CompleteOrderStep,
    DeleteFilesStep,
    ExpireOrderStep,
    GrantRequestsStep,
    MakeQuoteStep,
    ReconcileStep,
    ScheduleStep,
    StartProcessingStep,
    StopSubOrdersStep,
    TimedEventsStep,
)
from rs_order.core.steps import (
    Step,
    StepQueue,
    StepRegistry,
    StepScope,
    UnhandledSteps,
    UnknownStep,
    is_again,
    read_step,
    step_class,
    step_names,
)
from rs_order.domain.archives import ArchiveId
from rs_order.domain.ids import (
    DataFileId,
    DatasetTaskId,
    MailId,
    OrderId,
    RequestId,
    SubOrderId,
    Tenant,
)
from rs_order.downloads.make_archives import MakeArchiveStep
from rs_order.downloads.read_archives import ReadArchiveStep
from rs_order.mails.plan import RemindStep
from rs_order.mails.send import SendMailStep
from rs_order.ports import ConnectionState, MessageKind
from rs_order.processing.results import GiveUpResultsStep
from rs_order.reconcile.rebuild_steps import Part, RebuildPageStep, RebuildRemotePageStep
from rs_order.reconcile.recount import RecountStep
from rs_order.requests.retention import PurgeInboxStep
from rs_order.tenants.connect import (
    ConnectTenantStep,
    FindTenantsStep,
    ReportConnectionStep,
    ResumeTenantStep,
)

TENANT = Tenant("project1")
ORDER = OrderId(7)
AT = datetime(2026, 1, 1, 12, tzinfo=UTC)

# Operators find these bodies in dead letters, and instances of another version read them.
WRITTEN: list[tuple[Step, dict[str, Any]]] = [
    (
        GrantRequestsStep((RequestId(1), RequestId(2))),
        {"step": "grant-requests", "requests": [1, 2]},
    ),
    (
        CompleteOrderStep(ORDER, selection=2, page=3),
        {"step": "complete-order", "orderId": 7, "selection": 2, "page": 3},
    ),
    (ScheduleStep("jane"), {"step": "schedule", "owner": "jane"}),
    (MakeQuoteStep(7, slice=2), {"step": "make-quote", "quoteId": 7, "slice": 2}),
    (
        MakeArchiveStep(ArchiveId(7), 200, 3, DataFileId(0), DataFileId(9), (SubOrderId(8),)),
        {
            "step": "make-archive",
            "archiveId": 7,
            "pages": 200,
            "noticePages": 3,
            "after": 9,
            "afterFailed": 0,
            "subOrders": [8],
        },
    ),
    (
        MakeArchiveStep(ArchiveId(7), 200, 3, DataFileId(9)),
        {"step": "make-archive", "archiveId": 7, "pages": 200, "noticePages": 3, "afterFailed": 9},
    ),
    (
        ReadArchiveStep(ArchiveId(7), slice=2, page=3),
        {"step": "read-archive", "archiveId": 7, "slice": 2, "page": 3},
    ),
    (
        AskAgainStep(ORDER, SubOrderId(8), asks=1),
        {"step": "ask-again", "orderId": 7, "subOrderId": 8, "asks": 1},
    ),
    (
        StartProcessingStep(ORDER, SubOrderId(8)),
        {"step": "start-processing", "orderId": 7, "subOrderId": 8},
    ),
    (
        GiveUpResultsStep(ORDER, SubOrderId(8)),
        {"step": "give-up-results", "orderId": 7, "subOrderId": 8},
    ),
    (
        RetryOrderStep(ORDER, DatasetTaskId(4), DataFileId(5), announced_slices=2),
        {
            "step": "retry-order",
            "orderId": 7,
            "datasetTaskId": 4,
            "dataFileId": 5,
            "announcedSlices": 2,
        },
    ),
    (ExpireOrderStep(ORDER), {"step": "expire-order", "orderId": 7}),
    (StopSubOrdersStep(ORDER), {"step": "stop-sub-orders", "orderId": 7}),
    (DeleteFilesStep(ORDER), {"step": "delete-files", "orderId": 7}),
    (PurgeInboxStep(3), {"step": "tidy", "round": 3}),
    (ResumeTenantStep(), {"step": "wake-tenant"}),
    (
        ConnectTenantStep("project1", AT),
        {"step": "connect-tenant", "project": "project1", "saidAt": "2026-01-01T12:00:00Z"},
    ),
    (
        ReportConnectionStep(TENANT, ConnectionState.ERROR, attempts=2, cause="no"),
        {
            "step": "report-connection",
            "project": "project1",
            "state": "ERROR",
            "cause": "no",
            "attempts": 2,
        },
    ),
    (FindTenantsStep(attempts=0), {"step": "find-tenants", "attempts": 0}),
    (ReconcileStep(3), {"step": "reconcile", "round": 3}),
    (TimedEventsStep(), {"step": "timed-events"}),
    (RebuildPageStep(Part.REQUESTS), {"step": "rebuild-steps", "part": "requests"}),
    (
        RebuildRemotePageStep(Part.MAILS, 5, written_at=AT, confirms=True),
        {
            "step": "rebuild-remote-steps",
            "part": "mails",
            "after": 5,
            "writtenAt": "2026-01-01T12:00:00Z",
            "confirms": True,
        },
    ),
    (RebuildPageStep(Part.OWNERS, "x"), {"step": "rebuild-steps", "part": "owners", "after": "x"}),
    (RecountStep.first(3), {"step": "recount", "round": 3, "part": "orders", "after": 0}),
    (RemindStep(3), {"step": "remind", "round": 3}),
    (RemindStep(3, after=""), {"step": "remind", "round": 3, "after": ""}),
    (SendMailStep(MailId(6)), {"step": "send-mail", "mail": 6}),
]


@pytest.mark.parametrize(("step", "body"), WRITTEN)
def test_a_step_is_read_as_it_was_written(step: Step, body: dict[str, Any]) -> None:
    """The names of steps and members never change, because dead letters have them."""
    message = step.to(TENANT, AT)

    assert message.body == body
    assert (message.kind, message.tenant, message.due_at) == (MessageKind.STEP, TENANT, AT)
    assert step_class(body) is type(step)
    assert read_step(step_class(body), body) == step


def test_steps_of_the_last_version_are_read() -> None:
    """It wrote null for a member without a value, and another offset."""
    connect = {"step": "connect-tenant", "project": "p", "saidAt": "2026-01-01T12:00:00+00:00"}
    rebuild = {"step": "rebuild-steps", "part": "requests", "after": None}

    assert read_step(ConnectTenantStep, connect) == ConnectTenantStep("p", AT)
    assert read_step(RebuildPageStep, rebuild) == RebuildPageStep(Part.REQUESTS)


def test_a_step_that_is_written_again_has_a_mark() -> None:
    """Its members are the same, so that instances of another version handle it."""
    message = ScheduleStep("jane").to(TENANT, again=True)

    assert message.body == {"step": "schedule", "owner": "jane", "again": True}
    assert read_step(ScheduleStep, message.body) == ScheduleStep("jane")
    assert is_again(message.body)
    assert not is_again(ScheduleStep("jane").to(TENANT).body)


@pytest.mark.parametrize(
    ("members", "wrong"),
    [
        ({"selection": 0, "page": 0}, "orderId"),
        ({"orderId": 7, "selection": 0}, "page"),
        ({"orderId": "7", "selection": 0, "page": 0}, "orderId"),
        ({"orderId": 7, "selection": True, "page": 0}, "selection"),
        ({"orderId": 7, "selection": 0, "page": 0.0}, "page"),
        ({"orderId": 7, "selection": 0, "page": None}, "page"),
    ],
)
def test_a_missing_or_wrong_member_is_rejected_with_its_name(
    members: dict[str, Any], wrong: str
) -> None:
    """A text is not converted to a number, and a missing member has no default."""
    with pytest.raises(ValidationError) as rejected:
        read_step(CompleteOrderStep, members)

    assert [error["loc"] for error in rejected.value.errors()] == [(wrong,)]


@pytest.mark.parametrize("body", [{}, {"step": "dance"}, {"step": None}, {"step": ["schedule"]}])
def test_an_unknown_step_is_rejected(body: dict[str, Any]) -> None:
    """So is a body without a step."""
    with pytest.raises(UnknownStep):
        step_class(body)


def test_two_steps_with_one_name_are_rejected_at_the_start() -> None:
    """The definition of the second class fails."""
    with pytest.raises(TypeError, match="Twin and ScheduleStep are both named 'schedule'"):

        class Twin(Step, name="schedule"):
            pass


def test_a_step_without_a_handler_is_rejected_at_the_start() -> None:
    """The error names all steps without a handler."""
    registry = StepRegistry()
    registry.on(ScheduleStep, _schedule)

    with pytest.raises(UnhandledSteps, match="complete-order") as rejected:
        registry.check()

    assert "schedule" not in str(rejected.value).replace("no handler for ", "").split(", ")


def test_a_second_handler_is_rejected() -> None:
    """It would be unclear which of the two is called."""
    registry = StepRegistry()
    registry.on(ScheduleStep, _schedule)

    with pytest.raises(UnhandledSteps, match="'schedule' has two handlers"):
        registry.on(ScheduleStep, _schedule)


async def test_a_step_reaches_the_handler_of_its_class() -> None:
    """A handler of another step is an error of the type checker, which also reports an unused ignore."""
    registry = StepRegistry()
    registry.on(ScheduleStep, _schedule)
    registry.on(ExpireOrderStep, _schedule)  # type: ignore[arg-type]  # the checker must reject it
    _scheduled.clear()

    await registry.handle(TENANT, ScheduleStep("jane"))

    assert _scheduled == ["jane"]


def test_queues_and_scopes_follow_the_classes() -> None:
    """Steps that call other services have their own queue; those that connect a tenant have no tenant yet."""
    assert step_names(StepQueue.REMOTE) == {
        "grant-requests",
        "complete-order",
        "make-quote",
        "read-archive",
        "start-processing",
        "connect-tenant",
        "report-connection",
        "find-tenants",
        "send-mail",
        "rebuild-remote-steps",
    }
    without_tenant = {type(step) for step, _ in WRITTEN if step.scope is StepScope.INSTANCE}
    assert without_tenant == {ConnectTenantStep, ReportConnectionStep, FindTenantsStep}


def test_a_recount_of_all_orders_starts_again_at_its_end() -> None:
    """It has several parts, and each part has slices; each slice has the next number."""
    step, seen = RecountStep.first(1), list[tuple[str, int]]()
    for last in (40, None, None, None):
        seen.append((step.part.value, step.after))
        step = step.following(last)

    assert seen == [("orders", 0), ("orders", 40), ("sub-orders", 0), ("removed", 0)]
    assert step == RecountStep.first(5)
    assert step.is_first
    assert not RecountStep.first(1).following(40).is_first


_scheduled: list[str] = []


async def _schedule(tenant: Tenant, step: ScheduleStep) -> None:
    assert tenant == TENANT
    _scheduled.append(step.owner)
