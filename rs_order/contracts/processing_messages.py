"""Messages from and to rs-processing (amqp.md 3.3)."""

from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from pydantic import ConfigDict, Field

from rs_order.contracts.wire import DropNulls, Flag, Text, WireModel, excerpt
from rs_order.domain.files import LARGEST_FILE, LONGEST_CHECKSUM
from rs_order.domain.outputs import MadeFile

_EVENTS = "fr.cnes.regards.modules.processing.domain.events"
EXECUTION_REQUEST = f"{_EVENTS}.PExecutionRequestEvent"
EXECUTION_RESULT = f"{_EVENTS}.PExecutionResultEvent"
DOWNLOADED_OUTPUTS = f"{_EVENTS}.DownloadedOutputFilesEvent"
PROCESS_RIGHTS = "fr.cnes.regards.modules.processing.event.RightsPluginConfigurationEvent"

_LONGEST_EXPLANATION = 1000
"""Characters of a result's messages."""


class ExecutionInput(WireModel):
    """An input file of an execution."""

    model_config = ConfigDict(populate_by_name=True)

    parameter_name: str = Field("", alias="parameterName")
    local_relative_path: str = Field(alias="localRelativePath")
    content_type: str = Field(alias="contentType")
    url: str | None = None
    bytes: int
    checksum: str
    file_name: str = Field(alias="fileName")
    metadata: dict[str, str]
    input_correlation_id: str = Field(alias="inputCorrelationId")


class ExecutionRequest(WireModel):
    """A request for one execution of a batch."""

    model_config = ConfigDict(populate_by_name=True)

    execution_correlation_id: str = Field(alias="executionCorrelationId")
    batch_id: str = Field(alias="batchId")
    input_files: list[ExecutionInput] = Field(alias="inputFiles")


class DownloadedOutputs(WireModel):
    """Files that were downloaded. rs-processing may delete them."""

    model_config = ConfigDict(populate_by_name=True)

    output_file_urls: list[str] = Field(alias="outputFileUrls")


class ExecutionStatus(StrEnum):
    """The state of an execution."""

    REGISTERED = "REGISTERED"
    PREPARE = "PREPARE"
    RUNNING = "RUNNING"
    PENDING = "PENDING"
    CLEANUP = "CLEANUP"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    CANCELLED = "CANCELLED"
    TIMED_OUT = "TIMED_OUT"

    @property
    def final(self) -> bool:
        return self in _FINAL


_FINAL = frozenset(
    {
        ExecutionStatus.SUCCESS,
        ExecutionStatus.FAILURE,
        ExecutionStatus.CANCELLED,
        ExecutionStatus.TIMED_OUT,
    }
)


class ResultOutput(WireModel):
    """An output file of an execution."""

    url: Annotated[Text, Field(min_length=1)]
    name: Text
    size: Annotated[int, Field(ge=0, le=LARGEST_FILE)] | None = None
    checksum_method: Text | None = Field(None, alias="checksumMethod")
    checksum: Annotated[Text, Field(max_length=LONGEST_CHECKSUM)] | None = Field(
        None, alias="checksumValue"
    )
    inputs: Annotated[list[Text], DropNulls] = Field([], alias="inputCorrelationIds")

    @property
    def made(self) -> MadeFile:
        return MadeFile(
            url=self.url,
            name=self.name.rstrip("/").rpartition("/")[2] or self.name,
            size=self.size,
            checksum=self.checksum,
            checksum_algorithm=self.checksum_method,
            inputs=tuple(self.inputs),
        )


class ExecutionResultEvent(WireModel):
    """A result whose batch isn't checked yet.

    No member is required, because it may belong to another service.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    batch: Any = Field(None, alias="batchCorrelationId")

    @property
    def body(self) -> dict[str, Any]:
        """The message as it was received."""
        return {**(self.model_extra or {}), "batchCorrelationId": self.batch}


class ExecutionResult(WireModel):
    """The result of an execution that belongs to a batch of this service."""

    batch_correlation_id: Text = Field(alias="batchCorrelationId")
    execution_correlation_id: Text = Field(alias="executionCorrelationId")
    process_info: Annotated[dict[str, Text], DropNulls] = Field(alias="processInfo")
    status: ExecutionStatus = Field(alias="finalStatus")
    outputs: Annotated[list[ResultOutput], DropNulls] | None = None
    messages: Annotated[list[Text], DropNulls] | None = None

    @property
    def succeeded(self) -> bool:
        return self.status is ExecutionStatus.SUCCESS

    @property
    def made(self) -> list[MadeFile]:
        return [output.made for output in self.outputs or ()]

    @property
    def explanation(self) -> str:
        """The reason for missing outputs, for the user; each of them keeps it."""
        detail = "; ".join(text for text in self.messages or () if text.strip())
        ending = "made no file" if self.succeeded else f"ended with {self.status}"
        if not detail:
            return f"The process {ending}."
        return f"The process {ending}: {excerpt(detail, _LONGEST_EXPLANATION)}"


class RightsType(StrEnum):
    """The kind of change of the rights of a process."""

    CREATE = "CREATE"
    UPDATE = "UPDATE"
    DELETE = "DELETE"


class Rights(WireModel):
    """The datasets that may use a process."""

    datasets: Annotated[list[Text], DropNulls] = Field(default_factory=list)
    all_datasets: Flag = Field(False, alias="isLinkedToAllDatasets")


class PluginConfiguration(WireModel):
    """The configuration of a process. Only the business id is read."""

    business_id: UUID = Field(alias="businessId")


class ProcessWithRights(WireModel):
    """A process with its rights."""

    plugin_configuration: PluginConfiguration = Field(alias="pluginConfiguration")
    rights: Rights = Rights()

    @property
    def id(self) -> UUID:
        """The id of the process in baskets."""
        return self.plugin_configuration.business_id


class ProcessRightsEvent(WireModel):
    """The rights of a process changed; ``before`` is absent from CREATE, ``after`` from DELETE."""

    type: RightsType
    before: ProcessWithRights | None = None
    after: ProcessWithRights | None = None
