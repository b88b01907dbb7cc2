"""Responses go to the stream of their order, or of a request that is no order."""

from rs_order.contracts.order_messages import ErrorType
from rs_order.core import responses
from rs_order.core.responses import Rejection
from rs_order.domain.ids import OrderId, RequestId, Tenant

TENANT = Tenant("project1")


def test_the_stream_of_a_request_that_is_no_order() -> None:
    """It names the request; no order is noted."""
    rejection = Rejection.failed(ErrorType.INTERNAL_ERROR, "why")
    message, order, request = responses.rejected(TENANT, RequestId(7), "c", rejection)

    assert (message.stream, order, request) == ("project1/request/7", None, 7)


def test_the_stream_of_an_order() -> None:
    """All responses of an order share one stream, the first one included."""
    message, order, request = responses.granted(TENANT, OrderId(12), RequestId(7), "c")

    assert (message.stream, order, request) == ("project1/order/12", 12, 7)
