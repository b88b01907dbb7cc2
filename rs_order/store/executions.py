"""Batches of executions, the outputs they bring, and the baskets that want them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from rs_order.domain.counters import FileMove
from rs_order.domain.ids import DataFileId, OrderId, SubOrderId, Urn
from rs_order.domain.outputs import AwaitedOutput, MadeFile
from rs_order.domain.process import Process, ProcessChoice
from rs_order.store.pool import Connection, Row
from rs_order.store.rows import affected, move_of, process_from, process_of
from rs_order.store.statements import statements

SQL = statements("processing")


@dataclass(frozen=True, slots=True)
class Work:
    """What a processed sub-order asks of rs-processing, and how far that has come."""

    order_id: OrderId
    sub_order_id: SubOrderId
    correlation_id: str
    dataset: Urn
    choice: ProcessChoice
    process: Process
    batch_id: UUID | None
    """None: no execution was asked for yet."""
    attempts: int
    trouble_since: datetime | None


class Executions:
    """Batches of executions and the outputs they bring."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def plan(self, order_id: OrderId, correlation_ids: Mapping[SubOrderId, str]) -> None:
        """Name the batches of new sub-orders; nothing is asked of rs-processing yet."""
        await self._connection.execute(
            SQL["plan"], order_id, list(correlation_ids), list(correlation_ids.values())
        )

    async def work(self, sub_order: SubOrderId) -> Work | None:
        row = await self._connection.fetchrow(SQL["work"], sub_order)
        return _work_of(row) if row else None

    async def named(self, correlation_id: str) -> Work | None:
        """The work of a batch; None when there is none of ours, or its order is gone."""
        row = await self._connection.fetchrow(SQL["named"], correlation_id)
        return _work_of(row) if row else None

    async def begun(self, sub_order: SubOrderId, batch_id: UUID) -> None:
        await self._connection.execute(SQL["begun"], sub_order, batch_id)

    async def note_trouble(self, sub_order: SubOrderId, attempts: int, since: datetime) -> None:
        await self._connection.execute(SQL["note_trouble"], sub_order, attempts, since)

    async def forget_trouble(self, order_id: OrderId) -> None:
        """The next attempt for a sub-order of this order is as patient as the first."""
        await self._connection.execute(SQL["forget_trouble"], order_id)

    async def awaited(self, sub_order: SubOrderId) -> list[AwaitedOutput]:
        """Outputs that a result can still change: pending, or given up because none came."""
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
        """Outputs become available with what was made, or failed for a reason; settled ones stay."""
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
        """Pending outputs that no result came for fail, open to a late one."""
        rows = await self._connection.fetch(SQL["give_up_outputs"], sub_order, reason)
        return [move_of(row) for row in rows]

    async def downloaded_urls(self, order_id: OrderId, files: Sequence[DataFileId]) -> list[str]:
        """Where those of the files are that a process made and that were downloaded."""
        rows = await self._connection.fetch(SQL["downloaded_urls"], order_id, files)
        return [row["url"] for row in rows]


class ProcessChoices:
    """Which baskets use which process."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def detach(self, process_id: UUID, allowed: Sequence[Urn] | None, limit: int) -> int:
        """Take a process from up to ``limit`` dataset selections; how many lost it.

        Args:
            process_id: the process.
            allowed: datasets that keep it; None: no dataset does.
            limit: the most that is changed in this unit of work.
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
        trouble_since=row["trouble_since"],
    )
