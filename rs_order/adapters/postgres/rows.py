"""Rows to domain objects and back: the one place that knows how counters are spelled in columns."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import orjson

from rs_order.adapters.postgres.driver import Row
from rs_order.domain.basket import DatasetSelection, DatedSelection
from rs_order.domain.file_filter import FileFilter, FileKind
from rs_order.domain.files import DataType
from rs_order.domain.ids import DatasetSelectionId, OrderId, RequestId, SubOrderId, Urn
from rs_order.domain.instants import parse_instant, wire_instant
from rs_order.domain.order import Order
from rs_order.domain.process import ProcessChoice
from rs_order.domain.selection import SelectionRequest, TypeTotals
from rs_order.domain.states import FileState, OrderStatus, SubOrderKind, SubOrderState
from rs_order.domain.sub_order import SubOrder
from rs_order.domain.tally import FileMove, Tally


def tally_of(row: Row) -> Tally:
    return Tally(
        files={state: row[f"{state.lower()}_files"] for state in FileState},
        bytes={state: row[f"{state.lower()}_bytes"] for state in FileState},
    )


def _tally_columns(tally: Tally) -> dict[str, int]:
    columns: dict[str, int] = {}
    for state in FileState:
        columns[f"{state.lower()}_files"] = tally.files[state]
        columns[f"{state.lower()}_bytes"] = tally.bytes[state]
    return columns


def order_of(row: Row) -> Order:
    return Order(
        id=OrderId(row["id"]),
        owner=row["owner"],
        role=row["role"],
        correlation_id=row["correlation_id"],
        status=OrderStatus(row["status"]),
        sub_order_hours=row["sub_order_hours"],
        expires_at=row["expires_at"],
        message=row["message"],
        sub_orders=row["sub_orders"],
        waiting_sub_orders=row["waiting_sub_orders"],
        tally=tally_of(row),
        request_id=RequestId(row["request_id"]) if row["request_id"] is not None else None,
        front_url=row["front_url"],
    )


def order_record(order: Order) -> dict[str, Any]:
    return {
        "id": order.id,
        "status": order.status,
        "message": order.message,
        "expires_at": order.expires_at,
        "sub_orders": order.sub_orders,
        "waiting_sub_orders": order.waiting_sub_orders,
        **_tally_columns(order.tally),
    }


def sub_order_of(row: Row) -> SubOrder:
    return SubOrder(
        id=SubOrderId(row["id"]),
        order_id=OrderId(row["order_id"]),
        owner=row["owner"],
        kind=SubOrderKind(row["kind"]),
        state=SubOrderState(row["state"]),
        tally=tally_of(row),
        rank=row["rank"],
        asks=row["asks"],
        asked_at=row["asked_at"],
        quota_exceeded=row["quota_exceeded"],
        due_at=row["due_at"],
    )


def sub_order_record(sub_order: SubOrder) -> dict[str, Any]:
    return {
        "id": sub_order.id,
        "state": sub_order.state,
        "rank": sub_order.rank,
        "asks": sub_order.asks,
        "asked_at": sub_order.asked_at,
        "quota_exceeded": sub_order.quota_exceeded,
        "due_at": sub_order.due_at,
        **_tally_columns(sub_order.tally),
    }


def move_of(row: Row) -> FileMove:
    return FileMove(
        order_id=OrderId(row["order_id"]),
        sub_order_id=SubOrderId(row["sub_order_id"]),
        before=FileState(row["before"]),
        after=FileState(row["after"]),
        files=row["files"],
        bytes=row["bytes"],
    )


def request_record(request: SelectionRequest) -> dict[str, Any]:
    """A search as it is kept in a basket (domain.md 1.5, selection_request)."""
    record: dict[str, Any] = {
        "engineType": request.engine_type,
        "searchParameters": request.search_parameters,
        "selectionDate": wire_instant(request.selection_date),
    }
    if request.dataset_urn:
        record["datasetUrn"] = request.dataset_urn
    if request.include:
        record["entityIdsToInclude"] = request.include
    if request.exclude:
        record["entityIdsToExclude"] = request.exclude
    return record


def request_of(record: Mapping[str, Any]) -> SelectionRequest:
    return SelectionRequest(
        engine_type=record["engineType"],
        selection_date=parse_instant(record["selectionDate"]),
        dataset_urn=Urn(record["datasetUrn"]) if record.get("datasetUrn") else None,
        search_parameters=dict(record["searchParameters"]),
        include=tuple(Urn(urn) for urn in record.get("entityIdsToInclude", ())),
        exclude=tuple(Urn(urn) for urn in record.get("entityIdsToExclude", ())),
    )


def types_record(types: Mapping[DataType, TypeTotals]) -> dict[str, dict[str, int]]:
    return {
        data_type.value: {
            "files": totals.files,
            "bytes": totals.bytes,
            "external_files": totals.external_files,
        }
        for data_type, totals in types.items()
    }


def types_of(record: Mapping[str, Any]) -> dict[DataType, TypeTotals]:
    return {DataType(name): TypeTotals(**totals) for name, totals in record.items()}


def optional_filter_of(row: Row) -> FileFilter | None:
    """The filter of a dataset, None when it has none; an empty one was set on purpose (B9)."""
    if row["file_kinds"] is None and row["file_name_pattern"] is None:
        return None
    kinds = frozenset(FileKind(kind) for kind in row["file_kinds"] or ())
    return FileFilter(kinds=kinds, name_pattern=row["file_name_pattern"])


def process_of(row: Row) -> ProcessChoice | None:
    if row["process_id"] is None:
        return None
    return ProcessChoice(UUID(str(row["process_id"])), row["process_parameters"] or {})


def kinds_column(file_filter: FileFilter | None) -> list[str] | None:
    return sorted(file_filter.kinds) if file_filter else None


def pattern_column(file_filter: FileFilter | None) -> str | None:
    return file_filter.name_pattern if file_filter else None


def dataset_selection_of(row: Row, searches: Sequence[Row]) -> DatasetSelection:
    return DatasetSelection(
        urn=Urn(row["dataset_urn"]),
        label=row["dataset_label"],
        products=row["products_count"],
        files=row["files_count"],
        bytes=row["files_bytes"],
        types=types_of(row["type_totals"]),
        file_filter=optional_filter_of(row),
        searches=tuple(
            DatedSelection(
                request=request_of(search["request"]),
                products=search["products_count"],
                types=types_of(search["type_totals"]),
            )
            for search in searches
        ),
        process=process_of(row),
        id=DatasetSelectionId(row["id"]),
    )


def dataset_selection_record(id_: int, basket: int, selection: DatasetSelection) -> dict[str, Any]:
    process = selection.process
    return {
        "id": id_,
        "basket_id": basket,
        "dataset_urn": selection.urn,
        "dataset_label": selection.label,
        "products_count": selection.products,
        "files_count": selection.files,
        "files_bytes": selection.bytes,
        "type_totals": types_record(selection.types),
        "file_kinds": kinds_column(selection.file_filter),
        "file_name_pattern": pattern_column(selection.file_filter),
        "process_id": str(process.process_id) if process else None,
        "process_parameters": dict(process.parameters) if process else None,
    }


def dated_selection_records(id_: int, selection: DatasetSelection) -> list[dict[str, Any]]:
    return [
        {
            "dataset_selection_id": id_,
            "selection_date": search.request.selection_date,
            "position": position,
            "request": request_record(search.request),
            "products_count": search.products,
            "type_totals": types_record(search.types),
        }
        for position, search in enumerate(selection.searches)
    ]


def json_text(value: Any) -> str:
    """JSON as text, for columns that keep a message as it goes out."""
    return orjson.dumps(value).decode()


def affected(status: str) -> int:
    """Rows a statement touched, from the server's command tag (``DELETE 12``)."""
    return int(status.rsplit(" ", 1)[-1])
