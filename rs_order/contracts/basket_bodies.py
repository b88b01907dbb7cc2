"""Baskets, the searches added to them, and the processes and filters of datasets (rest.md 5.1 to 5.4)."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BeforeValidator, ConfigDict, Field

from rs_order.contracts.wire import DropNulls, Instant, Text, WireModel
from rs_order.domain.files import FileFilter, FileKind
from rs_order.domain.ids import Urn
from rs_order.domain.process import ProcessChoice
from rs_order.domain.selection import SelectionRequest

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


_URN = "URN:AIP:DATASET:project1:4af7fa7f-110e-42c8-b434-7c863c280548:V1"
_PRODUCT_URN = "URN:AIP:DATA:project1:0e8c3f1e-7a1f-3a44-8d9c-1b1f8a7f1a01:V1"
_DATE = "2024-01-23T09:21:50.720512Z"


def _named_values(value: Any) -> Any:
    """Remove null values: the web interface sends ``"q": null`` (rest.md 5.2)."""
    if not isinstance(value, dict):
        return value
    return {name: texts for name, texts in value.items() if texts is not None}


Texts = Annotated[list[Text], DropNulls]
Urns = Annotated[list[Text] | None, DropNulls]


class BasketSelectionRequest(WireModel):
    """A search that is added to the basket, or is part of it."""

    model_config = ConfigDict(populate_by_name=True)

    engine_type: Text | None = Field(
        None, alias="engineType", description="Not blank.", examples=["legacy"]
    )
    dataset_urn: Text | None = Field(
        None, alias="datasetUrn", description="Restricts the search to it.", examples=[_URN]
    )
    search_parameters: Annotated[dict[Text, Texts] | None, BeforeValidator(_named_values)] = Field(
        None, alias="searchParameters", examples=[{"q": ["properties.platform:S2A"]}]
    )
    entity_ids_to_include: Urns = Field(None, alias="entityIdsToInclude", examples=[[_PRODUCT_URN]])
    entity_ids_to_exclude: Urns = Field(None, alias="entityIdsToExclude", examples=[[]])
    selection_date: Instant | None = Field(
        None,
        alias="selectionDate",
        description="Products that came into the catalog later are left out. Default: now.",
        examples=[_DATE],
    )

    def selection_request(self, now: datetime) -> SelectionRequest:
        """Return the search with the sender's selection date, or ``now`` if it has none."""
        return SelectionRequest(
            engine_type=self.engine_type or "",
            selection_date=self.selection_date or now,
            dataset_urn=Urn(self.dataset_urn) if self.dataset_urn else None,
            search_parameters=dict(self.search_parameters or {}),
            include=_each_once(self.entity_ids_to_include),
            exclude=_each_once(self.entity_ids_to_exclude),
        )


class Counts(WireModel):
    """The totals of one or several searches."""

    model_config = ConfigDict(populate_by_name=True)

    objects_count: int = Field(
        alias="objectsCount", description="Products, each counted once.", examples=[5]
    )
    files_count: int = Field(
        alias="filesCount", description="RAWDATA and quicklook files.", examples=[10]
    )
    files_size: int = Field(alias="filesSize", description="Their bytes.", examples=[124452])
    quota: int = Field(description="RAWDATA files that storage holds.", examples=[8])


class ItemsSelectionDto(Counts):
    """A search in a basket, with its totals when it was added."""

    date: Instant = Field(description="Equals the request's `selectionDate`.", examples=[_DATE])
    selection_request: BasketSelectionRequest = Field(alias="selectionRequest")


class DatasetSelectionDto(Counts):
    """A dataset in a basket, with the totals of the union of its searches."""

    id: int = Field(description="The `datasetSelectionId` of the paths.", examples=[7])
    dataset_ipid: str = Field(alias="datasetIpid", examples=[_URN])
    dataset_label: str = Field(alias="datasetLabel", examples=["DATASET1"])
    items_selections: list[ItemsSelectionDto] = Field(
        alias="itemsSelections", description="By `date`."
    )
    process_dataset_description: ProcessDescription | None = Field(
        None, alias="processDatasetDescription"
    )
    file_selection_description: FileSelectionDescription | None = Field(
        None, alias="fileSelectionDescription"
    )


class BasketDto(WireModel):
    """A user's basket."""

    model_config = ConfigDict(populate_by_name=True)

    id: int = Field(examples=[3])
    owner: str = Field(examples=["jane@example.org"])
    dataset_selections: list[DatasetSelectionDto] = Field(
        alias="datasetSelections", description="By `datasetLabel`, whatever its case."
    )
    quota: int = Field(description="Of all datasets.", examples=[8])


def _each_once(urns: list[str] | None) -> tuple[Urn, ...]:
    return tuple(dict.fromkeys(Urn(urn) for urn in urns or ()))
