"""Batches of executions, the outputs they bring, and the baskets that want them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from rs_order.adapters.postgres.driver import Connection, Row
from rs_order.adapters.postgres.processes import process_from
from rs_order.adapters.postgres.rows import affected, move_of, process_of
from rs_order.adapters.postgres.statements import statements
from rs_order.domain.ids import DataFileId, OrderId, SubOrderId, Urn
from rs_order.domain.outputs import AwaitedOutput, MadeFile
from rs_order.domain.process import ProcessChoice
from rs_order.domain.tally import FileMove
from rs_order.ports.store import Work

SQL = statements("processing")


class PostgresExecutions:
    """Implements :class:`rs_order.ports.store.Executions`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def plan(self, order_id: OrderId, correlation_ids: Mapping[SubOrderId, str]) -> None:
        await self._connection.execute(
            SQL["plan"], order_id, list(correlation_ids), list(correlation_ids.values())
        )

    async def work(self, sub_order: SubOrderId) -> Work | None:
        row = await self._connection.fetchrow(SQL["work"], sub_order)
        return _work_of(row) if row else None

    async def named(self, correlation_id: str) -> Work | None:
        row = await self._connection.fetchrow(SQL["named"], correlation_id)
        return _work_of(row) if row else None

    async def begun(self, sub_order: SubOrderId, batch_id: UUID) -> None:
        await self._connection.execute(SQL["begun"], sub_order, batch_id)

    async def note_trouble(self, sub_order: SubOrderId, attempts: int, since: datetime) -> None:
        await self._connection.execute(SQL["note_trouble"], sub_order, attempts, since)

    async def forget_trouble(self, order_id: OrderId) -> None:
        await self._connection.execute(SQL["forget_trouble"], order_id)

    async def awaited(self, sub_order: SubOrderId) -> list[AwaitedOutput]:
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
        rows = await self._connection.fetch(SQL["give_up_outputs"], sub_order, reason)
        return [move_of(row) for row in rows]

    async def downloaded_urls(self, order_id: OrderId, files: Sequence[DataFileId]) -> list[str]:
        rows = await self._connection.fetch(SQL["downloaded_urls"], order_id, files)
        return [row["url"] for row in rows]


class PostgresProcessChoices:
    """Implements :class:`rs_order.ports.store.ProcessChoices`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def detach(self, process_id: UUID, allowed: Sequence[Urn] | None, limit: int) -> int:
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
