"""Steps: bounded pieces of long work, each an outbox row addressed to our own queue (architecture.md 2).

A step that is delivered twice does nothing the second time: each carries what its work had come to
when it was written, and the use case compares.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from rs_order.domain.ids import (
    DataFileId,
    DatasetTaskId,
    MailId,
    OrderId,
    RequestId,
    SubOrderId,
    Tenant,
)
from rs_order.ports.connections import ConnectionState
from rs_order.ports.outbox import MessageKind
from rs_order.store.messages import OutgoingMessage


class StepName(StrEnum):
    """What there is to do next."""

    GRANT_REQUESTS = "grant-requests"
    """Find out whether requests can be granted, and answer them."""
    COMPLETE_ORDER = "complete-order"
    """Read one page of the catalog into an order."""
    SCHEDULE = "schedule"
    """Start an owner's next sub-orders."""
    ASK_AGAIN = "ask-again"
    """Remind storage of the files it has not settled."""
    START_PROCESSING = "start-processing"
    """Ask rs-processing to work on the inputs of a sub-order."""
    GIVE_UP_RESULTS = "give-up-results"
    """End the wait for results that never came."""
    RETRY_ORDER = "retry-order"
    """Move a slice of an order's files in error to new sub-orders."""
    EXPIRE_ORDER = "expire-order"
    STOP_SUB_ORDERS = "stop-sub-orders"
    """Send a slice of the running sub-orders of a paused order back to their places in the queue."""
    DELETE_FILES = "delete-files"
    """Delete a slice of the files of an order that is gone, or removed."""
    TIDY = "tidy"
    """Forget what the inbox need not remember any more."""
    WAKE_TENANT = "wake-tenant"
    """Make up for what a tenant missed that an operator added."""
    CONNECT_TENANT = "connect-tenant"
    """Provision a tenant that the platform connected us to."""
    REPORT_CONNECTION = "report-connection"
    """Tell rs-admin-instance again what came of a connection."""
    FIND_TENANTS = "find-tenants"
    """Ask rs-admin-instance which tenants we should serve."""
    RECONCILE = "reconcile"
    """Begin a round of the reconciler."""
    REBUILD_STEPS = "rebuild-steps"
    """Write steps again that were lost."""
    RECOUNT = "recount"
    """Count a slice of orders or sub-orders again."""
    REMIND = "remind"
    """Find a page of owners whose files have waited too long."""
    SEND_MAIL = "send-mail"


STEPS_THAT_ASK_OTHERS = frozenset(
    {
        StepName.GRANT_REQUESTS,
        StepName.COMPLETE_ORDER,
        StepName.START_PROCESSING,
        StepName.CONNECT_TENANT,
        StepName.REPORT_CONNECTION,
        StepName.FIND_TENANTS,
        StepName.SEND_MAIL,
    }
)
"""They wait for services over HTTP, or for mail servers, minutes when these are slow."""

INSTANCE = Tenant("instance")
"""Whose steps those are that concern no tenant we serve, or one we don't serve yet."""
STEPS_OF_THE_INSTANCE = frozenset(
    {StepName.CONNECT_TENANT, StepName.REPORT_CONNECTION, StepName.FIND_TENANTS}
)


@dataclass(frozen=True, slots=True)
class Step:
    """A step as it arrives."""

    name: StepName
    tenant: Tenant
    arguments: dict[str, Any]


def _step(
    tenant: Tenant, name: StepName, due_at: datetime | None, **arguments: Any
) -> OutgoingMessage:
    return OutgoingMessage(
        kind=MessageKind.STEP, tenant=tenant, body={"step": name, **arguments}, due_at=due_at
    )


def grant_requests(
    tenant: Tenant, requests: Sequence[RequestId], due_at: datetime | None = None
) -> OutgoingMessage:
    return _step(tenant, StepName.GRANT_REQUESTS, due_at, requests=list(requests))


def complete_order(
    tenant: Tenant, order_id: OrderId, selection: int, page: int, due_at: datetime | None = None
) -> OutgoingMessage:
    return _step(
        tenant, StepName.COMPLETE_ORDER, due_at, orderId=order_id, selection=selection, page=page
    )


def schedule(tenant: Tenant, owner: str) -> OutgoingMessage:
    return _step(tenant, StepName.SCHEDULE, None, owner=owner)


def ask_again(
    tenant: Tenant, order_id: OrderId, sub_order_id: SubOrderId, asks: int, due_at: datetime
) -> OutgoingMessage:
    return _step(
        tenant, StepName.ASK_AGAIN, due_at, orderId=order_id, subOrderId=sub_order_id, asks=asks
    )


def start_processing(
    tenant: Tenant, order_id: OrderId, sub_order_id: SubOrderId, due_at: datetime | None = None
) -> OutgoingMessage:
    return _step(
        tenant, StepName.START_PROCESSING, due_at, orderId=order_id, subOrderId=sub_order_id
    )


def give_up_results(
    tenant: Tenant, order_id: OrderId, sub_order_id: SubOrderId, due_at: datetime
) -> OutgoingMessage:
    return _step(
        tenant, StepName.GIVE_UP_RESULTS, due_at, orderId=order_id, subOrderId=sub_order_id
    )


def retry_order(
    tenant: Tenant, order_id: OrderId, dataset_task: DatasetTaskId, file: DataFileId
) -> OutgoingMessage:
    return _step(
        tenant,
        StepName.RETRY_ORDER,
        None,
        orderId=order_id,
        datasetTaskId=dataset_task,
        dataFileId=file,
    )


def expire_order(tenant: Tenant, order_id: OrderId, due_at: datetime) -> OutgoingMessage:
    return _step(tenant, StepName.EXPIRE_ORDER, due_at, orderId=order_id)


def stop_sub_orders(tenant: Tenant, order_id: OrderId) -> OutgoingMessage:
    return _step(tenant, StepName.STOP_SUB_ORDERS, None, orderId=order_id)


def delete_files(tenant: Tenant, order_id: OrderId) -> OutgoingMessage:
    return _step(tenant, StepName.DELETE_FILES, None, orderId=order_id)


def tidy(tenant: Tenant, number: int, due_at: datetime) -> OutgoingMessage:
    return _step(tenant, StepName.TIDY, due_at, round=number)


def reconcile(tenant: Tenant, number: int, due_at: datetime) -> OutgoingMessage:
    return _step(tenant, StepName.RECONCILE, due_at, round=number)


def rebuild_steps(tenant: Tenant, part: str, after: int | str | None) -> OutgoingMessage:
    """``after``: what the page is behind; None: the first page of the part."""
    return _step(tenant, StepName.REBUILD_STEPS, None, part=part, after=after)


def recount(
    tenant: Tenant, number: int, part: str, after: int, due_at: datetime
) -> OutgoingMessage:
    return _step(tenant, StepName.RECOUNT, due_at, round=number, part=part, after=after)


def wake_tenant(tenant: Tenant) -> OutgoingMessage:
    return _step(tenant, StepName.WAKE_TENANT, None)


def connect_tenant(name: str, said_at: datetime) -> OutgoingMessage:
    return _step(INSTANCE, StepName.CONNECT_TENANT, None, project=name, saidAt=said_at.isoformat())


def report_connection(
    tenant: Tenant, state: ConnectionState, cause: str | None, attempts: int, due_at: datetime
) -> OutgoingMessage:
    return _step(
        INSTANCE,
        StepName.REPORT_CONNECTION,
        due_at,
        project=tenant,
        state=state,
        cause=cause,
        attempts=attempts,
    )


def find_tenants(attempts: int = 0, due_at: datetime | None = None) -> OutgoingMessage:
    return _step(INSTANCE, StepName.FIND_TENANTS, due_at, attempts=attempts)


def remind(tenant: Tenant, number: int, due_at: datetime) -> OutgoingMessage:
    """A round of reminders."""
    return _step(tenant, StepName.REMIND, due_at, round=number)


def remind_further(tenant: Tenant, number: int, after: str) -> OutgoingMessage:
    """The next page of a round, behind the last owner of the page before."""
    return _step(tenant, StepName.REMIND, None, round=number, after=after)


def send_mail(tenant: Tenant, mail_id: MailId, due_at: datetime | None = None) -> OutgoingMessage:
    return _step(tenant, StepName.SEND_MAIL, due_at, mail=mail_id)
