"""Baskets. A basket is read as a whole; only what changed is written."""

from collections.abc import Mapping, Sequence
from typing import Any

from rs_order.domain.files import DataType
from rs_order.domain.ids import BasketId, DatasetSelectionId, Urn
from rs_order.domain.instants import parse_instant, wire_instant
from rs_order.domain.selection import (
    Basket,
    BasketChange,
    DatasetSelection,
    DatedSelection,
    SelectionRequest,
    TypeTotals,
)
from rs_order.store.errors import StoreConflict
from rs_order.store.pool import Connection, Row, statements
from rs_order.store.rows import kinds_column, optional_filter_of, pattern_column, process_of

SQL = statements("baskets")
ORDER_SQL = statements("orders")


async def reserve_ids(connection: Connection, table: str, count: int) -> list[int]:
    """Reserve ids for rows that refer to each other before they are written."""
    return [row["id"] for row in await connection.fetch(ORDER_SQL["reserve"], table, count)]


async def put_selections(
    connection: Connection, selections: Sequence[tuple[int, DatasetSelection]]
) -> None:
    """Write dataset selections with their searches, each into the basket with the id beside it."""
    known = [selection.id for _, selection in selections if selection.id is not None]
    if known:
        await connection.execute(SQL["remove_dated_selections"], known)
    records = [selection_record(basket, selection) for basket, selection in selections]
    await connection.execute(SQL["put_selections"], records)


class Baskets:
    """The interactive baskets of a tenant. It never shows the baskets of orders (W12)."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def of(self, owner: str) -> Basket | None:
        """Return the owner's basket with its contents, or None if there is none."""
        return basket_of(owner, await self._connection.fetch(SQL["of_owner"], owner))

    async def create(self, owner: str) -> Basket | None:
        """Create an empty basket for the owner and return it; return None if there is one (B2)."""
        row = await self._connection.fetchrow(SQL["create"], owner)
        return None if row is None else Basket(BasketId(row["id"]), owner, row["version"])

    async def save(self, basket: Basket, change: BasketChange) -> None:
        """Write a change of a basket.

        Raises:
            StoreConflict: the basket was changed, deleted, or consumed by an order since it was read.
        """
        if await self._connection.fetchval(SQL["change"], basket.id, basket.version) is None:
            raise StoreConflict(
                f"basket {basket.id} doesn't have version {basket.version} any more"
            )
        if change.removed:
            await self._connection.execute(
                SQL["remove_dataset_selections"], basket.id, change.removed
            )
        if change.put:
            await put_selections(
                self._connection, [(basket.id, selection) for selection in change.put]
            )

    async def delete(self, owner: str) -> None:
        """Delete the owner's basket, if there is one (B3)."""
        await self._connection.execute(SQL["delete"], owner)


def basket_of(owner: str, rows: Sequence[Row]) -> Basket | None:
    """Return the basket in the rows of the statement ``of_owner``, or None if there is none."""
    if not rows:
        return None
    selections = tuple(
        dataset_selection_of(row, row["searches"] or ()) for row in rows if row["id"] is not None
    )
    return Basket(BasketId(rows[0]["basket"]), owner, rows[0]["version"], selections)


def request_record(request: SelectionRequest) -> dict[str, Any]:
    """Return the JSON of a search in a basket (domain.md 1.5, selection_request)."""
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


def dataset_selection_of(
    row: Row | Mapping[str, Any], searches: Sequence[Row | Mapping[str, Any]]
) -> DatasetSelection:
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


def selection_record(basket: int, selection: DatasetSelection) -> dict[str, Any]:
    process = selection.process
    return {
        "id": selection.id,
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
        "searches": [
            _search_record(position, search) for position, search in enumerate(selection.searches)
        ],
    }


def _search_record(position: int, search: DatedSelection) -> dict[str, Any]:
    return {
        "selection_date": search.request.selection_date,
        "position": position,
        "request": request_record(search.request),
        "products_count": search.products,
        "type_totals": types_record(search.types),
    }
