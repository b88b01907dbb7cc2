"""Orders, their baskets when they are created, and their history."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from rs_order import traces
from rs_order.domain.events import OrderDoor
from rs_order.domain.ids import BasketId, Checksum, OrderId, RequestId
from rs_order.domain.moves import Reason
from rs_order.domain.order import Order, numbered
from rs_order.domain.selection import DatasetSelection
from rs_order.store.baskets import put_selections, reserve_ids
from rs_order.store.events import EventWriter
from rs_order.store.pool import Connection, statements
from rs_order.store.rows import order_of, order_record

SQL = statements("orders")
_NUMBERED_FORMS = 100
"""Numbered forms of a label that are checked. Beyond them, the unique constraint decides."""


@dataclass(frozen=True, slots=True)
class NewOrder:
    """An order to be created, with the basket that it consumes: its own, or the owner's (B16)."""

    owner: str
    role: str
    label: str
    correlation_id: str
    request_id: RequestId | None
    sub_order_hours: int
    created_at: datetime
    selections: tuple[DatasetSelection, ...] = ()
    """Contents of its own basket."""
    basket: BasketId | None = None
    """The owner's interactive basket, which it consumes instead. The unit of work has locked it."""
    front_url: str | None = None
    """Path below the project's address, for the mail to the owner."""
    door: OrderDoor = field(kw_only=True)


class Orders:
    """The orders of a tenant."""

    def __init__(self, connection: Connection, events: EventWriter) -> None:
        self._connection = connection
        self._events = events

    async def labels_taken(self, wanted: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
        """Return the (owner, label) pairs in use by orders of any status, with their numbered forms."""
        taken = await self._labels(wanted)
        if not taken:
            return taken
        forms = [
            (owner, numbered(label, number))
            for owner, label in taken
            for number in range(2, _NUMBERED_FORMS + 1)
        ]
        return taken | await self._labels(forms)

    async def _labels(self, wanted: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
        owners, labels = [owner for owner, _ in wanted], [label for _, label in wanted]
        rows = await self._connection.fetch(SQL["labels_taken"], owners, labels)
        return {(row["owner"], row["label"]) for row in rows}

    async def lock_basket(self, owner: str) -> BasketId | None:
        """Lock the owner's interactive basket. Return its id, or None if there is none."""
        id_ = await self._connection.fetchval(SQL["lock_basket"], owner)
        return BasketId(id_) if id_ is not None else None

    async def create(self, orders: Sequence[NewOrder]) -> list[OrderId]:
        """Create orders in status PENDING, with their baskets and their completions.

        Raises:
            StoreConflict: a label was taken meanwhile; check the labels again.
        """
        ids = [OrderId(id_) for id_ in await reserve_ids(self._connection, "orders", len(orders))]
        records = [_new_order_record(id_, order) for id_, order in zip(ids, orders, strict=True)]
        await self._connection.execute(SQL["create"], records)
        await self._take_baskets(ids, orders)
        await self._create_baskets(ids, orders)
        await self._connection.execute(SQL["create_completions"], ids)
        await self._connection.execute(
            SQL["create_history"],
            ids,
            orders[0].created_at,
            "order-created",
            [order.owner for order in orders],
            [self._first_event(id_, order) for id_, order in zip(ids, orders, strict=True)],
        )
        return ids

    def _first_event(self, order_id: OrderId, order: NewOrder) -> dict[str, Any]:
        return self._events.of_new(
            order_id,
            owner=order.owner,
            correlation_id=order.correlation_id,
            at=order.created_at,
            members={"label": order.label, "door": order.door},
        )

    async def lock(self, ids: Sequence[OrderId], *, filling: bool = True) -> list[Order]:
        """Lock and load orders by ascending id. Unknown ids are left out.

        ``filling``: False if the caller can't end an order, and so needn't know which still receive files.
        """
        orders = [order_of(row) for row in await self._connection.fetch(SQL["lock"], ids)]
        if not orders or not filling:
            return orders
        by_id = {order.id: order for order in orders}
        for row in await self._connection.fetch(SQL["filling"], list(by_id)):
            order = by_id[OrderId(row["order_id"])]
            order.completing = order.completing or row["completing"]
            order.retrying = order.retrying or not row["completing"]
        return orders

    async def lock_awaiting(self, checksums: Sequence[Checksum]) -> list[Order]:
        """Lock and load the orders that a storage event about these checksums can change."""
        rows = await self._connection.fetch(SQL["awaiting"], checksums)
        return await self.lock([row["order_id"] for row in rows]) if rows else []

    async def save(self, orders: Sequence[Order], at: datetime) -> None:
        """Write orders back, with their events, and add their moves to the history."""
        if not orders:
            return
        history = [
            {
                "order_id": order.id,
                "before": move.before,
                "after": move.after,
                "reason": move.reason,
                "actor": move.actor,
            }
            for order in orders
            for move in order.moves
        ]
        records = [order_record(order) for order in orders]
        events = self._events.of_saved(orders, at)
        await self._connection.execute(SQL["save"], records, at, history, events)
        for order in orders:
            order.moves.clear()

    async def explain(self, order_id: OrderId, message: str) -> None:
        """Give an order a message, unless it has one or is deleted or expired."""
        await self._connection.execute(SQL["explain"], order_id, message)

    async def withdraw(self, order_id: OrderId, message: str) -> None:
        """Remove a message that no longer holds: no step of the order fails."""
        await self._connection.execute(SQL["withdraw"], order_id, message)

    async def owner(self, order_id: OrderId) -> str | None:
        """Return the owner, who never changes. None if there is no such order."""
        owner: str | None = await self._connection.fetchval(SQL["owner"], order_id)
        return owner

    async def has_process(self, order_id: OrderId) -> bool:
        """True if one of its datasets has a process."""
        return bool(await self._connection.fetchval(SQL["has_process"], order_id))

    async def has_basket(self, order_id: OrderId) -> bool:
        """True if the basket that it consumed still exists."""
        return bool(await self._connection.fetchval(SQL["has_basket"], order_id))

    async def copy_selections(self, source: OrderId, target: OrderId) -> None:
        """Copy the selections of an order to the empty basket of another, with their dates (B17)."""
        await self._connection.execute(SQL["copy_selections"], source, target)

    async def remove(self, order: Order, *, reason: Reason, actor: str, at: datetime) -> None:
        """Delete a locked order with its basket and dataset tasks. The history ends with ``REMOVED``.

        Its sub-orders and files are deleted in slices later.
        """
        await self._connection.execute(SQL["remove"], order.id)
        last = {
            "order_id": order.id,
            "before": order.status,
            "after": "REMOVED",
            "reason": reason,
            "actor": actor,
        }
        await self._connection.execute(SQL["add_history"], [last], at)

    async def _take_baskets(self, ids: Sequence[OrderId], orders: Sequence[NewOrder]) -> None:
        taken = {order.basket: id_ for id_, order in zip(ids, orders, strict=True) if order.basket}
        if taken:
            await self._connection.execute(
                SQL["take_baskets"], list(taken.keys()), list(taken.values())
            )

    async def _create_baskets(self, ids: Sequence[OrderId], orders: Sequence[NewOrder]) -> None:
        new = [(id_, order) for id_, order in zip(ids, orders, strict=True) if not order.basket]
        if not new:
            return
        baskets = await reserve_ids(self._connection, "basket", len(new))
        await self._connection.execute(
            SQL["create_baskets"],
            baskets,
            [order.owner for _, order in new],
            [id_ for id_, _ in new],
        )
        await put_selections(
            self._connection,
            [
                (basket, replace(selection, id=None))  # its own, whatever it is a copy of
                for basket, (_, order) in zip(baskets, new, strict=True)
                for selection in order.selections
            ],
        )


def _new_order_record(id_: OrderId, order: NewOrder) -> dict[str, Any]:
    return {
        "id": id_,
        "owner": order.owner,
        "role": order.role,
        "label": order.label,
        "correlation_id": order.correlation_id,
        "request_id": order.request_id,
        "front_url": order.front_url,
        "created_at": order.created_at,
        "sub_order_hours": order.sub_order_hours,
        "traceparent": traces.current(),
    }
