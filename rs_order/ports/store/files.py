"""Data files: every change is over a set, and answers what moved."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from rs_order.domain.ids import (
    Checksum,
    DataFileId,
    OrderId,
    SubOrderId,
)
from rs_order.domain.tally import FileMove
from rs_order.ports.downloads import FileOutcome


class Files(Protocol):
    async def pending_checksums(self, sub_order: SubOrderId) -> list[Checksum]:
        """Distinct checksums of the files that storage still has to settle."""
        ...

    async def settle_by_checksum(
        self,
        orders: Sequence[OrderId],
        available: Sequence[Checksum],
        unavailable: Mapping[Checksum, str],
    ) -> list[FileMove]:
        """Apply what storage said to the files that were asked of it; what is unavailable wins."""
        ...

    async def give_up(self, sub_order: SubOrderId, reason: str) -> list[FileMove]:
        """Files of a sub-order that storage never answered for become ERROR, open to a late answer."""
        ...

    async def record_downloads(
        self, order_id: OrderId, outcomes: Sequence[FileOutcome], *, actor: str, at: datetime
    ) -> list[FileMove]:
        """Files are DOWNLOADED or in DOWNLOAD_ERROR; wrong content is noted in the order's history."""
        ...

    async def note_quota(
        self, order_id: OrderId, reasons: Mapping[DataFileId, str]
    ) -> list[SubOrderId]:
        """Keep the reason on files that stay AVAILABLE; the sub-orders they belong to."""
        ...

    async def delete_slice(self, order_id: OrderId, limit: int) -> int:
        """Delete up to ``limit`` files of an order; how many went."""
        ...
