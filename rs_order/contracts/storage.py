"""Messages from and to storage: FilesRestorationRequestEvent and FileReferenceEvent (amqp.md 3.2)."""

from pydantic import ConfigDict, Field

from rs_order.contracts.wire import Text, WireModel

FILES_RESTORATION_REQUEST = (
    "fr.cnes.regards.modules.filecatalog.amqp.input.FilesRestorationRequestEvent"
)
FILE_REFERENCE = "fr.cnes.regards.modules.filecatalog.amqp.output.FileReferenceEvent"
FILE_REFERENCE_UPDATE = "fr.cnes.regards.modules.filecatalog.amqp.output.FileReferenceUpdateEvent"

AVAILABLE = "AVAILABLE"
AVAILABILITY_ERROR = "AVAILABILITY_ERROR"


class FilesRestorationRequest(WireModel):
    """A request to make files available for some hours. It has at most 1000 checksums."""

    model_config = ConfigDict(populate_by_name=True)

    checksums: list[str]
    availability_hours: int = Field(alias="availabilityHours")
    group_id: str = Field(alias="groupId")


class FileReferenceEvent(WireModel):
    """An event about a file of storage. Only the types of the constants above concern orders."""

    type: Text | None = None
    checksum: Text | None = None
    message: Text | None = None
