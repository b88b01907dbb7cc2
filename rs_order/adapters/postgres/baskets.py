"""Baskets: read whole, written as far as they change."""

from collections import defaultdict
from collections.abc import Sequence

from rs_order.adapters.postgres.driver import Connection, Row
from rs_order.adapters.postgres.rows import (
    dataset_selection_of,
    dataset_selection_record,
    dated_selection_records,
)
from rs_order.adapters.postgres.statements import statements
from rs_order.domain.basket import Basket, BasketChange, DatasetSelection
from rs_order.domain.ids import BasketId
from rs_order.ports.store import StoreConflict

SQL = statements("baskets")
ORDER_SQL = statements("orders")


async def reserve_ids(connection: Connection, table: str, count: int) -> list[int]:
    """Ids for rows that refer to each other before they are written."""
    return [row["id"] for row in await connection.fetch(ORDER_SQL["reserve"], table, count)]


async def put_selections(
    connection: Connection, selections: Sequence[tuple[int, DatasetSelection]]
) -> None:
    """Write dataset selections with their searches, each into the basket of the id beside it."""
    new = sum(selection.id is None for _, selection in selections)
    reserved = iter(await reserve_ids(connection, "dataset_selection", new) if new else ())
    ids = [next(reserved) if selection.id is None else selection.id for _, selection in selections]
    datasets, searches = [], []
    for id_, (basket, selection) in zip(ids, selections, strict=True):
        datasets.append(dataset_selection_record(id_, basket, selection))
        searches += dated_selection_records(id_, selection)
    await connection.execute(SQL["put_dataset_selections"], datasets)
    if new < len(selections):
        await connection.execute(SQL["remove_dated_selections"], ids)
    await connection.execute(SQL["put_dated_selections"], searches)


class PostgresBaskets:
    """Implements :class:`rs_order.ports.store.Baskets`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def of(self, owner: str) -> Basket | None:
        row = await self._connection.fetchrow(SQL["of_owner"], owner)
        if row is None:
            return None
        id_ = BasketId(row["id"])
        return Basket(id_, row["owner"], row["version"], await self._selections(id_))

    async def create(self, owner: str) -> None:
        await self._connection.execute(SQL["create"], owner)

    async def save(self, basket: Basket, change: BasketChange) -> None:
        if await self._connection.fetchval(SQL["change"], basket.id, basket.version) is None:
            raise StoreConflict(f"basket {basket.id} isn't of version {basket.version} any more")
        if change.removed:
            await self._connection.execute(
                SQL["remove_dataset_selections"], basket.id, change.removed
            )
        if change.put:
            await put_selections(
                self._connection, [(basket.id, selection) for selection in change.put]
            )

    async def delete(self, owner: str) -> None:
        await self._connection.execute(SQL["delete"], owner)

    async def _selections(self, basket: BasketId) -> tuple[DatasetSelection, ...]:
        searches: dict[int, list[Row]] = defaultdict(list)
        for row in await self._connection.fetch(SQL["dated_selections"], basket):
            searches[row["dataset_selection_id"]].append(row)
        rows = await self._connection.fetch(SQL["dataset_selections"], basket)
        return tuple(dataset_selection_of(row, searches[row["id"]]) for row in rows)
