"""OrderRequestDtoEvent and OrderCancelRequestDtoEvent (amqp.md 2.2, 2.5)."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from rs_order.contracts.wire import DropNulls, Long, Text, WireModel

ORDER_REQUEST = "fr.cnes.regards.modules.order.amqp.input.OrderRequestDtoEvent"
ORDER_CANCEL_REQUEST = "fr.cnes.regards.modules.order.amqp.input.OrderCancelRequestDtoEvent"

_DATA_TYPES = ("RAWDATA", "QUICKLOOK")


def _known_data_types(value: Any) -> Any:
    """Names the enumeration doesn't have disappear, and so do repetitions (amqp.md 1.8)."""
    if not isinstance(value, list):
        return value
    return list(dict.fromkeys(item for item in value if item in _DATA_TYPES))


class OrderFilters(WireModel):
    """Which files of the products found are ordered."""

    data_types: Annotated[list[str] | None, BeforeValidator(_known_data_types)] = Field(
        None, alias="dataTypes", examples=[["RAWDATA"]]
    )
    filename_reg_exp: Text | None = Field(None, alias="filenameRegExp", examples=[".*\\.tif"])


class OrderRequest(WireModel):
    """A service asks for the files that its catalog queries find, in the name of a user."""

    correlation_id: Text | None = Field(None, alias="correlationId", examples=["d1f0-42"])
    user: Text | None = Field(None, examples=["john@cnes.fr"])
    queries: Annotated[list[Text] | None, DropNulls] = Field(
        None, examples=[["productId:(A_1 OR A_2)"]]
    )
    filters: OrderFilters | None = None
    size_limit_in_bytes: Long | None = Field(None, alias="sizeLimitInBytes", examples=[10737418240])


class OrderCancelRequest(WireModel):
    """A service asks that an order be stopped and deleted; never answered (decisions.md, Cancel)."""

    correlation_id: Text | None = Field(None, alias="correlationId", examples=["d1f0-42"])
    order_id: Long | None = Field(None, alias="orderId", examples=[1234])
