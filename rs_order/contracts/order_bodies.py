"""Orders, searches of orders and files of orders, as REST shows them (rest.md 5.5 to 5.8, 7.1, 8.1)."""

from typing import Annotated

from pydantic import ConfigDict, Field

from rs_order.contracts.basket_bodies import FileSelectionDescription, ProcessDescription
from rs_order.contracts.order_messages import OrderRequest, OrderResponse
from rs_order.contracts.subscription_bodies import NotifyDto, NotifyRequest
from rs_order.contracts.wire import DropNulls, Flag, Instant, Text, WireModel
from rs_order.domain.reasons import ReasonCode
from rs_order.domain.states import FileState, OrderStatus


class QuotedRequest(OrderRequest):
    """An order request over REST, or the id of a quote that is ordered instead."""

    quote_id: Text | None = Field(
        None, alias="quoteId", description="Order this quote; then no queries.", examples=["q-12"]
    )
    notify: NotifyRequest | None = Field(
        None, description="A webhook for the events of the order, made with it."
    )


class AppliedResponse(OrderResponse):
    """The response to an order request over REST."""

    notify: NotifyDto | None = Field(None, description="Only if one was asked for.")


class OrderCreation(WireModel):
    """The properties of an order to be created from the basket; ``{}`` is enough (rest.md 7.1)."""

    label: Text | None = Field(
        None,
        description="At most 50 characters, unique for its owner; generated when absent or empty.",
        examples=["Flood of May"],
    )
    on_success_url: Text | None = Field(
        None,
        alias="onSuccessUrl",
        description="Path below the project's address, for the mail; no mail when absent.",
        examples=["/user/project1/redirect?module=order-history"],
    )


class QuotedCreation(OrderCreation):
    """The properties of an order that is created from the basket, or from a quote."""

    quote_id: Text | None = Field(
        None,
        alias="quoteId",
        description="Order this quote instead of the basket, which stays.",
        examples=["q-12"],
    )


class DatasetTaskDto(WireModel):
    """The part of an order from one dataset."""

    model_config = ConfigDict(populate_by_name=True)

    id: int = Field(description="The `datasetId` of the file list.", examples=[21])
    dataset_label: str = Field(alias="datasetLabel", examples=["Sentinel-2 L2A"])
    objects_count: int = Field(alias="objectsCount", examples=[5])
    files_count: int = Field(alias="filesCount", examples=[10])
    files_size: int = Field(alias="filesSize", description="Bytes.", examples=[124452])
    process_dataset_description: ProcessDescription | None = Field(
        None, alias="processDatasetDescription"
    )
    file_selection_description: FileSelectionDescription | None = Field(
        None, alias="fileSelectionDescription"
    )


class OrderDto(WireModel):
    """An order, as its owner and administrators see it."""

    model_config = ConfigDict(populate_by_name=True)

    id: int = Field(examples=[12])
    owner: str = Field(examples=["jane@example.org"])
    label: str = Field(examples=["Order of 2024/01/23 at 10:21:51"])
    creation_date: Instant = Field(alias="creationDate", examples=["2024-01-23T09:21:51.004113Z"])
    expiration_date: Instant | None = Field(
        None, alias="expirationDate", examples=["2024-01-30T09:21:51.004113Z"]
    )
    percent_completed: int = Field(alias="percentCompleted", ge=0, le=100, examples=[40])
    files_in_error_count: int = Field(alias="filesInErrorCount", examples=[0])
    available_files_count: int = Field(
        alias="availableFilesCount", description="Ready and not yet downloaded.", examples=[4]
    )
    status: OrderStatus = Field(examples=["RUNNING"])
    status_date: Instant = Field(alias="statusDate", examples=["2024-01-23T09:21:52Z"])
    waiting_for_user: bool = Field(alias="waitingForUser", examples=[True])
    dataset_tasks: list[DatasetTaskDto] = Field(alias="datasetTasks")
    waiting_reason: ReasonCode | None = Field(
        None,
        alias="waitingReason",
        description="Why an unfinished order isn't further.",
        examples=["storage-restoring"],
    )
    waiting_text: str | None = Field(
        None, alias="waitingText", examples=["Files that storage is bringing back: 315."]
    )
    expected_earliest: Instant | None = Field(
        None,
        alias="expectedEarliest",
        description="The last file isn't expected before. Absent if no time is known, as the next.",
        examples=["2024-01-23T10:20:00Z"],
    )
    expected_latest: Instant | None = Field(
        None, alias="expectedLatest", examples=["2024-01-23T12:40:00Z"]
    )


class ValuesRestriction(WireModel):
    """Values to be among, or not to be among."""

    values: Annotated[list[Text] | None, DropNulls] = Field(
        None, description="At most 1000; unknown ones don't count.", examples=[["DONE", "FAILED"]]
    )
    mode: Text | None = Field(None, description="`INCLUDE` or `EXCLUDE`.", examples=["INCLUDE"])
    match_mode: Text | None = Field(
        None, alias="matchMode", description="Without effect on statuses.", examples=["STRICT"]
    )
    ignore_case: Flag | None = Field(
        None, alias="ignoreCase", description="Without effect on statuses.", examples=[True]
    )


class DatesRangeRestriction(WireModel):
    """From one instant to another, both included; each may be absent."""

    after: Instant | None = Field(None, examples=["2024-01-01T00:00:00.000Z"])
    before: Instant | None = Field(None, examples=["2034-12-31T23:59:59.999Z"])


class SearchRequestParameters(WireModel):
    """Restrictions that all hold; ``{}`` finds every order."""

    owner: Text | None = Field(
        None, description="A part of the owner's e-mail, as it is written.", examples=["jane"]
    )
    statuses: ValuesRestriction | None = None
    creation_date: DatesRangeRestriction | None = Field(None, alias="creationDate")
    waiting_for_user: Flag | None = Field(None, alias="waitingForUser", examples=["true"])


class OrderDataFile(WireModel):
    """A file of an order, in whatever state it is."""

    model_config = ConfigDict(populate_by_name=True)

    id: int = Field(description="The `dataFileId` of the downloads.", examples=[101])
    state: FileState = Field(examples=["AVAILABLE"])
    order_id: int = Field(alias="orderId", examples=[12])
    files_task_id: int = Field(alias="filesTaskId", description="Its sub-order.", examples=[31])
    ip_id: str = Field(
        alias="ipId",
        description="URN of the product, or of the dataset it is attached to.",
        examples=["URN:AIP:DATA:project1:77d75611-fac4-3047-8d3b-e0468fe1063e:V1"],
    )
    download_error: str | None = Field(
        None,
        alias="downloadError",
        description="Why it isn't available.",
        examples=["File not found"],
    )
    product_id: str | None = Field(None, alias="productId", examples=["Product_1"])
    version: int = Field(examples=[1])
    data_type: str = Field(alias="dataType", examples=["RAWDATA"])
    reference: bool = Field(description="Known by its URL only.", examples=[False])
    uri: str = Field(examples=["https://regards.example.org/api/v1/rs-catalog/downloads/p1.nc"])
    mime_type: str | None = Field(None, alias="mimeType", examples=["application/x-netcdf"])
    online: bool = Field(examples=[False])
    checksum: str | None = Field(None, examples=["241b5dffd6635f4de0cd2ff728f010c8"])
    digest_algorithm: str | None = Field(None, alias="digestAlgorithm", examples=["MD5"])
    filesize: int | None = Field(None, description="Bytes.", examples=[42000])
    filename: str = Field(examples=["p1.nc"])
    types: list[str] = Field(default=[], description="Always empty.", examples=[[]])


class OrderDataFileDTO(WireModel):
    """A file that can be downloaded now."""

    model_config = ConfigDict(populate_by_name=True)

    id: int = Field(description="The `dataFileId` of the downloads.", examples=[101])
    product_id: str | None = Field(None, alias="productId", examples=["Product_1"])
    version: int = Field(examples=[1])
    download_url: str = Field(
        alias="downloadUrl",
        examples=["https://regards.example.org/api/v1/rs-order/orders/files/101"],
    )
    mime_type: str | None = Field(None, alias="mimeType", examples=["application/x-netcdf"])
    checksum: str | None = Field(None, examples=["241b5dffd6635f4de0cd2ff728f010c8"])
    filesize: int | None = Field(None, description="Bytes.", examples=[42000])
    filename: str = Field(examples=["p1.nc"])
