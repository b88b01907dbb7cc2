"""Conversion of rows to domain objects and back."""

from collections.abc import Collection, Mapping
from typing import Any, Final
from uuid import UUID

import orjson

from rs_order.domain.estimates import Range
from rs_order.domain.files import CatalogFile, FileFilter, FileKind
from rs_order.domain.ids import Checksum, OrderId, RequestId, SubOrderId
from rs_order.domain.order import Order
from rs_order.domain.process import Cardinality, Forecast, LimitKind, Process, ProcessChoice, Scope
from rs_order.domain.states import (
    FileCounters,
    FileMove,
    FileState,
    OrderStatus,
    SubOrderKind,
    SubOrderState,
)
from rs_order.domain.sub_order import SubOrder
from rs_order.store.pool import Row

_FILES_COLUMNS: Final = [(state, f"{state.lower()}_files") for state in FileState]
_BYTES_COLUMNS: Final = [(state, f"{state.lower()}_bytes") for state in FileState]


def counters_of(row: Row) -> FileCounters:
    return FileCounters(
        files={state: row[column] for state, column in _FILES_COLUMNS},
        bytes={state: row[column] for state, column in _BYTES_COLUMNS},
    )


def _counter_columns(counters: FileCounters) -> dict[str, int]:
    return {
        **{column: counters.files[state] for state, column in _FILES_COLUMNS},
        **{column: counters.bytes[state] for state, column in _BYTES_COLUMNS},
    }


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
        counters=counters_of(row),
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
        **_counter_columns(order.counters),
    }


def sub_order_of(row: Row) -> SubOrder:
    return SubOrder(
        id=SubOrderId(row["id"]),
        order_id=OrderId(row["order_id"]),
        owner=row["owner"],
        kind=SubOrderKind(row["kind"]),
        state=SubOrderState(row["state"]),
        counters=counters_of(row),
        rank=row["rank"],
        asks=row["asks"],
        asked_at=row["asked_at"],
        quota_exceeded=row["quota_exceeded"],
        due_at=row["due_at"],
        guess=row["guess"],
        expected=range_of(row),
        joined_files=row["joined_files"],
        joined_bytes=row["joined_bytes"],
        asked_hours=row["asked_hours"],
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
        **expectation_columns(sub_order.guess, sub_order.expected),
        "joined_files": sub_order.joined_files,
        "joined_bytes": sub_order.joined_bytes,
        "asked_hours": sub_order.asked_hours,
        **_counter_columns(sub_order.counters),
    }


def range_of(row: Row) -> Range | None:
    """Return the range that was given for a sub-order, if there was one."""
    if row["expected_latest"] is None:
        return None
    return Range(row["expected_earliest"], row["expected_latest"])


def expectation_columns(guess: float | None, expected: Range | None) -> dict[str, float | None]:
    return {
        "guess": guess,
        "expected_earliest": expected.earliest if expected else None,
        "expected_latest": expected.latest if expected else None,
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


def optional_filter_of(row: Row | Mapping[str, Any]) -> FileFilter | None:
    """Return the filter of a dataset, or None. An empty filter is one that was set (B9)."""
    if row["file_kinds"] is None and row["file_name_pattern"] is None:
        return None
    kinds = frozenset(FileKind(kind) for kind in row["file_kinds"] or ())
    return FileFilter(kinds=kinds, name_pattern=row["file_name_pattern"])


def process_of(row: Row | Mapping[str, Any]) -> ProcessChoice | None:
    if row["process_id"] is None:
        return None
    return ProcessChoice(UUID(str(row["process_id"])), row["process_parameters"] or {})


def kinds_column(file_filter: FileFilter | None) -> list[str] | None:
    return sorted(file_filter.kinds) if file_filter else None


def pattern_column(file_filter: FileFilter | None) -> str | None:
    return file_filter.name_pattern if file_filter else None


def content_columns(file: CatalogFile) -> tuple[object, ...]:
    """Return name, URL, external, online, size, checksum, its algorithm, and MIME type of a file."""
    return (
        file.name,
        file.url,
        file.external,
        file.online,
        file.size,
        file.checksum,
        file.checksum_algorithm,
        file.mime_type,
    )


def process_record(process: Process) -> dict[str, Any]:
    return {
        "id": str(process.id),
        "scope": process.scope,
        "cardinality": process.cardinality,
        "data_types": sorted(process.data_types),
        "limit_kind": process.limit_kind,
        "limit": process.limit,
        "forecast_factor": process.forecast.factor,
        "forecast_size": process.forecast.size,
        "forbids_split": process.forbids_split,
    }


def process_from(record: Mapping[str, Any]) -> Process:
    return Process(
        id=UUID(record["id"]),
        scope=Scope(record["scope"]),
        cardinality=Cardinality(record["cardinality"]),
        data_types=frozenset(record["data_types"]),
        limit_kind=LimitKind(record["limit_kind"]),
        limit=record["limit"],
        forecast=Forecast(factor=record["forecast_factor"], size=record["forecast_size"]),
        forbids_split=record["forbids_split"],
    )


def json_text(value: Any) -> str:
    """Return JSON as text, for columns that keep the bytes of a message."""
    return orjson.dumps(value).decode()


def affected(status: str) -> int:
    """Return how many rows a statement changed, from the server's command tag (``DELETE 12``)."""
    return int(status.rsplit(" ", 1)[-1])


def asker_columns(
    askers: Mapping[Checksum, Collection[SubOrderId]],
) -> tuple[list[Checksum], list[SubOrderId]]:
    """Return checksums and sub-orders as two columns, with a row for each pair."""
    rows = [(checksum, one) for checksum, sub_orders in askers.items() for one in sub_orders]
    return [checksum for checksum, _ in rows], [one for _, one in rows]
