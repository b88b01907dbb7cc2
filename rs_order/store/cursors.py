"""Cursors: the progress of the completion or the retry of an order."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from rs_order.domain.ids import DataFileId, DatasetTaskId, SubOrderId
from rs_order.domain.input_batches import Totals
from rs_order.domain.process import Process
from rs_order.domain.states import OrderStatus
from rs_order.store.pool import Row
from rs_order.store.rows import process_from, process_record


@dataclass(frozen=True, slots=True)
class BatchCursor:
    """The last batch of a group, so that the next page can go on with it."""

    totals: Totals
    closed: bool
    sub_order: SubOrderId | None
    """None if each product has a sub-order of its own."""


@dataclass(frozen=True, slots=True)
class ProcessedCursor:
    """The progress of the division of a processed selection into batches."""

    process: Process
    """As rs-processing described it at the start of the selection."""
    sub_orders: int = 0
    """The number of sub-orders so far."""
    stored: BatchCursor | None = None
    external: BatchCursor | None = None


@dataclass(frozen=True, slots=True)
class ReadingPass:
    """A pass over the pages of a selection. A catalog that changes meanwhile needs another pass."""

    number: int = 1
    total: int | None = None
    """The products of all pages, as the first page counted them; None: it didn't."""
    products: int = 0
    """The products of the pages so far."""
    page_size: int | None = None
    """The products in each of its pages, whatever the setting is by now; None before the first page."""

    def after(self, products: int, total: int | None, page_size: int) -> "ReadingPass":
        """Return the pass after a page."""
        return ReadingPass(
            self.number,
            total if self.total is None else self.total,
            self.products + products,
            page_size,
        )

    def next(self) -> "ReadingPass":
        return ReadingPass(self.number + 1)


@dataclass(frozen=True, slots=True)
class CompletionCursor:
    """The progress of the completion of an order."""

    selection: int
    page: int
    storage_sub_order: SubOrderId | None
    external_sub_order: SubOrderId | None
    """After the last page: the last one that was announced."""
    products: int
    attempts: int
    unavailable_since: datetime | None
    processed: ProcessedCursor | None = None
    """Only within a processed selection."""
    reading: ReadingPass = ReadingPass()

    @property
    def first_to_announce(self) -> SubOrderId | None:
        """Return the first sub-order that may have to be announced; None: the first one of the order."""
        last = self.external_sub_order if self.page else None
        return SubOrderId(last + 1) if last else None

    def announced(self, last: SubOrderId) -> "CompletionCursor":
        """Return the cursor after the last page, when sub-orders up to this one are announced."""
        return replace(self, page=self.page + 1, external_sub_order=last)

    def without_attempts(self) -> "CompletionCursor":
        """Return the same position without its failed attempts."""
        return replace(self, attempts=0, unavailable_since=None)

    def next_page(self, *, last: bool) -> "CompletionCursor":
        """Return the cursor of the next page, or of the first page of the next selection after the last.

        It has no open sub-order yet.
        """
        return CompletionCursor(
            selection=self.selection + last,
            page=0 if last else self.page + 1,
            storage_sub_order=None,
            external_sub_order=None,
            products=self.products,
            attempts=0,
            unavailable_since=None,
            reading=ReadingPass() if last else self.reading,
        )


@dataclass(frozen=True, slots=True)
class RetryCursor:
    """The progress of the retry of an order: the files that have moved, then the sub-orders announced."""

    status_before: OrderStatus
    """Status of the order when it was retried."""
    dataset_task: DatasetTaskId
    file: DataFileId
    """All files up to this one have moved."""
    storage_sub_order: SubOrderId | None
    """The batch of this dataset task that the last slice left open."""
    external_sub_order: SubOrderId | None
    first_sub_order: SubOrderId | None
    """The first sub-order that the retry created and didn't announce yet. Later ones have higher ids."""
    announced_slices: int
    """Slices of new sub-orders that were announced. Above 0, all files have moved."""

    def announced(self, last: SubOrderId) -> "RetryCursor":
        """Return the cursor when sub-orders up to this one are announced."""
        return replace(
            self,
            first_sub_order=SubOrderId(last + 1),
            announced_slices=self.announced_slices + 1,
        )


def completion_cursor_of(row: Row) -> CompletionCursor:
    return CompletionCursor(
        selection=row["selection"],
        page=row["page"],
        storage_sub_order=_optional_sub_order(row["storage_sub_order_id"]),
        external_sub_order=_optional_sub_order(row["external_sub_order_id"]),
        products=row["products"],
        attempts=row["attempts"],
        unavailable_since=row["unavailable_since"],
        processed=processed_from(row["processed"]),
        reading=ReadingPass(
            row["pass"], row["pass_total"], row["pass_products"], row["pass_page_size"]
        ),
    )


def _optional_sub_order(id_: int | None) -> SubOrderId | None:
    return SubOrderId(id_) if id_ is not None else None


def retry_cursor_of(row: Row) -> RetryCursor:
    return RetryCursor(
        status_before=OrderStatus(row["status_before"]),
        dataset_task=DatasetTaskId(row["dataset_task_id"]),
        file=DataFileId(row["data_file_id"]),
        storage_sub_order=_optional_sub_order(row["storage_sub_order_id"]),
        external_sub_order=_optional_sub_order(row["external_sub_order_id"]),
        first_sub_order=_optional_sub_order(row["first_sub_order_id"]),
        announced_slices=row["announced_slices"],
    )


def processed_record(cursor: ProcessedCursor | None) -> dict[str, Any] | None:
    if cursor is None:
        return None
    return {
        "process": process_record(cursor.process),
        "sub_orders": cursor.sub_orders,
        "stored": _batch_record(cursor.stored),
        "external": _batch_record(cursor.external),
    }


def processed_from(record: Mapping[str, Any] | None) -> ProcessedCursor | None:
    if record is None:
        return None
    return ProcessedCursor(
        process=process_from(record["process"]),
        sub_orders=record["sub_orders"],
        stored=_batch_from(record["stored"]),
        external=_batch_from(record["external"]),
    )


def _batch_record(batch: BatchCursor | None) -> dict[str, Any] | None:
    if batch is None:
        return None
    return {
        "files": batch.totals.files,
        "bytes": batch.totals.bytes,
        "products": batch.totals.products,
        "closed": batch.closed,
        "sub_order": batch.sub_order,
    }


def _batch_from(record: Mapping[str, Any] | None) -> BatchCursor | None:
    if record is None:
        return None
    return BatchCursor(
        totals=Totals(record["files"], record["bytes"], record["products"]),
        closed=record["closed"],
        sub_order=_optional_sub_order(record["sub_order"]),
    )
