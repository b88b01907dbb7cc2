"""Variables of paths, by the names that are a contract with the interface (rest.md 2.3)."""

from typing import Annotated, Any
from urllib.parse import unquote

from fastapi import Path
from pydantic import BeforeValidator

from rs_order.contracts.wire import INT64, Instant


def _id(name: str) -> Any:
    return Path(alias=name, ge=-INT64 - 1, le=INT64, examples=[12])


OrderIdInPath = Annotated[int, _id("orderId")]
DatasetTaskIdInPath = Annotated[int, _id("datasetId")]
SubOrderIdInPath = Annotated[int, _id("filesTaskId")]
DataFileIdInPath = Annotated[int, _id("dataFileId")]
DatasetSelectionIdInPath = Annotated[int, _id("datasetSelectionId")]


def _date_in_path(value: Any) -> Any:
    """A date as clients put it there (rest.md 6.5).

    It may be in quotes and encoded once more, and a ``+`` may have become a space on its way.
    """
    return unquote(value).strip('"').replace(" ", "+") if isinstance(value, str) else value


SelectionDateInPath = Annotated[
    Instant, BeforeValidator(_date_in_path), Path(alias="itemsSelectionDate")
]
TenantInPath = Annotated[str, Path(alias="tenant", examples=["project1"])]
