"""Represents baskets in REST: the members of the models in ``contracts/basket_bodies.py``.

They are plain objects: models that check each value again would take longer than all else of a change.
"""

from collections.abc import Mapping
from typing import Any

from rs_order.contracts.basket_bodies import FileSelectionDescription, ProcessDescription
from rs_order.contracts.wire import without_nulls
from rs_order.domain.files import DataType
from rs_order.domain.instants import wire_instant
from rs_order.domain.selection import (
    Basket,
    DatasetSelection,
    DatedSelection,
    SelectionRequest,
    TypeTotals,
    bytes_in,
    files_in,
    quota_of,
)


def basket_content(basket: Basket) -> dict[str, Any]:
    """Return the members of a ``BasketDto``.

    Raises:
        ValueError: the basket, or a dataset selection of it, isn't stored yet.
    """
    if basket.id is None:
        raise ValueError(f"the basket of {basket.owner} isn't stored yet")
    selections = [_selection(one) for one in basket.selections]
    selections.sort(key=lambda one: (one["datasetLabel"].casefold(), one["id"]))
    return {
        "id": basket.id,
        "owner": basket.owner,
        "datasetSelections": selections,
        "quota": sum(one["quota"] for one in selections),
    }


def _selection(selection: DatasetSelection) -> dict[str, Any]:
    """Return the members of a ``DatasetSelectionDto``."""
    if selection.id is None:
        raise ValueError(f"the selection of {selection.urn} isn't stored yet")
    process, wanted = selection.process, selection.file_filter
    searches = sorted(selection.searches, key=lambda one: one.request.selection_date)
    return without_nulls(
        **_counts(selection.products, selection.types),
        id=selection.id,
        datasetIpid=selection.urn,
        datasetLabel=selection.label,
        itemsSelections=[_search(one) for one in searches],
        processDatasetDescription=ProcessDescription.of(process).to_wire() if process else None,
        fileSelectionDescription=FileSelectionDescription.of(wanted).to_wire() if wanted else None,
    )


def _search(search: DatedSelection) -> dict[str, Any]:
    """Return the members of an ``ItemsSelectionDto``."""
    return {
        **_counts(search.products, search.types),
        "date": wire_instant(search.request.selection_date),
        "selectionRequest": _request(search.request),
    }


def _request(request: SelectionRequest) -> dict[str, Any]:
    """Return the members of a ``BasketSelectionRequest``."""
    return without_nulls(
        engineType=request.engine_type,
        datasetUrn=request.dataset_urn,
        searchParameters=request.search_parameters,
        entityIdsToInclude=request.include or None,
        entityIdsToExclude=request.exclude or None,
        selectionDate=wire_instant(request.selection_date),
    )


def _counts(products: int, types: Mapping[DataType, TypeTotals]) -> dict[str, int]:
    """Return the members of ``Counts``."""
    return {
        "objectsCount": products,
        "filesCount": files_in(types),
        "filesSize": bytes_in(types),
        "quota": quota_of(types),
    }
