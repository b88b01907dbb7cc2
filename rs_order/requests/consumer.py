"""Consumes order requests (amqp.md 2.1)."""

from collections.abc import Sequence

from rs_order.broker.stored_dead_letters import REPLAYED_HEADER
from rs_order.consumers.batches import Received
from rs_order.contracts.order_messages import OrderRequest
from rs_order.domain.ids import Tenant
from rs_order.requests.accept import AcceptRequests, ArrivedRequest


def invalid_order_request(request: OrderRequest) -> str | None:
    """Return why a request is rejected. Without a correlationId it can't be answered (decisions.md, 6.2)."""
    return None if request.correlation_id is not None else "correlationId is mandatory!"


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
