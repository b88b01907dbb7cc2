"""Consumes cancel requests (amqp.md 2.5)."""

from collections.abc import Sequence

from rs_order.consumers.batches import Received
from rs_order.contracts.order_messages import OrderCancelRequest
from rs_order.domain.ids import OrderId, Tenant
from rs_order.orders.order_end import CancelOrders
from rs_order.requests.rules import MAX_CORRELATION_ID


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


class CancelRequestHandler:
    """Cancels the orders named in a batch of cancel requests."""

    def __init__(self, cancel: CancelOrders) -> None:
        self._cancel = cancel

    async def __call__(self, tenant: Tenant, batch: Sequence[Received[OrderCancelRequest]]) -> None:
        ids = {received.message.order_id for received in batch}
        await self._cancel.handle(tenant, sorted(OrderId(id_) for id_ in ids if id_ is not None))
