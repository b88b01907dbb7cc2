"""OrderDto: an order as the REST side shows it (rest.md 5.5)."""

from pydantic import ConfigDict, Field

from rs_order.contracts.selection import FileSelectionDescription, ProcessDescription
from rs_order.contracts.wire import Instant, WireModel
from rs_order.domain.states import OrderStatus


class DatasetTaskDto(WireModel):
    """What an order takes of one dataset."""

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


class LinkDto(WireModel):
    """Where to go from here; peers read no other property (rest.md 3.2)."""

    rel: str = Field(examples=["pause"])
    href: str = Field(examples=["https://example.org/api/v1/rs-order/user/orders/pause/12"])


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


class OrderEntity(WireModel):
    """An order in its wrapper."""

    content: OrderDto
    links: list[LinkDto]
