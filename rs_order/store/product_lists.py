"""The lists of the products of orders, inside a unit of work (sql/product_lists.sql)."""

from typing import Final

from rs_order.domain.ids import OrderId
from rs_order.store.pool import Connection, statements
from rs_order.store.rows import affected

SQL: Final = statements("product_lists")

MOST_LISTED: Final = 1001
"""The most files of a product that its list names: those that are shown, and one more."""


class ProductLists:
    """A list grows by slices, and never changes otherwise: the files of an order are only added."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def add_slice(self, order_id: OrderId, limit: int) -> bool:
        """Add the products of the next ``limit`` files of an order. Return whether there may be more."""
        connection = self._connection
        if await connection.fetchval(SQL["lock_order"], order_id) is None:
            return False
        await connection.execute(SQL["begin"], order_id)
        last = await connection.fetchval(SQL["lock"], order_id)
        added = await connection.fetchval(SQL["add_slice"], order_id, last, limit, MOST_LISTED)
        return bool(added == limit)

    async def delete_slice(self, order_id: OrderId, limit: int) -> int:
        """Delete up to ``limit`` products of a list. Return how many there were."""
        return affected(await self._connection.execute(SQL["delete_slice"], order_id, limit))
