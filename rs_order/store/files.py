"""Data files: every change of state is one statement over a set, and answers what moved."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from rs_order.domain.counters import FileMove
from rs_order.domain.ids import Checksum, DataFileId, OrderId, SubOrderId
from rs_order.ports.downloads import FetchResult, FileOutcome
from rs_order.store.pool import Connection
from rs_order.store.rows import affected, move_of
from rs_order.store.statements import statements

SQL = statements("files")


class Files:
    """The data files of orders. Each change of state is one statement over a set; it returns what moved."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def pending_checksums(self, sub_order: SubOrderId) -> list[Checksum]:
        """Distinct checksums of the files that storage still has to settle."""
        rows = await self._connection.fetch(SQL["pending_checksums"], sub_order)
        return [Checksum(row["checksum"]) for row in rows]

    async def settle_by_checksum(
        self,
        orders: Sequence[OrderId],
        available: Sequence[Checksum],
        unavailable: Mapping[Checksum, str],
    ) -> list[FileMove]:
        """Apply what storage said to the files that were asked of it; what is unavailable wins."""
        return await self._moves(
            "settle_by_checksum",
            orders,
            available,
            list(unavailable),
            list(unavailable.values()),
        )

    async def give_up(self, sub_order: SubOrderId, reason: str) -> list[FileMove]:
        """Files of a sub-order that storage never answered for become ERROR, open to a late answer."""
        return await self._moves("give_up", sub_order, reason)

    async def record_downloads(
        self, order_id: OrderId, outcomes: Sequence[FileOutcome], *, actor: str, at: datetime
    ) -> list[FileMove]:
        """Files are DOWNLOADED or in DOWNLOAD_ERROR; wrong content is noted in the order's history."""
        return await self._moves(
            "record_downloads",
            order_id,
            [outcome.id for outcome in outcomes],
            [outcome.result is FetchResult.WRONG_CONTENT for outcome in outcomes],
            [_reason_of(outcome) for outcome in outcomes],
            actor,
            at,
        )

    async def note_quota(
        self, order_id: OrderId, reasons: Mapping[DataFileId, str]
    ) -> list[SubOrderId]:
        """Keep the reason on files that stay AVAILABLE; the sub-orders they belong to."""
        rows = await self._connection.fetch(
            SQL["note_quota"], order_id, list(reasons), list(reasons.values())
        )
        return sorted({SubOrderId(row["sub_order_id"]) for row in rows})

    async def delete_slice(self, order_id: OrderId, limit: int) -> int:
        """Delete up to ``limit`` files of an order; how many went."""
        return affected(await self._connection.execute(SQL["delete_slice"], order_id, limit))

    async def _moves(self, statement: str, *parameters: object) -> list[FileMove]:
        return [move_of(row) for row in await self._connection.fetch(SQL[statement], *parameters)]


def _reason_of(outcome: FileOutcome) -> str | None:
    """Why a file failed, though it be without words; None when it was downloaded."""
    return None if outcome.result is FetchResult.DOWNLOADED else outcome.reason or ""
