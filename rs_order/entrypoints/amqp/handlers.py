"""What each queue's messages are handed to."""

from collections.abc import Sequence

from rs_order.adapters.regards.processing import cardinality_of
from rs_order.application.accept_requests import AcceptRequests, ArrivedRequest
from rs_order.application.apply_availability import ApplyAvailability
from rs_order.application.apply_results import ApplyResults
from rs_order.application.cancel_orders import CancelOrders
from rs_order.application.detach_processes import DetachProcesses
from rs_order.application.request_rules import MAX_CORRELATION_ID
from rs_order.broker.delivery import Delivery
from rs_order.broker.settle import Done, Outcome
from rs_order.contracts.order_request import OrderCancelRequest, OrderRequest
from rs_order.contracts.processing import (
    ExecutionResult,
    ExecutionResultEvent,
    ProcessRightsEvent,
    RightsType,
)
from rs_order.contracts.storage import AVAILABILITY_ERROR, AVAILABLE, FileReferenceEvent
from rs_order.domain.ids import Checksum, OrderId, Tenant, Urn
from rs_order.entrypoints.amqp.batches import Arrival, dropped

REPLAYED_HEADER = "rs-order.replayed"


def invalid_order_request(request: OrderRequest) -> str | None:
    """Without a correlationId there is nobody to answer (decisions.md, 6.2)."""
    return None if request.correlation_id is not None else "correlationId is mandatory!"


def invalid_cancel_request(request: OrderCancelRequest) -> str | None:
    """A cancel request is never answered, so what is wrong with it makes a dead letter (amqp.md 2.5)."""
    if request.correlation_id is None:
        return "correlationId is required to monitor this request."
    if len(request.correlation_id) > MAX_CORRELATION_ID:
        return "provided correlationId must not exceed 255 characters."
    if request.order_id is None:
        return "orderId is required to cancel an order."
    return None


class OrderRequestHandler:
    def __init__(self, accept: AcceptRequests) -> None:
        self._accept = accept

    async def __call__(self, tenant: Tenant, arrivals: Sequence[Arrival[OrderRequest]]) -> None:
        await self._accept.handle(
            tenant,
            [
                ArrivedRequest(
                    arrival.message,
                    redelivered=arrival.delivery.redelivered,
                    replayed=REPLAYED_HEADER in arrival.delivery.headers,
                )
                for arrival in arrivals
            ],
        )


class CancelRequestHandler:
    def __init__(self, cancel: CancelOrders) -> None:
        self._cancel = cancel

    async def __call__(
        self, tenant: Tenant, arrivals: Sequence[Arrival[OrderCancelRequest]]
    ) -> None:
        ids = {arrival.message.order_id for arrival in arrivals}
        await self._cancel.handle(tenant, sorted(OrderId(id_) for id_ in ids if id_ is not None))


class FileReferenceHandler:
    """Most file events of the platform are not for us: two types, and only files that we wait for."""

    def __init__(self, apply: ApplyAvailability) -> None:
        self._apply = apply

    async def __call__(
        self, tenant: Tenant, arrivals: Sequence[Arrival[FileReferenceEvent]]
    ) -> None:
        available: set[Checksum] = set()
        unavailable: dict[Checksum, str] = {}
        for arrival in arrivals:
            event = arrival.message
            if event.checksum and event.type == AVAILABLE:
                available.add(Checksum(event.checksum))
            elif event.checksum and event.type == AVAILABILITY_ERROR:
                unavailable[Checksum(event.checksum)] = event.message or "Storage can't deliver it."
            else:
                dropped.labels(arrival.delivery.queue, "unused-type").inc()
        if available or unavailable:
            await self._apply.handle(tenant, sorted(available), unavailable)


class ExecutionResultHandler:
    """Results of the whole platform: those of other batches are counted, ours are settled one by one."""

    def __init__(self, apply: ApplyResults) -> None:
        self._apply = apply

    async def __call__(
        self, tenant: Tenant, arrivals: Sequence[Arrival[ExecutionResultEvent]]
    ) -> None:
        for arrival in arrivals:
            if reason := await self._one(tenant, arrival.message):
                dropped.labels(arrival.delivery.queue, reason).inc()

    async def _one(self, tenant: Tenant, event: ExecutionResultEvent) -> str | None:
        """Why a result changes nothing, None when it was applied.

        Raises:
            ValidationError, MalformedProcess, UnreadableExecution: it is of one of our batches and
                can't be understood.
        """
        if not isinstance(event.batch, str) or not await self._apply.concerns_us(
            tenant, event.batch
        ):
            return "foreign-batch"
        result = ExecutionResult.model_validate(event.body)
        if not result.status.final:
            return "intermediate-status"
        cardinality = cardinality_of(result.process_info)
        applied = await self._apply.handle(tenant, result, cardinality)
        return None if applied else "foreign-batch"


class ProcessRightsHandler:
    """Processes that may no longer be used leave the baskets (domain.md 8.5)."""

    def __init__(self, detach: DetachProcesses) -> None:
        self._detach = detach

    async def __call__(
        self, tenant: Tenant, arrivals: Sequence[Arrival[ProcessRightsEvent]]
    ) -> None:
        for arrival in arrivals:
            event = arrival.message
            match event.type:
                case RightsType.DELETE if event.before:
                    await self._detach.handle(tenant, event.before.id, None)
                case RightsType.UPDATE if event.after and not event.after.rights.all_datasets:
                    datasets = [Urn(urn) for urn in event.after.rights.datasets]
                    await self._detach.handle(tenant, event.after.id, datasets)
                case _:
                    dropped.labels(arrival.delivery.queue, "unused-type").inc()


async def drop(deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
    """Events that mean nothing to us, or come on another queue too: consumed, so that queues don't grow."""
    for delivery in deliveries:
        dropped.labels(delivery.queue, "unused-event").inc()
    return [Done() for _ in deliveries]
