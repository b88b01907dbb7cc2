"""Completion: the files of an order are read from the catalog, page by page."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, NamedTuple

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
from rs_order.store.pool import Connection, Row, statements
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


class NewFile(NamedTuple):
    """A file that is added to a sub-order of a dataset task."""

    order_id: OrderId
    dataset_task_id: DatasetTaskId
    sub_order_id: SubOrderId
    file: OrderedFile


_Identity = tuple[DatasetTaskId, str]
_Group = tuple[DatasetTaskId, SubOrderId, FileState]


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

    async def add_files(
        self, files: Iterable[NewFile], *, counted: bool = True
    ) -> list[AddedFiles]:
        """Add the files that their dataset tasks don't have yet. Return what was added.

        Files of a dataset task are added only while its order is locked, so nobody else adds the same ones
        meanwhile.

        Args:
            files: the files; their orders are locked by the caller.
            counted: add the files to the totals of their dataset tasks.
        """
        remaining, numbers, sizes = iter(files), Counter[_Group](), Counter[_Group]()
        while some := list(islice(remaining, FILES_AT_A_TIME)):
            fresh = await self._not_added_yet(some)
            await self._connection.copy_records_to_table(
                "data_file",
                columns=_FILE_COLUMNS,
                records=[_record(id_, new) for (_, id_), new in fresh.items()],
            )
            self._empty_tasks -= {task for task, _ in fresh}
            for new in fresh.values():
                group = new.dataset_task_id, new.sub_order_id, new.file.state
                numbers[group] += 1
                sizes[group] += new.file.file.size or 0
        if counted and numbers:
            await self._connection.execute(SQL["count_files"], *_totals_by_task(numbers, sizes))
        return [AddedFiles(*group[1:], numbers[group], sizes[group]) for group in numbers]

    async def _not_added_yet(self, files: Sequence[NewFile]) -> dict[_Identity, NewFile]:
        """Return the files that their dataset tasks don't have, each once, by task and identity."""
        found: dict[_Identity, NewFile] = {}
        for new in files:
            id_ = identity(new.file.product.urn, new.file.file)
            found.setdefault((new.dataset_task_id, id_), new)
        looked_up = defaultdict[DatasetTaskId, list[str]](list)
        for task, id_ in found:
            if task not in self._empty_tasks:
                looked_up[task].append(id_)
        for task, ids in looked_up.items():
            for row in await self._connection.fetch(SQL["known_files"], task, ids):
                del found[task, row["identity"].hex]
        return found


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


def _totals_by_task(
    numbers: Counter[_Group], sizes: Counter[_Group]
) -> tuple[list[DatasetTaskId], list[int], list[int]]:
    """Return dataset tasks, and number and size of the files that were added to each."""
    files, bytes_ = Counter[DatasetTaskId](), Counter[DatasetTaskId]()
    for group, number in numbers.items():
        files[group[0]] += number
        bytes_[group[0]] += sizes[group]
    return list(files), list(files.values()), [bytes_[task] for task in files]


def _record(id_: str, new: NewFile) -> tuple[object, ...]:
    """Return the row of a file, with the values of ``_FILE_COLUMNS`` in their order."""
    ordered = new.file
    product, file = ordered.product, ordered.file
    return (
        new.order_id,
        new.dataset_task_id,
        id_,
        new.sub_order_id,
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
