"""Responses belong to the stream of their order, or of a rejected request."""

from rs_order.contracts.order_messages import ErrorType
from rs_order.core import responses
from rs_order.core.responses import Rejection
from rs_order.domain.ids import OrderId, RequestId, Tenant

TENANT = Tenant("project1")


def test_the_stream_of_a_rejected_request() -> None:
    """It has the number of the request, because there is no order."""
    rejection = Rejection.failed(ErrorType.INTERNAL_ERROR, "why")
    message, order, request = responses.rejected(TENANT, RequestId(7), "c", rejection)

    assert (message.stream, order, request) == ("project1/request/7", None, 7)


def test_the_stream_of_an_order() -> None:
    """All responses of an order are in one stream, the first one included."""
    message, order, request = responses.granted(TENANT, OrderId(12), RequestId(7), "c")

    assert (message.stream, order, request) == ("project1/order/12", 12, 7)
