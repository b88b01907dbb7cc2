"""Takes processes from baskets that may no longer use them (domain.md 8.5, B11)."""

from collections.abc import Sequence
from uuid import UUID

from rs_order.domain.ids import Tenant, Urn
from rs_order.store.unit_of_work import Store

SLICE = 1000


class DetachProcesses:
    """Interactive baskets and those that orders consumed lose it; an order under completion keeps it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def handle(self, tenant: Tenant, process_id: UUID, allowed: Sequence[Urn] | None) -> None:
        """Detach a process from every dataset but the allowed ones; None: from all.

        Slice by slice, each its own commit; done again from the start it finds less to do.
        """
        changed = SLICE
        while changed == SLICE:
            async with self._store.unit_of_work(tenant) as uow:
                changed = await uow.process_choices.detach(process_id, allowed, SLICE)
