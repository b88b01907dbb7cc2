"""Processes, and the windows that are cut for them, as JSON columns keep them."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from rs_order.domain.ids import SubOrderId
from rs_order.domain.process import Cardinality, Forecast, LimitKind, Process, Scope
from rs_order.domain.windows import Totals
from rs_order.ports.store import ProcessedCursor, WindowCursor


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


def processed_record(cursor: ProcessedCursor | None) -> dict[str, Any] | None:
    if cursor is None:
        return None
    return {
        "process": process_record(cursor.process),
        "sub_orders": cursor.sub_orders,
        "stored": _window_record(cursor.stored),
        "external": _window_record(cursor.external),
    }


def processed_from(record: Mapping[str, Any] | None) -> ProcessedCursor | None:
    if record is None:
        return None
    return ProcessedCursor(
        process=process_from(record["process"]),
        sub_orders=record["sub_orders"],
        stored=_window_from(record["stored"]),
        external=_window_from(record["external"]),
    )


def _window_record(window: WindowCursor | None) -> dict[str, Any] | None:
    if window is None:
        return None
    return {
        "files": window.totals.files,
        "bytes": window.totals.bytes,
        "products": window.totals.products,
        "closed": window.closed,
        "sub_order": window.sub_order,
    }


def _window_from(record: Mapping[str, Any] | None) -> WindowCursor | None:
    if record is None:
        return None
    sub_order = record["sub_order"]
    return WindowCursor(
        totals=Totals(record["files"], record["bytes"], record["products"]),
        closed=record["closed"],
        sub_order=SubOrderId(sub_order) if sub_order is not None else None,
    )
