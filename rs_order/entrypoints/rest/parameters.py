"""Variables of paths, by the names that are a contract with the interface (rest.md 2.3)."""

from typing import Annotated, Any

from fastapi import Path

_LARGEST = 2**63 - 1


def _id(name: str) -> Any:
    return Path(alias=name, ge=-_LARGEST - 1, le=_LARGEST, examples=[12])


OrderIdInPath = Annotated[int, _id("orderId")]
DatasetTaskIdInPath = Annotated[int, _id("datasetId")]
SubOrderIdInPath = Annotated[int, _id("filesTaskId")]
DataFileIdInPath = Annotated[int, _id("dataFileId")]
DatasetSelectionIdInPath = Annotated[int, _id("datasetSelectionId")]
TenantInPath = Annotated[str, Path(alias="tenant", examples=["project1"])]
