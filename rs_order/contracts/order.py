"""OrderDto: an order as the REST side shows it (rest.md 5.5), and what it is made with (7.1)."""

from pydantic import ConfigDict, Field

from rs_order.contracts.selection import FileSelectionDescription, ProcessDescription
from rs_order.contracts.wire import Instant, Text, WireModel
from rs_order.domain.states import OrderStatus


class OrderCreation(WireModel):
    """What a user says of the order that his basket shall become; ``{}`` is enough (rest.md 7.1)."""

    label: Text | None = Field(
        None,
        description="At most 50 characters, unique for its owner; made up when absent or empty.",
        examples=["Flood of May"],
    )
    on_success_url: Text | None = Field(
        None,
        alias="onSuccessUrl",
        description="Path below the project's address, for the mail; no mail when absent.",
        examples=["/user/project1/redirect?module=order-history"],
    )


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
