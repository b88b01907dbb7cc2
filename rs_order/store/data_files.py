"""Data files of orders."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from rs_order.domain.ids import Checksum, DataFileId, OrderId, SubOrderId
from rs_order.domain.states import FileMove
from rs_order.ports import FetchResult, FileOutcome
from rs_order.store.pool import Connection, statements
from rs_order.store.rows import affected, asker_columns, move_of

SQL = statements("files")
ARCHIVES = statements("archives")


class Files:
    """The data files of a tenant. A change of state is one statement over a set of files."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def settle_by_checksum(
        self,
        orders: Sequence[OrderId],
        available: Sequence[Checksum],
        unavailable: Mapping[Checksum, str],
        askers: Mapping[Checksum, Collection[SubOrderId]],
    ) -> list[FileMove]:
        """Apply storage events to files that storage was asked for. Return what moved; "unavailable" wins.

        A checksum of ``askers`` is unavailable for these sub-orders only.
        """
        return await self._moves(
            "settle_by_checksum",
            orders,
            available,
            list(unavailable),
            list(unavailable.values()),
            *asker_columns(askers),
        )

    async def give_up(self, sub_order: SubOrderId, reason: str) -> list[FileMove]:
        """Make the pending files of a sub-order ERROR, because no storage event came. A late event counts."""
        return await self._moves("give_up", sub_order, reason)

    async def record_downloads(
        self, order_id: OrderId, outcomes: Sequence[FileOutcome], *, actor: str, at: datetime
    ) -> list[FileMove]:
        """Make files DOWNLOADED or DOWNLOAD_ERROR, and store the hashes of what was downloaded.

        Wrong and unverifiable content is added to the history.
        """
        return await self._moves(
            "record_downloads",
            order_id,
            [outcome.id for outcome in outcomes],
            [outcome.result is FetchResult.WRONG_CONTENT for outcome in outcomes],
            [_reason_of(outcome) for outcome in outcomes],
            [outcome.unverifiable for outcome in outcomes],
            actor,
            at,
            [outcome.hashes and outcome.hashes.crc32 for outcome in outcomes],
            [outcome.hashes and outcome.hashes.sha256 for outcome in outcomes],
        )

    async def note_quota(
        self, order_id: OrderId, reasons: Mapping[DataFileId, str]
    ) -> list[SubOrderId]:
        """Record why a quota prevented downloads of AVAILABLE files. Return their sub-orders."""
        rows = await self._connection.fetch(
            SQL["note_quota"], order_id, list(reasons), list(reasons.values())
        )
        return sorted({SubOrderId(row["sub_order_id"]) for row in rows})

    async def delete_slice(self, order_id: OrderId, limit: int) -> int:
        """Delete up to ``limit`` files of an order. Return how many there were."""
        return affected(await self._connection.execute(SQL["delete_slice"], order_id, limit))

    async def delete_archives(self, order_id: OrderId, limit: int) -> int:
        """Delete up to ``limit`` archives of the files of an order. Return how many there were."""
        return affected(await self._connection.execute(ARCHIVES["delete_slice"], order_id, limit))

    async def _moves(self, statement: str, *parameters: object) -> list[FileMove]:
        return [move_of(row) for row in await self._connection.fetch(SQL[statement], *parameters)]


def _reason_of(outcome: FileOutcome) -> str | None:
    """Return why a file failed, '' without a reason; None if it was downloaded."""
    return None if outcome.result is FetchResult.DOWNLOADED else outcome.reason or ""
