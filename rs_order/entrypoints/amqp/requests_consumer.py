"""Consumes order requests and cancel requests (amqp.md 2.1, 2.5)."""

from collections.abc import Sequence

from rs_order.application.accept_requests import AcceptRequests, ArrivedRequest
from rs_order.application.cancel_orders import CancelOrders
from rs_order.application.request_rules import MAX_CORRELATION_ID
from rs_order.broker.stored_dead_letters import REPLAYED_HEADER
from rs_order.contracts.order_request import OrderCancelRequest, OrderRequest
from rs_order.domain.ids import OrderId, Tenant
from rs_order.entrypoints.amqp.batches import Received


def invalid_order_request(request: OrderRequest) -> str | None:
    """Return why a request is rejected. Without a correlationId it can't be answered (decisions.md, 6.2)."""
    return None if request.correlation_id is not None else "correlationId is mandatory!"


def invalid_cancel_request(request: OrderCancelRequest) -> str | None:
    """Return what is wrong with a cancel request.

    A cancel request gets no response, so an invalid one becomes a dead letter (amqp.md 2.5).
    """
    if request.correlation_id is None:
        return "correlationId is required to monitor this request."
    if len(request.correlation_id) > MAX_CORRELATION_ID:
        return "provided correlationId must not exceed 255 characters."
    if request.order_id is None:
        return "orderId is required to cancel an order."
    return None


class OrderRequestHandler:
    """Accepts the order requests of a batch."""

    def __init__(self, accept: AcceptRequests) -> None:
        self._accept = accept

    async def __call__(self, tenant: Tenant, batch: Sequence[Received[OrderRequest]]) -> None:
        await self._accept.handle(
            tenant,
            [
                ArrivedRequest(
                    received.message,
                    redelivered=received.delivery.redelivered,
                    replayed=REPLAYED_HEADER in received.delivery.headers,
                )
                for received in batch
            ],
        )


class CancelRequestHandler:
    """Cancels the orders named in a batch of cancel requests."""

    def __init__(self, cancel: CancelOrders) -> None:
        self._cancel = cancel

    async def __call__(self, tenant: Tenant, batch: Sequence[Received[OrderCancelRequest]]) -> None:
        ids = {received.message.order_id for received in batch}
        await self._cancel.handle(tenant, sorted(OrderId(id_) for id_ in ids if id_ is not None))
