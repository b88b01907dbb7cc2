"""Completion: the files of an order are read from the catalog, page by page."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import asyncpg

from rs_order.domain.file_batches import OrderedFile
from rs_order.domain.files import CatalogFile, identity
from rs_order.domain.ids import DatasetTaskId, OrderId, SubOrderId
from rs_order.domain.order import Order
from rs_order.domain.process import Process
from rs_order.domain.selection import DatasetSelection
from rs_order.domain.states import FileState, SubOrderKind, SubOrderState
from rs_order.domain.sub_order import SubOrder
from rs_order.store.baskets import dataset_selection_of
from rs_order.store.cursors import CompletionCursor, completion_cursor_of, processed_record
from rs_order.store.pool import Connection, Row, statements
from rs_order.store.rows import (
    kinds_column,
    order_of,
    pattern_column,
    process_record,
)

SQL = statements("completions")
ORDER_SQL = statements("orders")
SUB_ORDER_SQL = statements("sub_orders")

_CONTENT_COLUMNS: Final = CatalogFile._fields[: CatalogFile._fields.index("defect")]
"""The members of a file that have a column. The defect is stored as the reason of the state."""
_FILE_COLUMNS: Final = (
    "order_id",
    "dataset_task_id",
    "identity",
    "sub_order_id",
    "product_urn",
    "product_id",
    "product_version",
    *_CONTENT_COLUMNS,
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


@dataclass(frozen=True, slots=True)
class NewFiles:
    """Files that are added to a sub-order of a dataset task."""

    order_id: OrderId
    dataset_task_id: DatasetTaskId
    sub_order_id: SubOrderId
    files: Sequence[OrderedFile]


_Known = Mapping[DatasetTaskId, set[str]]
"""The identities of files, by dataset task."""


@dataclass(frozen=True, slots=True)
class NewDatasetTask:
    """A selection whose dataset task is wanted, with its process if it has one."""

    order_id: OrderId
    selection: DatasetSelection
    process: Process | None = None


@dataclass(frozen=True, slots=True)
class NewSubOrder:
    order: Order
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

    async def lock(
        self, order_ids: Sequence[OrderId]
    ) -> dict[OrderId, tuple[Order, CompletionCursor]]:
        """Lock orders, by ascending id. Return those under completion, with their cursors."""
        rows = await self._connection.fetch(ORDER_SQL["lock"], order_ids)
        orders = {order.id: order for order in map(order_of, rows)}
        locked = {}
        # The cursors are read after the wait for the locks.
        for at in await self._connection.fetch(SQL["cursors"], list(orders)):
            order = orders[OrderId(at["order_id"])]
            order.completing, order.retrying = True, at["retrying"]
            locked[order.id] = order, completion_cursor_of(at)
        return locked

    async def cursor(self, order_id: OrderId) -> CompletionCursor | None:
        """Return how far the completion has come. None if the order is complete, deleted or expired."""
        row = await self._connection.fetchrow(SQL["cursors"], [order_id])
        return completion_cursor_of(row) if row else None

    async def advance(self, cursors: Mapping[OrderId, CompletionCursor]) -> None:
        """Write down how far the completions of locked orders have come."""
        if cursors:
            records = [_cursor_record(order_id, cursor) for order_id, cursor in cursors.items()]
            await self._connection.execute(SQL["advance"], records)

    async def finish(self, order_ids: Sequence[OrderId]) -> None:
        """End the completion of these orders."""
        if order_ids:
            await self._connection.execute(SQL["finish"], order_ids)

    async def forget_counts(self, order_id: OrderId) -> None:
        """Set the counts of the dataset tasks to zero: what was read so far is deleted."""
        await self._connection.execute(SQL["forget_counts"], order_id)

    async def dataset_tasks(self, wanted: Sequence[NewDatasetTask]) -> list[DatasetTaskId]:
        """Return the dataset tasks of selections of different orders. Create those that don't exist.

        With a process, its totals are known from the start: the number of input files, and the forecast
        size of the outputs (domain.md 5.2).
        """
        rows = await self._connection.fetch(
            SQL["dataset_tasks"], [_task_record(one) for one in wanted]
        )
        tasks = {OrderId(row["order_id"]): DatasetTaskId(row["id"]) for row in rows}
        self._empty_tasks |= {DatasetTaskId(row["id"]) for row in rows if row["created"]}
        return [tasks[one.order_id] for one in wanted]

    async def open_sub_orders(self, sub_orders: Sequence[NewSubOrder]) -> list[SubOrder]:
        """Create sub-orders in state BUILDING. Return them in the same order."""
        rows = await self._connection.fetch(
            SUB_ORDER_SQL["open"],
            [new.order.id for new in sub_orders],
            [new.order.owner for new in sub_orders],
            [new.dataset_task_id for new in sub_orders],
            [new.kind for new in sub_orders],
            [new.asks_storage for new in sub_orders],
        )
        return [
            SubOrder(
                SubOrderId(row["id"]),
                new.order.id,
                new.order.owner,
                new.kind,
                SubOrderState.BUILDING,
            )
            for row, new in zip(rows, sub_orders, strict=True)
        ]

    async def add_files(self, some: Sequence[NewFiles], *, again: bool = False) -> list[AddedFiles]:
        """Add the files that their dataset tasks don't have yet. Return what was added.

        Files of a dataset task are added only while its order is locked, so nobody else adds the same ones
        meanwhile. A file that was added before is rare as a rule. So they are looked up only after the
        database rejects one.

        Args:
            some: the files, a few thousand; their orders are locked by the caller.
            again: many of them were added before, so they are looked up first.
        """
        if not some:
            return []
        if again:
            return await self._copy_files(some, await self._known_files(some))
        tasks = {new.dataset_task_id for new in some}
        are_empty = tasks <= self._empty_tasks
        self._empty_tasks -= tasks
        return await (self._copy_files(some, {}) if are_empty else self._copy_new_files(some))

    async def _copy_new_files(self, some: Sequence[NewFiles]) -> list[AddedFiles]:
        """Add files that should be new. Look them up if the database rejects one."""
        await self._connection.execute("savepoint without_files")
        try:
            added = await self._copy_files(some, {})
        except asyncpg.UniqueViolationError:
            await self._connection.execute("rollback to savepoint without_files")
            added = await self._copy_files(some, await self._known_files(some))
        await self._connection.execute("release savepoint without_files")
        return added

    async def _copy_files(self, some: Sequence[NewFiles], known: _Known) -> list[AddedFiles]:
        """Add files, each once, without those that are known. Return what was added.

        The rows are made while the database stores those before.
        """
        added: list[AddedFiles] = []
        await self._connection.copy_records_to_table(
            "data_file", columns=_FILE_COLUMNS, records=_file_rows(some, known, added)
        )
        return added

    async def _known_files(self, some: Sequence[NewFiles]) -> _Known:
        """Return the identities of the files that were added before."""
        wanted = defaultdict[DatasetTaskId, list[str]](list)
        for new in some:
            wanted[new.dataset_task_id] += [
                identity(one.product.urn, one.file) for one in new.files
            ]
        return {
            task: {
                row["identity"].hex
                for row in await self._connection.fetch(SQL["known_files"], task, identities)
            }
            for task, identities in wanted.items()
        }

    async def count_files(self, added: Mapping[DatasetTaskId, Iterable[AddedFiles]]) -> None:
        """Add files to the totals of their dataset tasks."""
        if added:
            await self._connection.execute(
                SQL["count_files"],
                list(added),
                [sum(one.files for one in some) for some in added.values()],
                [sum(one.bytes for one in some) for some in added.values()],
            )


def position_of(row: Row) -> CompletionPosition:
    """Return the position that a row of the statement ``positions`` holds."""
    selected = row["selected"]
    return CompletionPosition(
        order_of(row),
        completion_cursor_of(row),
        dataset_selection_of(selected, selected["searches"]) if selected else None,
        follows=bool(row["follows"]),
    )


def _cursor_record(order_id: OrderId, cursor: CompletionCursor) -> dict[str, Any]:
    return {
        "order_id": order_id,
        "selection": cursor.selection,
        "page": cursor.page,
        "storage_sub_order_id": cursor.storage_sub_order,
        "external_sub_order_id": cursor.external_sub_order,
        "products": cursor.products,
        "attempts": cursor.attempts,
        "unavailable_since": cursor.unavailable_since,
        "processed": processed_record(cursor.processed),
        "pass": cursor.reading.number,
        "pass_total": cursor.reading.total,
        "pass_products": cursor.reading.products,
        "pass_page_size": cursor.reading.page_size,
    }


def _task_record(wanted: NewDatasetTask) -> dict[str, Any]:
    selection, process = wanted.selection, wanted.process
    files, size = _totals(selection, process)
    choice = selection.process
    return {
        "order_id": wanted.order_id,
        "dataset_urn": selection.urn,
        "dataset_label": selection.label,
        "products_count": selection.products,
        "file_kinds": kinds_column(selection.file_filter),
        "file_name_pattern": pattern_column(selection.file_filter),
        "files_count": files,
        "files_bytes": size,
        "process_id": choice.process_id if choice else None,
        "process_parameters": dict(choice.parameters) if choice else None,
        "process_info": process_record(process) if process else None,
    }


def _totals(selection: DatasetSelection, process: Process | None) -> tuple[int, int]:
    """Return the totals that a dataset task starts with: input files, size of the outputs (5.2)."""
    if process is None:
        return 0, 0
    taken = [totals for name, totals in selection.types.items() if name.value in process.data_types]
    return (
        sum(totals.files for totals in taken),
        process.forecast.of(sum(totals.bytes for totals in taken)),
    )


def _file_rows(
    some: Iterable[NewFiles], known: _Known, added: list[AddedFiles]
) -> Iterator[tuple[object, ...]]:
    """Yield the rows of files, each once, without those that are known. ``added`` gets what was yielded."""
    seen = defaultdict[DatasetTaskId, set[str]](set, known)
    for new in some:
        of_task, sizes = seen[new.dataset_task_id], defaultdict[FileState, list[int]](list)
        for product, file, state, reason, output_key in new.files:
            id_ = identity(product.urn, file)
            if id_ in of_task:
                continue
            of_task.add(id_)
            sizes[state].append(file.size or 0)
            yield (  # the values of _FILE_COLUMNS
                new.order_id,
                new.dataset_task_id,
                id_,
                new.sub_order_id,
                product.urn,
                product.provider_id,
                product.version,
                *file[: len(_CONTENT_COLUMNS)],
                state,
                "no-checksum" if reason else None,
                reason,
                output_key,
            )
        added += [
            AddedFiles(new.sub_order_id, state, len(of_state), sum(of_state))
            for state, of_state in sizes.items()
        ]
