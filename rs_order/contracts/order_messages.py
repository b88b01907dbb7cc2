"""Messages about orders: requests, cancel requests and responses (amqp.md 2)."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field

from rs_order.contracts.wire import DropNulls, Long, Text, WireModel

ORDER_REQUEST = "fr.cnes.regards.modules.order.amqp.input.OrderRequestDtoEvent"
ORDER_CANCEL_REQUEST = "fr.cnes.regards.modules.order.amqp.input.OrderCancelRequestDtoEvent"

_DATA_TYPES = ("RAWDATA", "QUICKLOOK")


def _known_data_types(value: Any) -> Any:
    """Remove unknown names and repetitions (amqp.md 1.8)."""
    if not isinstance(value, list):
        return value
    return list(dict.fromkeys(item for item in value if item in _DATA_TYPES))


class OrderFilters(WireModel):
    """Conditions on the files of the found products."""

    data_types: Annotated[list[str] | None, BeforeValidator(_known_data_types)] = Field(
        None, alias="dataTypes", examples=[["RAWDATA"]]
    )
    filename_reg_exp: Text | None = Field(None, alias="filenameRegExp", examples=[".*\\.tif"])


class OrderRequest(WireModel):
    """An order of the files that catalog queries find, in the name of a user."""

    correlation_id: Text | None = Field(None, alias="correlationId", examples=["d1f0-42"])
    user: Text | None = Field(None, examples=["john@cnes.fr"])
    queries: Annotated[list[Text] | None, DropNulls] = Field(
        None, examples=[["productId:(A_1 OR A_2)"]]
    )
    filters: OrderFilters | None = None
    size_limit_in_bytes: Long | None = Field(None, alias="sizeLimitInBytes", examples=[10737418240])


class OrderCancelRequest(WireModel):
    """A request to stop and delete an order. It is never answered (decisions.md, Cancel)."""

    correlation_id: Text | None = Field(None, alias="correlationId", examples=["d1f0-42"])
    order_id: Long | None = Field(None, alias="orderId", examples=[1234])


ORDER_RESPONSE = "fr.cnes.regards.modules.order.amqp.output.OrderResponseDtoEvent"


class ResponseStatus(StrEnum):
    """The state of an order or a request, as peers know it."""

    GRANTED = "GRANTED"
    DENIED = "DENIED"
    SUBORDER_DONE = "SUBORDER_DONE"
    DONE = "DONE"
    FAILED = "FAILED"
    """Also the end of an order with some available files; the response then has a download link."""


class ErrorType(StrEnum):
    """The cause of DENIED or FAILED, as peers know it."""

    INVALID_CONTENT = "INVALID_CONTENT"
    FORBIDDEN = "FORBIDDEN"
    ORDER_LIMIT_REACHED = "ORDER_LIMIT_REACHED"
    EMPTY_ORDER = "EMPTY_ORDER"
    INTERNAL_ERROR = "INTERNAL_ERROR"


class OrderResponse(WireModel):
    """The progress of an order, or the rejection of a request."""

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
