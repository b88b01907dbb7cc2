"""The process and the file filter of a dataset, in baskets and orders (rest.md 5.3, 5.4)."""

from typing import Annotated, Any
from uuid import UUID

from pydantic import BeforeValidator, ConfigDict, Field

from rs_order.contracts.wire import DropNulls, Text, WireModel
from rs_order.domain.file_filter import FileFilter, FileKind
from rs_order.domain.process import ProcessChoice

_KINDS = frozenset(kind.value for kind in FileKind)


def _known_kinds(value: Any) -> Any:
    """Remove unknown names and repetitions (rest.md 3.1)."""
    if not isinstance(value, list):
        return value
    return list(dict.fromkeys(item for item in value if isinstance(item, str) and item in _KINDS))


def _without_null_values(value: Any) -> Any:
    """Remove null values. Null instead of the object means no parameters."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        return value
    return {name: text for name, text in value.items() if text is not None}


class ProcessDescription(WireModel):
    """A process attached to a dataset, with the parameters that the user set."""

    model_config = ConfigDict(populate_by_name=True)

    process_business_id: UUID = Field(
        alias="processBusinessId", examples=["a5d0b3f4-0ad3-4c9e-9a10-0b7a3c1f0e21"]
    )
    parameters: Annotated[dict[Text, Text], BeforeValidator(_without_null_values)] = Field(
        default_factory=dict, examples=[{"epsg": "4326"}]
    )

    @classmethod
    def of(cls, choice: ProcessChoice) -> "ProcessDescription":
        return cls(process_business_id=choice.process_id, parameters=dict(choice.parameters))

    def choice(self) -> ProcessChoice:
        return ProcessChoice(self.process_business_id, self.parameters)


class FileSelectionDescription(WireModel):
    """The file filter of a dataset. Absent or empty types select every type."""

    model_config = ConfigDict(populate_by_name=True)

    file_types: Annotated[list[FileKind] | None, DropNulls, BeforeValidator(_known_kinds)] = Field(
        None, alias="fileTypes", examples=[["RAWDATA"]]
    )
    file_name_pattern: Text | None = Field(
        None, alias="fileNamePattern", examples=[".*\\.nc"], description="RE2, on the whole name."
    )

    @classmethod
    def of(cls, file_filter: FileFilter) -> "FileSelectionDescription":
        return cls(file_types=sorted(file_filter.kinds), file_name_pattern=file_filter.name_pattern)

    def file_filter(self) -> FileFilter:
        return FileFilter(frozenset(self.file_types or ()), self.file_name_pattern)
