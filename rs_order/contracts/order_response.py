"""OrderResponseDtoEvent (amqp.md 2.6)."""

from enum import StrEnum

from pydantic import ConfigDict, Field

from rs_order.contracts.wire import WireModel

ORDER_RESPONSE = "fr.cnes.regards.modules.order.amqp.output.OrderResponseDtoEvent"


class ResponseStatus(StrEnum):
    """How far an order has come, in the words peers know."""

    GRANTED = "GRANTED"
    DENIED = "DENIED"
    SUBORDER_DONE = "SUBORDER_DONE"
    DONE = "DONE"
    FAILED = "FAILED"
    """Also the end of an order that could be had in part; it then has a download link."""


class ErrorType(StrEnum):
    """Why, in the words peers know."""

    INVALID_CONTENT = "INVALID_CONTENT"
    FORBIDDEN = "FORBIDDEN"
    ORDER_LIMIT_REACHED = "ORDER_LIMIT_REACHED"
    EMPTY_ORDER = "EMPTY_ORDER"
    INTERNAL_ERROR = "INTERNAL_ERROR"


class OrderResponse(WireModel):
    """What peers are told about an order or a refused request."""

    model_config = ConfigDict(populate_by_name=True)

    status: ResponseStatus
    order_id: int | None = Field(None, alias="orderId")
    correlation_id: str = Field(alias="correlationId")
    message: str | None = None
    download_link: str | None = Field(None, alias="downloadLink")
    error_type: ErrorType | None = Field(None, alias="errorType")
    errors: int | None = None
    total_sub_orders: int | None = Field(None, alias="totalSubOrders")
    sub_order_id: int | None = Field(None, alias="subOrderId")
