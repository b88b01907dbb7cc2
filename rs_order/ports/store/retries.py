"""Retries: the files in error of an order move to new sub-orders, slice by slice."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from rs_order.domain.ids import DataFileId, DatasetTaskId, OrderId, SubOrderId
from rs_order.domain.regrouping import FileInError
from rs_order.domain.states import FileState, OrderStatus


@dataclass(frozen=True, slots=True)
class RetryCursor:
    """How far the retry of an order has come: everything up to this file has moved."""

    status_before: OrderStatus
    """Status of the order when it was retried."""
    dataset_task: DatasetTaskId
    file: DataFileId
    storage_sub_order: SubOrderId | None
    """The bucket of this dataset task that the last slice left open."""
    external_sub_order: SubOrderId | None
    first_sub_order: SubOrderId | None
    """The first sub-order it made; later ones have higher ids."""


class Retries(Protocol):
    async def begin(self, order_id: OrderId, status_before: OrderStatus) -> RetryCursor:
        """A retry that has moved no file yet."""
        ...

    async def cursor(self, order_id: OrderId) -> RetryCursor | None:
        """None when the order isn't being retried."""
        ...

    async def advance(self, order_id: OrderId, cursor: RetryCursor) -> None: ...

    async def finish(self, order_ids: Sequence[OrderId]) -> None:
        """Nothing more is moved for these orders."""
        ...

    async def files_in_error(
        self, order_id: OrderId, cursor: RetryCursor, limit: int
    ) -> list[FileInError]:
        """The next files in ERROR, DOWNLOAD_ERROR or PROCESSING_ERROR, by dataset task and id.

        Stored files without a checksum are passed over: storage can't be asked for them.
        """
        ...

    async def move_files(self, moves: Sequence[tuple[DataFileId, SubOrderId, FileState]]) -> None:
        """Put files in other sub-orders and states, their reasons forgotten."""
        ...
