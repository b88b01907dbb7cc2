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
    OrderId,
    RequestId,
    SubOrderId,
    Tenant,
)
from rs_order.ports.outbox import MessageKind, OutgoingMessage


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
    RETRY_ORDER = "retry-order"
    """Move a slice of an order's files in error to new sub-orders."""
    EXPIRE_ORDER = "expire-order"
    DELETE_FILES = "delete-files"
    """Delete a slice of the files of an order that is gone, or removed."""
    TIDY = "tidy"
    """Forget what the inbox need not remember any more."""


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


def delete_files(tenant: Tenant, order_id: OrderId) -> OutgoingMessage:
    return _step(tenant, StepName.DELETE_FILES, None, orderId=order_id)


def tidy(tenant: Tenant, number: int, due_at: datetime) -> OutgoingMessage:
    return _step(tenant, StepName.TIDY, due_at, round=number)
