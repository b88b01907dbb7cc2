"""Processed sub-orders: what goes in, what was asked of rs-processing, what comes out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from rs_order.domain.ids import Checksum, DataFileId, DatasetTaskId, OrderId, SubOrderId, Urn
from rs_order.domain.order import Order
from rs_order.domain.outputs import AwaitedOutput, MadeFile
from rs_order.domain.process import Process, ProcessChoice
from rs_order.domain.tally import FileMove
from rs_order.domain.windows import InputFile, InputProduct, Totals


@dataclass(frozen=True, slots=True)
class WindowCursor:
    """The last window of a group, so that the next page can go on with it."""

    totals: Totals
    closed: bool
    sub_order: SubOrderId | None
    """None when each of its products has a sub-order of its own."""


@dataclass(frozen=True, slots=True)
class ProcessedCursor:
    """How far the cut of a processed selection has come."""

    process: Process
    """As rs-processing described it when the selection was begun."""
    sub_orders: int = 0
    """Numbered so far."""
    stored: WindowCursor | None = None
    external: WindowCursor | None = None


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


@dataclass(frozen=True, slots=True)
class StoredInput:
    """An input with what became of it."""

    product: Urn
    input: InputFile
    available: bool
    reason: str | None
    """Why it can't be had."""


class ProcessInputs(Protocol):
    """Files that go into processes."""

    async def known(self, task: DatasetTaskId, identities: Sequence[UUID]) -> set[UUID]:
        """Those of the files (by their identity) that the dataset task takes already."""
        ...

    async def add(
        self,
        order: Order,
        task: DatasetTaskId,
        products: Sequence[tuple[SubOrderId, InputProduct]],
    ) -> None: ...

    async def products(self, sub_order: SubOrderId) -> list[InputProduct]:
        """Everything that goes into a sub-order, in the order in which it was added."""
        ...

    async def of_sub_order(self, sub_order: SubOrderId) -> list[StoredInput]: ...

    async def settle_by_checksum(
        self,
        orders: Sequence[OrderId],
        available: Sequence[Checksum],
        unavailable: Mapping[Checksum, str],
    ) -> list[SubOrderId]:
        """Apply what storage said; the running sub-orders it changed that wait for no input any more."""
        ...

    async def give_up(self, sub_order: SubOrderId, reason: str) -> None:
        """Inputs that storage never answered for can't be had."""
        ...

    async def forget(self, sub_order: SubOrderId) -> None:
        """The executions are asked for: only inputs that could not be had are still worth keeping."""
        ...

    async def delete_slice(self, order_id: OrderId, limit: int) -> int:
        """Delete up to ``limit`` inputs of an order; how many went."""
        ...


class Executions(Protocol):
    """Batches of executions and the outputs they bring."""

    async def plan(self, order_id: OrderId, correlation_ids: Mapping[SubOrderId, str]) -> None:
        """Name the batches of new sub-orders; nothing is asked of rs-processing yet."""
        ...

    async def work(self, sub_order: SubOrderId) -> Work | None: ...

    async def named(self, correlation_id: str) -> Work | None:
        """The work of a batch; None when there is none of ours, or its order is gone."""
        ...

    async def begun(self, sub_order: SubOrderId, batch_id: UUID) -> None: ...

    async def note_trouble(self, sub_order: SubOrderId, attempts: int, since: datetime) -> None: ...

    async def forget_trouble(self, order_id: OrderId) -> None:
        """The next attempt for a sub-order of this order is as patient as the first."""
        ...

    async def awaited(self, sub_order: SubOrderId) -> list[AwaitedOutput]:
        """Outputs that a result can still change: pending, or given up because none came."""
        ...

    async def settle(
        self,
        sub_order: SubOrderId,
        made: Mapping[DataFileId, MadeFile],
        failed: Mapping[DataFileId, str],
    ) -> list[FileMove]:
        """Outputs become available with what was made, or failed for a reason; settled ones stay."""
        ...

    async def give_up(self, sub_order: SubOrderId, reason: str) -> list[FileMove]:
        """Pending outputs that no result came for fail, open to a late one."""
        ...

    async def downloaded_urls(self, order_id: OrderId, files: Sequence[DataFileId]) -> list[str]:
        """Where those of the files are that a process made and that were downloaded."""
        ...


class ProcessChoices(Protocol):
    """Which baskets use which process."""

    async def detach(self, process_id: UUID, allowed: Sequence[Urn] | None, limit: int) -> int:
        """Take a process from up to ``limit`` dataset selections; how many lost it.

        Args:
            process_id: the process.
            allowed: datasets that keep it; None: no dataset does.
            limit: the most that is changed in this unit of work.
        """
        ...
