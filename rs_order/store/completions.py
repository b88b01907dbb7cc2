"""Completion: the files of an order are read from the catalog, page by page."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from rs_order.domain.file_batches import OrderedFile
from rs_order.domain.files import identity
from rs_order.domain.ids import DatasetTaskId, OrderId, SubOrderId
from rs_order.domain.order import Order
from rs_order.domain.process import Process
from rs_order.domain.selection import DatasetSelection
from rs_order.domain.states import FileState, SubOrderKind, SubOrderState
from rs_order.domain.sub_order import SubOrder
from rs_order.store.baskets import dataset_selection_of
from rs_order.store.cursors import CompletionCursor, completion_cursor_of, processed_record
from rs_order.store.pool import Connection, statements
from rs_order.store.rows import (
    content_columns,
    kinds_column,
    order_of,
    pattern_column,
    process_record,
)

SQL = statements("completions")
ORDER_SQL = statements("orders")
SUB_ORDER_SQL = statements("sub_orders")

FILES_AT_A_TIME: Final = 5000
"""Files written before other tasks run. Python needs some 15 ms for them."""
_FILE_COLUMNS: Final = (
    "order_id",
    "dataset_task_id",
    "identity",
    "sub_order_id",
    "product_urn",
    "product_id",
    "product_version",
    "data_type",
    "name",
    "url",
    "external",
    "online",
    "size",
    "checksum",
    "checksum_algorithm",
    "mime_type",
    "state",
    "reason_code",
    "reason",
    "output_key",
)


@dataclass(frozen=True, slots=True)
class AddedFiles:
    """Number and size of the files that were added to a sub-order in one state."""

    sub_order_id: SubOrderId
    state: FileState
    files: int
    bytes: int


_Group = tuple[SubOrderId, FileState]


@dataclass(frozen=True, slots=True)
class NewSubOrder:
    dataset_task_id: DatasetTaskId
    kind: SubOrderKind
    asks_storage: bool = True
    """False for a process with external inputs only. It takes no slot before its outputs are available."""


@dataclass(frozen=True, slots=True)
class CompletionPosition:
    """The position of the completion of an order that is not locked."""

    order: Order
    cursor: CompletionCursor
    selection: DatasetSelection | None
    """The one that was asked for; None after the last."""
    follows: bool
    """True if the order has another selection after this one."""


class Completions:
    """The orders under completion: how far each has come, and what was read so far."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._empty_tasks: set[DatasetTaskId] = set()
        """Dataset tasks that this unit of work created, and that have no files yet."""

    async def lock(self, order_id: OrderId) -> tuple[Order, CompletionCursor] | None:
        """Lock an order under completion. Return it with its cursor; None if it is complete, or unknown."""
        row = await self._connection.fetchrow(ORDER_SQL["lock"], [order_id])
        if row is None:
            return None
        order = order_of(row)
        # It is read after the wait for the lock.
        at = await self._connection.fetchrow(SQL["cursor"], order_id)
        if at is None:
            return None
        order.completing, order.retrying = True, at["retrying"]
        return order, completion_cursor_of(at)

    async def cursor(self, order_id: OrderId) -> CompletionCursor | None:
        """Return how far the completion has come. None if the order is complete, deleted or expired."""
        row = await self._connection.fetchrow(SQL["cursor"], order_id)
        return completion_cursor_of(row) if row else None

    async def advance(self, order_id: OrderId, cursor: CompletionCursor) -> None:
        await self._connection.execute(
            SQL["advance"],
            order_id,
            cursor.selection,
            cursor.page,
            cursor.storage_sub_order,
            cursor.external_sub_order,
            cursor.products,
            cursor.attempts,
            cursor.unavailable_since,
            processed_record(cursor.processed),
            cursor.reading.number,
            cursor.reading.total,
            cursor.reading.products,
            cursor.reading.page_size,
        )

    async def finish(self, order_ids: Sequence[OrderId]) -> None:
        """End the completion of these orders."""
        await self._connection.execute(SQL["finish"], order_ids)

    async def forget_counts(self, order_id: OrderId) -> None:
        """Set the counts of the dataset tasks to zero: what was read so far is deleted."""
        await self._connection.execute(SQL["forget_counts"], order_id)

    async def position(self, order_id: OrderId, selection: int) -> CompletionPosition | None:
        """Return how far the completion has come, and the order's dataset selection with this index.

        Nothing is locked. None if the order is complete, or isn't known.
        """
        row = await self._connection.fetchrow(SQL["position"], order_id, selection)
        if row is None:
            return None
        selected = row["selected"]
        return CompletionPosition(
            order_of(row),
            completion_cursor_of(row),
            dataset_selection_of(selected, selected["searches"]) if selected else None,
            follows=bool(row["follows"]),
        )

    async def dataset_task(
        self, order_id: OrderId, selection: DatasetSelection, process: Process | None = None
    ) -> DatasetTaskId:
        """Return the dataset task of a selection. Create it if there is none.

        With a process, its totals are known from the start: the number of input files, and the forecast
        size of the outputs (domain.md 5.2).
        """
        files, size = _totals(selection, process)
        choice = selection.process
        (row,) = await self._connection.fetch(
            SQL["dataset_task"],
            order_id,
            selection.urn,
            selection.label,
            selection.products,
            kinds_column(selection.file_filter),
            pattern_column(selection.file_filter),
            files,
            size,
            choice.process_id if choice else None,
            dict(choice.parameters) if choice else None,
            process_record(process) if process else None,
        )
        task = DatasetTaskId(row["id"])
        if row["created"]:
            self._empty_tasks.add(task)
        return task

    async def open_sub_orders(
        self, order: Order, sub_orders: Sequence[NewSubOrder]
    ) -> list[SubOrder]:
        """Create sub-orders in state BUILDING. Return them in the same order."""
        rows = await self._connection.fetch(
            SUB_ORDER_SQL["open"],
            order.id,
            order.owner,
            [new.dataset_task_id for new in sub_orders],
            [new.kind for new in sub_orders],
            [new.asks_storage for new in sub_orders],
        )
        return [
            SubOrder(SubOrderId(row["id"]), order.id, order.owner, new.kind, SubOrderState.BUILDING)
            for row, new in zip(rows, sub_orders, strict=True)
        ]

    async def add_files(
        self,
        order: Order,
        task: DatasetTaskId,
        files: Iterable[tuple[SubOrderId, OrderedFile]],
        *,
        counted: bool = True,
    ) -> list[AddedFiles]:
        """Add the files that the dataset task doesn't have yet. Return what was added.

        Files of a dataset task are added only while its order is locked, so nobody else adds the same ones
        meanwhile.

        Args:
            order: locked by the caller.
            task: the dataset task of the files.
            files: with the sub-order that each belongs to.
            counted: add the files to the totals of the dataset task.
        """
        remaining, numbers, sizes = iter(files), Counter[_Group](), Counter[_Group]()
        while some := list(islice(remaining, FILES_AT_A_TIME)):
            fresh = await self._not_added_yet(task, some)
            await self._connection.copy_records_to_table(
                "data_file",
                columns=_FILE_COLUMNS,
                records=[_record(order.id, task, id_, *fresh[id_]) for id_ in fresh],
            )
            self._empty_tasks.discard(task)
            for sub_order, added in fresh.values():
                numbers[sub_order, added.state] += 1
                sizes[sub_order, added.state] += added.file.size or 0
        if counted:
            await self._connection.execute(SQL["count_files"], task, numbers.total(), sizes.total())
        return [AddedFiles(*group, numbers[group], sizes[group]) for group in numbers]

    async def _not_added_yet(
        self, task: DatasetTaskId, files: Sequence[tuple[SubOrderId, OrderedFile]]
    ) -> dict[str, tuple[SubOrderId, OrderedFile]]:
        """Return the files that the dataset task doesn't have, each once, by identity."""
        found: dict[str, tuple[SubOrderId, OrderedFile]] = {}
        for one in files:
            found.setdefault(identity(one[1].product.urn, one[1].file), one)
        if task not in self._empty_tasks:
            for row in await self._connection.fetch(SQL["known_files"], task, list(found)):
                del found[row["identity"].hex]
        return found


def _totals(selection: DatasetSelection, process: Process | None) -> tuple[int, int]:
    """Return the totals that a dataset task starts with: input files, size of the outputs (5.2)."""
    if process is None:
        return 0, 0
    taken = [totals for name, totals in selection.types.items() if name.value in process.data_types]
    return (
        sum(totals.files for totals in taken),
        process.forecast.of(sum(totals.bytes for totals in taken)),
    )


def _record(
    order: OrderId, task: DatasetTaskId, id_: str, sub_order: SubOrderId, ordered: OrderedFile
) -> tuple[object, ...]:
    """Return the row of a file, with the values of ``_FILE_COLUMNS`` in their order."""
    product, file = ordered.product, ordered.file
    return (
        order,
        task,
        id_,
        sub_order,
        product.urn,
        product.provider_id,
        product.version,
        file.data_type,
        *content_columns(file),
        ordered.state,
        "no-checksum" if ordered.reason else None,
        ordered.reason,
        ordered.output_key,
    )
