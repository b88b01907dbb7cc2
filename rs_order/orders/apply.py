"""Creates an order from queries in one call (rest.md 7.3, domain.md 13.1).

The order has a basket of its own, like an order over AMQP; the caller's basket isn't changed (W12). Only the
caller gets the response GRANTED. Peers receive the later responses, from the first ready sub-order on.
"""

import asyncio

import structlog

from rs_order.contracts.order_messages import ErrorType, OrderRequest, OrderResponse, ResponseStatus
from rs_order.core.errors import InvalidInput
from rs_order.core.links import Links
from rs_order.core.responses import Rejection
from rs_order.domain.events import OrderDoor
from rs_order.domain.identity import Caller
from rs_order.domain.ids import OrderId
from rs_order.domain.order import generated_label
from rs_order.domain.selection import DatasetSelection
from rs_order.orders.create import WithOrder, begin_order, free_label
from rs_order.ports import Clock, RemoteUnavailable
from rs_order.requests.accept import MAX_USER, violations
from rs_order.requests.estimate import Estimator
from rs_order.store.orders import NewOrder
from rs_order.store.unit_of_work import Store, retry_on_conflict

CATALOG_UNAVAILABLE = (
    "CatalogSearchException: rs-catalog gave no usable answer; nothing was ordered. "
    "Please try again later."
)

log = structlog.get_logger(__name__)


class ApplyOrder:
    """Answers one request with one response; it doesn't retry an unavailable catalog (decisions.md, AMQP)."""

    def __init__(
        self,
        store: Store,
        estimator: Estimator,
        links: Links,
        clock: Clock,
        *,
        catalog_timeout_seconds: float = 50,
    ) -> None:
        """``catalog_timeout_seconds`` is below the 60 seconds after which the gateway gives up."""
        self._store = store
        self._estimator = estimator
        self._links = links
        self._clock = clock
        self._catalog_timeout_seconds = catalog_timeout_seconds

    async def handle(
        self,
        caller: Caller,
        request: OrderRequest,
        correlation_id: str,
        with_order: WithOrder | None = None,
    ) -> OrderResponse:
        """Create the order, and return the response: GRANTED, or the reason why nothing was ordered.

        The order belongs to the caller, whatever user the request has. The size limit of a request applies
        over AMQP only.

        Args:
            caller: the owner of the order.
            request: the queries and filters.
            correlation_id: of the request, or a generated one.
            with_order: called in the unit of work of the order.

        Raises:
            InvalidInput: the request breaks rules of rest.md 4.3; one message for each.
        """
        owner = caller.email[:MAX_USER]
        checked = request.model_copy(update={"user": request.user or owner})
        broken = await asyncio.to_thread(violations, checked)
        if broken:
            raise InvalidInput(*(violation.sentence for violation in broken))
        found = await self._search(caller, request)
        if isinstance(found, Rejection):
            return OrderResponse(
                status=found.status,
                correlation_id=correlation_id,
                message=found.message,
                error_type=found.error_type,
            )
        await self._links.learn_if_possible(caller.tenant)
        order_id = await retry_on_conflict(
            lambda: self._create(caller, owner, correlation_id, found, with_order)
        )
        return OrderResponse(
            status=ResponseStatus.GRANTED, order_id=order_id, correlation_id=correlation_id
        )

    async def _search(
        self, caller: Caller, request: OrderRequest
    ) -> tuple[DatasetSelection, ...] | Rejection:
        try:
            async with asyncio.timeout(self._catalog_timeout_seconds):
                return await self._estimator.selections(caller, request)
        except (RemoteUnavailable, TimeoutError) as error:
            cause = str(error) or f"no answer within {self._catalog_timeout_seconds:g} s"
            log.warning("catalog-unavailable", tenant=caller.tenant, cause=cause)
            return Rejection.failed(ErrorType.INTERNAL_ERROR, CATALOG_UNAVAILABLE)

    async def _create(
        self,
        caller: Caller,
        owner: str,
        correlation_id: str,
        selections: tuple[DatasetSelection, ...],
        with_order: WithOrder | None,
    ) -> OrderId:
        now = self._clock.now()
        async with self._store.unit_of_work(caller.tenant) as uow:
            settings = await uow.settings()
            return await begin_order(
                uow,
                NewOrder(
                    owner=owner,
                    role=caller.role,
                    label=await free_label(uow, owner, generated_label(now)),
                    correlation_id=correlation_id,
                    request_id=None,
                    sub_order_hours=settings.app_sub_order_hours,
                    created_at=now,
                    door=OrderDoor.APPLY,
                    selections=selections,
                ),
                with_order,
            )
