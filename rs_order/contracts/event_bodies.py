"""Events of orders as readers get them: CloudEvents 1.0.2 with data of our own (faces.md 4.1)."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import ConfigDict, Field

from rs_order.contracts.progress_bodies import ReasonDto
from rs_order.contracts.wire import Instant, WireModel
from rs_order.domain.events import By, EventType, OrderDoor
from rs_order.domain.states import OrderStatus

EVENT: Final = "application/cloudevents+json"
EVENTS: Final = "application/cloudevents-batch+json"

_ENDS: Final = ("failed",)
_BY: Final = ("by",)
MEMBERS: Final[Mapping[EventType, tuple[str, ...]]] = {
    EventType.ORDER_CREATED: ("label", "door"),
    EventType.ORDER_LISTED: ("bytes", "subOrders"),
    EventType.SUB_ORDER_STARTED: ("subOrderId", "subOrderFiles", "subOrderBytes"),
    EventType.SUB_ORDER_READY: (
        "subOrderId",
        "subOrderFiles",
        "subOrderBytes",
        "subOrderFailed",
        "totalSubOrders",
    ),
    EventType.ORDER_PROGRESS: ("threshold",),
    EventType.ORDER_DONE: _ENDS,
    EventType.ORDER_DONE_WITH_WARNING: _ENDS,
    EventType.ORDER_FAILED: _ENDS,
    EventType.ORDER_WAITING: ("reason",),
    EventType.FILES_FAILED: ("count", "failedFiles"),
    EventType.ORDER_PAUSED: _BY,
    EventType.ORDER_RESUMED: _BY,
    EventType.ORDER_RETRIED: _BY,
    EventType.ORDER_DOWNLOADED: (),
    EventType.ORDER_EXPIRING: ("expires", "bytes"),
    EventType.ORDER_EXPIRED: (),
    EventType.ORDER_DELETED: (),
}
"""The members of data that each event of a type has, beside those of all."""

_ORDER: Final = "https://regards.example.org/api/v1/rs-order/user/orders/12"


class EventFiles(WireModel):
    """The files of the order, as of the commit."""

    total: int = Field(examples=[500])
    available: int = Field(description="Ready to download.", examples=[185])
    delivered: int = Field(description="Downloaded, all their bytes.", examples=[0])
    failed: int = Field(examples=[2])


class EventLinks(WireModel):
    """Addresses. They need a token."""

    order: str = Field(examples=[_ORDER])
    progress: str = Field(examples=[f"{_ORDER}/progress"])
    download: str = Field(description="The zip.", examples=[f"{_ORDER}/download"])
    archives: str = Field(description="Those that can be resumed.", examples=[f"{_ORDER}/archives"])
    stac: str = Field(
        description="The order as a STAC collection.",
        examples=["https://regards.example.org/api/v1/rs-order/stac/collections/order-12"],
    )


class FailedFile(WireModel):
    """A file in error."""

    model_config = ConfigDict(populate_by_name=True)

    file_id: int = Field(alias="fileId", examples=[101])
    name: str = Field(examples=["p1.nc"])
    code: str | None = Field(None, description="Why.", examples=["storage-refused"])


class EventData(WireModel):
    """What happened to an order. Members that a type doesn't have are absent; readers ignore unknown ones."""

    model_config = ConfigDict(populate_by_name=True)

    order_id: int = Field(alias="orderId", examples=[12])
    ordinal: int = Field(
        description="Counts the events of the order, from 1 and without gaps.", examples=[7]
    )
    event: EventType = Field(description="The type without its prefix.")
    status: OrderStatus
    percent: int = Field(ge=0, le=100, examples=[37])
    files: EventFiles
    correlation_id: str = Field(alias="correlationId", examples=["delivery-req-9"])
    links: EventLinks
    label: str | None = Field(None, description="order.created", examples=["spring 2026"])
    door: OrderDoor | None = Field(None, description="order.created: how the order came.")
    bytes: int | None = Field(
        None,
        description="order.listed: of all files. order.expiring: of those that are available.",
        examples=[5000],
    )
    sub_orders: int | None = Field(
        None, alias="subOrders", description="order.listed", examples=[3]
    )
    sub_order_id: int | None = Field(
        None, alias="subOrderId", description="suborder.*", examples=[31]
    )
    sub_order_files: int | None = Field(
        None, alias="subOrderFiles", description="suborder.*", examples=[100]
    )
    sub_order_bytes: int | None = Field(
        None, alias="subOrderBytes", description="suborder.*", examples=[1000]
    )
    sub_order_failed: int | None = Field(
        None,
        alias="subOrderFailed",
        description="suborder.ready: its files in error.",
        examples=[0],
    )
    total_sub_orders: int | None = Field(
        None, alias="totalSubOrders", description="suborder.ready: of the order.", examples=[3]
    )
    threshold: int | None = Field(
        None, description="order.progress: 25, 50 or 75 percent were passed.", examples=[25]
    )
    reason: ReasonDto | None = Field(
        None, description="order.waiting: as in the progress of the order, in English."
    )
    count: int | None = Field(
        None, description="files.failed: those since the last such event.", examples=[2]
    )
    failed_files: list[FailedFile] | None = Field(
        None,
        alias="failedFiles",
        description="files.failed: the first of all files in error, at most 100.",
    )
    expires: Instant | None = Field(
        None, description="order.expiring: when the files will be deleted."
    )
    by: By | None = Field(None, description="order.paused, order.resumed, order.retried")
    failed: int | None = Field(
        None, description="order.done, order.done_with_warning, order.failed", examples=[2]
    )
    message: str | None = Field(
        None,
        description="The same: why the order failed or has no file.",
        examples=["The catalog has no such product."],
    )


class EventDto(WireModel):
    """A CloudEvent about an order. All readers get the same bytes."""

    specversion: str = Field(examples=["1.0"])
    id: str = Field(
        description="A UUID of version 7. An event may come twice; this tells.",
        examples=["0192f3c1-7e1a-7c3a-9d0a-5a4b7c1d2e3f"],
    )
    source: str = Field(examples=["https://regards.example.org/api/v1/rs-order/project1"])
    type: str = Field(
        description="`event` of the data behind the prefix of the deployment.",
        examples=["rsorder.suborder.ready"],
    )
    subject: str = Field(examples=["orders/12"])
    time: Instant = Field(examples=["2026-11-28T19:02:11.123456Z"])
    datacontenttype: str = Field(examples=["application/json"])
    dataschema: str = Field(
        examples=["https://regards.example.org/api/v1/rs-order/schemas/events-1.json"]
    )
    sequence: str = Field(
        description="The position in the log, as a text that sorts.",
        examples=["000000000000004711"],
    )
    partitionkey: str = Field(examples=["project1/order/12"])
    correlationid: str | None = Field(None, examples=["delivery-req-9"])
    data: EventData


def data_schema() -> dict[str, Any]:
    """Return the JSON schema of the data, which each event names."""
    schema = EventData.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
