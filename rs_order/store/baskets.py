"""Baskets. A basket is read as a whole; only what changed is written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rs_order.domain.files import DataType
from rs_order.domain.ids import BasketId, DatasetSelectionId, Tenant, Urn
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
from rs_order.store.pool import Connection, Pool, Row, statements
from rs_order.store.rows import kinds_column, optional_filter_of, pattern_column, process_of
from rs_order.store.tenant_reads import read_rows
from rs_order.store.tenant_writes import write_rows

SQL = statements("baskets")
ORDER_SQL = statements("orders")


async def reserve_ids(connection: Connection, table: str, count: int) -> list[int]:
    """Reserve ids for rows that refer to each other before they are written."""
    return [row["id"] for row in await connection.fetch(ORDER_SQL["reserve"], table, count)]


async def put_selections(
    connection: Connection, selections: Sequence[tuple[int, DatasetSelection]]
) -> None:
    """Write new dataset selections with their searches, each into the basket with the id beside it."""
    records = [
        {"basket_id": basket, **selection_record(selection)} for basket, selection in selections
    ]
    await connection.execute(SQL["put_selections"], records)


@dataclass(frozen=True, slots=True)
class FoundBasket:
    """The basket of an owner, if there is one."""

    basket: Basket | None
    in_maintenance: bool
    """True if the tenant is in maintenance, so that nothing may be changed."""


class Baskets:
    """The interactive baskets of users. It never shows the baskets of orders (W12).

    Each call is one statement, and a transaction by itself. All raise StoreUnavailable if the database can't
    be reached.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def of(self, tenant: Tenant, owner: str) -> Basket | None:
        """Return the owner's basket with its contents, or None if there is none."""
        return (await self.to_change(tenant, owner)).basket

    async def to_change(self, tenant: Tenant, owner: str) -> "FoundBasket":
        """Return the owner's basket, and whether it may be changed."""
        rows = await read_rows(self._pool, tenant, SQL["of_owner"], owner, tenant)
        return FoundBasket(basket_of(owner, rows), in_maintenance=rows[0]["in_maintenance"])

    async def create(self, tenant: Tenant, owner: str) -> None:
        """Create an empty basket for the owner, unless there is one (B2)."""
        await write_rows(self._pool, tenant, SQL["create"], owner)

    async def change(self, tenant: Tenant, basket: Basket, change: BasketChange) -> Basket:
        """Write a change of a basket, which is created if it is new. Return it as it is stored.

        Raises:
            StoreConflict: the basket was changed, created, deleted, or consumed by an order since it was
                read.
        """
        stored = {one.id: one.searches for one in basket.selections}
        records, gone = [], []
        for one in change.put:
            before, after = stored.get(one.id, ()), one.searches
            records.append(selection_record(one, stored=before))
            gone += [(one.id, instant) for instant in _instants(before) - _instants(after)]
        rows = await write_rows(
            *(self._pool, tenant, SQL["change"]),
            *(basket.id, basket.version, basket.owner, change.removed, records),
            *([selection for selection, _ in gone], [instant for _, instant in gone]),
        )
        if not rows:
            raise StoreConflict(
                f"the basket of {basket.owner} doesn't have version {basket.version} any more"
            )
        ids = {Urn(row["dataset_urn"]): DatasetSelectionId(row["used_id"]) for row in rows}
        return basket.changed(change, BasketId(rows[0]["of_basket"]), ids)

    async def delete(self, tenant: Tenant, owner: str) -> None:
        """Delete the owner's basket, if there is one (B3)."""
        await write_rows(self._pool, tenant, SQL["delete"], owner)


def basket_of(owner: str, rows: Sequence[Row]) -> Basket | None:
    """Return the basket in the rows of the statement ``of_owner``, or None if there is none."""
    if rows[0]["basket"] is None:
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


def _instants(searches: Sequence[DatedSelection]) -> set[datetime]:
    """Return the instants of searches, which are their keys."""
    return {search.request.selection_date for search in searches}


def selection_record(
    selection: DatasetSelection, stored: Sequence[DatedSelection] = ()
) -> dict[str, Any]:
    """Return the record of a dataset selection; ``stored``: its searches that aren't written again."""
    process, known = selection.process, _instants(stored)
    return {
        "id": selection.id,
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
            _search_record(position, search)
            for position, search in enumerate(selection.searches)
            if search.request.selection_date not in known
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
