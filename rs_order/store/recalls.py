"""Checksums that storage was asked for, and the sub-orders that joined these requests (decision 0043)."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from rs_order.domain.ids import Checksum, OrderId, SubOrderId
from rs_order.domain.recalls import JoinedFile, PendingFile, Recall, Shared
from rs_order.store.errors import StoreConflict
from rs_order.store.pool import Connection, Row, statements

SQL = statements("recalls")


@dataclass(frozen=True, slots=True)
class Joiner:
    """A sub-order that has joined a request, as the answer finds it."""

    order_id: OrderId
    file: JoinedFile


class Recalls:
    """The requests of a tenant that storage hasn't answered.

    They follow from the sub-orders at work and their pending files. Only what a sub-order joined is a row.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def pending(
        self, sub_orders: Sequence[SubOrderId], *, to_ask: bool = True
    ) -> Mapping[SubOrderId, list[PendingFile]]:
        """Return what storage still has to settle, of each sub-order, by ascending checksum.

        The orders are locked. ``to_ask``: nobody else asks for these checksums until the unit of work ends.
        """
        found: dict[SubOrderId, list[PendingFile]] = {sub_order: [] for sub_order in sub_orders}
        for row in await self._connection.fetch(SQL["pending"], sub_orders, to_ask):
            file = PendingFile(
                SubOrderId(row["sub_order_id"]),
                Checksum(row["checksum"]),
                row["files"],
                row["bytes"],
                row["joined"],
            )
            found[file.sub_order_id].append(file)
        return found

    async def shared(
        self,
        pending: Mapping[SubOrderId, Sequence[PendingFile]],
        *,
        reminded: bool = False,
    ) -> Mapping[Checksum, Shared]:
        """Return those of the pending checksums that further sub-orders wait for.

        ``reminded``: true if only recalls count that storage is still reminded of.
        """
        checksums = sorted({file.checksum for files in pending.values() for file in files})
        if not checksums:
            return {}
        rows = await self._connection.fetch(SQL["shared"], checksums, list(pending), reminded)
        return {Checksum(row["checksum"]): _shared_of(row) for row in rows}

    async def join(self, files: Sequence[JoinedFile]) -> None:
        """Let sub-orders join requests; their orders are locked."""
        if files:
            await self._connection.execute(
                SQL["join"],
                [file.sub_order_id for file in files],
                [file.checksum for file in files],
                [file.asked_by for file in files],
                [file.asks_longer for file in files],
            )

    async def leave(
        self, sub_order: SubOrderId, checksums: Sequence[Checksum] | None = None
    ) -> None:
        """Forget what a sub-order has joined; ``checksums``: only these."""
        await self._connection.execute(SQL["leave"], sub_order, checksums)

    async def joined(
        self, checksums: Sequence[Checksum], orders: Collection[OrderId]
    ) -> list[Joiner]:
        """Return who has joined requests for these checksums.

        Args:
            checksums: of a batch of answers.
            orders: those that are locked because they wait for an answer.

        Raises:
            StoreConflict: an order that isn't locked has joined meanwhile; start again.
        """
        rows = await self._connection.fetch(SQL["joined"], checksums, list(orders))
        joiners = [_joiner_of(row) for row in rows]
        missed = {one.order_id for one in joiners} - set(orders)
        if missed:
            raise StoreConflict(f"orders {sorted(missed)} joined a request that is being answered")
        return joiners

    async def forget(self, joiners: Sequence[Joiner]) -> None:
        """Forget those of the joined files that aren't pending any more."""
        if joiners:
            await self._connection.execute(
                SQL["forget"],
                [one.file.sub_order_id for one in joiners],
                [one.file.checksum for one in joiners],
            )


def _shared_of(row: Row) -> Shared:
    recall = None
    if row["asked_by"] is not None:
        recall = Recall(
            SubOrderId(row["asked_by"]), OrderId(row["order_id"]), int(row["asked_hours"])
        )
    return Shared(recall, row["hours"])


def _joiner_of(row: Row) -> Joiner:
    file = JoinedFile(
        SubOrderId(row["sub_order_id"]),
        Checksum(row["checksum"]),
        SubOrderId(row["asked_by"]),
        row["asks_longer"],
    )
    return Joiner(OrderId(row["order_id"]), file)
