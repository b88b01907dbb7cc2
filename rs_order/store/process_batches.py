"""Executions of rs-processing: their batches, their outputs, and the baskets that select a process."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from rs_order.domain.ids import DataFileId, OrderId, SubOrderId, Urn
from rs_order.domain.outputs import AwaitedOutput, MadeFile
from rs_order.domain.process import Process, ProcessChoice
from rs_order.domain.states import FileMove
from rs_order.store.pool import Connection, Row, statements
from rs_order.store.rows import affected, move_of, process_from, process_of

SQL = statements("processing")


@dataclass(frozen=True, slots=True)
class Work:
    """The batch of executions that a processed sub-order requests, and its progress."""

    order_id: OrderId
    sub_order_id: SubOrderId
    correlation_id: str
    dataset: Urn
    choice: ProcessChoice
    process: Process
    batch_id: UUID | None
    """None: no execution was requested yet."""
    attempts: int
    unavailable_since: datetime | None


class Executions:
    """The batches of executions of a tenant, and their outputs."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def plan(self, order_id: OrderId, correlation_ids: Mapping[SubOrderId, str]) -> None:
        """Record the batches of new sub-orders. Their executions aren't requested yet."""
        await self._connection.execute(
            SQL["plan"], order_id, list(correlation_ids), list(correlation_ids.values())
        )

    async def work(self, sub_order: SubOrderId) -> Work | None:
        row = await self._connection.fetchrow(SQL["work"], sub_order)
        return _work_of(row) if row else None

    async def of_correlation_id(self, correlation_id: str) -> Work | None:
        """Return the batch with a correlation id. None if it is unknown, or its sub-order was deleted."""
        row = await self._connection.fetchrow(SQL["of_correlation_id"], correlation_id)
        return _work_of(row) if row else None

    async def save_batch_id(self, sub_order: SubOrderId, batch_id: UUID) -> None:
        await self._connection.execute(SQL["save_batch_id"], sub_order, batch_id)

    async def note_unavailable(self, sub_order: SubOrderId, attempts: int, since: datetime) -> None:
        await self._connection.execute(SQL["note_unavailable"], sub_order, attempts, since)

    async def reset_attempts(self, order_id: OrderId) -> None:
        """Forget the failed attempts of an order's batches, so that the retry policy starts again."""
        await self._connection.execute(SQL["reset_attempts"], order_id)

    async def awaited(self, sub_order: SubOrderId) -> list[AwaitedOutput]:
        """Return the outputs that a result can still change: pending, or given up for want of a result."""
        rows = await self._connection.fetch(SQL["awaited_outputs"], sub_order)
        return [
            AwaitedOutput(DataFileId(row["id"]), row["output_key"], Urn(row["product_urn"]))
            for row in rows
        ]

    async def settle(
        self,
        sub_order: SubOrderId,
        made: Mapping[DataFileId, MadeFile],
        failed: Mapping[DataFileId, str],
    ) -> list[FileMove]:
        """Make outputs available, or failed with a reason. Return what moved; settled ones don't change."""
        files = list(made.values())
        rows = await self._connection.fetch(
            SQL["settle_outputs"],
            sub_order,
            list(made),
            [file.url for file in files],
            [file.name for file in files],
            [file.size for file in files],
            [file.checksum for file in files],
            [file.checksum_algorithm for file in files],
            list(failed),
            list(failed.values()),
        )
        return [replace(move_of(row), bytes_after=row["bytes_after"]) for row in rows]

    async def give_up(self, sub_order: SubOrderId, reason: str) -> list[FileMove]:
        """Make pending outputs fail because no result came. A late result still counts."""
        rows = await self._connection.fetch(SQL["give_up_outputs"], sub_order, reason)
        return [move_of(row) for row in rows]

    async def downloaded_urls(self, order_id: OrderId, files: Sequence[DataFileId]) -> list[str]:
        """Return the URLs of the files among these that a process made and that were downloaded."""
        rows = await self._connection.fetch(SQL["downloaded_urls"], order_id, files)
        return [row["url"] for row in rows]


class ProcessChoices:
    """The processes that baskets select."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def detach(self, process_id: UUID, allowed: Sequence[Urn] | None, limit: int) -> int:
        """Remove a process from up to ``limit`` dataset selections. Return how many had it.

        Args:
            process_id: the process.
            allowed: datasets that keep it; None: none does.
            limit: the most selections that change in this unit of work.
        """
        return affected(await self._connection.execute(SQL["detach"], process_id, allowed, limit))


def _work_of(row: Row) -> Work:
    choice = process_of(row)
    return Work(
        order_id=OrderId(row["order_id"]),
        sub_order_id=SubOrderId(row["sub_order_id"]),
        correlation_id=row["correlation_id"],
        dataset=Urn(row["dataset_urn"]),
        choice=choice or ProcessChoice(UUID(row["process_info"]["id"])),
        process=process_from(row["process_info"]),
        batch_id=UUID(str(row["batch_id"])) if row["batch_id"] is not None else None,
        attempts=row["attempts"],
        unavailable_since=row["unavailable_since"],
    )
