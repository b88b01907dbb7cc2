"""Consumes rs-storage's events on files (amqp.md 3.2)."""

from collections.abc import Sequence

from rs_order.consumers.batches import Received, dropped
from rs_order.contracts.storage import AVAILABILITY_ERROR, AVAILABLE, FileReferenceEvent
from rs_order.domain.ids import Checksum, Tenant
from rs_order.scheduling.restoration import ApplyAvailability


class FileReferenceHandler:
    """Applies the availability of files to the sub-orders that wait for them.

    rs-storage publishes the events of all files of the platform. Two types matter, and only for files
    that an order waits for.
    """

    def __init__(self, apply: ApplyAvailability) -> None:
        self._apply = apply

    async def __call__(self, tenant: Tenant, batch: Sequence[Received[FileReferenceEvent]]) -> None:
        available: set[Checksum] = set()
        unavailable: dict[Checksum, str] = {}
        for received in batch:
            event = received.message
            if event.checksum and event.type == AVAILABLE:
                available.add(Checksum(event.checksum))
            elif event.checksum and event.type == AVAILABILITY_ERROR:
                unavailable[Checksum(event.checksum)] = event.message or "Storage can't deliver it."
            else:
                dropped.labels(received.delivery.queue, "unused-type").inc()
        if available or unavailable:
            await self._apply.handle(tenant, sorted(available), unavailable)
