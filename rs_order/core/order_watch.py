"""Lets requests wait for a change of an order, without a database connection for each (faces.md E-21)."""

import asyncio
from collections import defaultdict
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256

from rs_order.domain.ids import OrderId, Tenant
from rs_order.domain.reasons import OrderFacts
from rs_order.ports import Clock
from rs_order.store.progress import Progress

CHECK_SECONDS = 1.0
"""The pause between two reads of the awaited orders."""


def version_of(facts: OrderFacts | None) -> str:
    """Return a text that differs whenever the status, the counters or the reason of an order does."""
    if facts is None:
        return ""
    groups = sorted(repr(group) for group in facts.groups)
    content = "\n".join([repr(replace(facts, groups=())), *groups])
    return sha256(content.encode()).hexdigest()[:24]


class OrderWatch:
    """Notifies waiting requests of changes: one statement per tenant and second reads all awaited orders.

    While no request waits, nothing is read.
    """

    def __init__(self, progress: Progress, clock: Clock, *, pause: float = CHECK_SECONDS) -> None:
        self._progress = progress
        self._clock = clock
        self._pause = pause
        self._awaited: dict[Tenant, dict[asyncio.Future[None], tuple[OrderId, str]]] = defaultdict(
            dict
        )
        self._readers: dict[Tenant, asyncio.Task[None]] = {}

    async def until_changed(
        self, tenant: Tenant, order_id: OrderId, version: str, seconds: float
    ) -> None:
        """Return as soon as the version of the order differs, or after so many seconds.

        Raises:
            StoreUnavailable: the orders can't be read.
        """
        changed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._awaited[tenant][changed] = order_id, version
        if tenant not in self._readers:
            self._readers[tenant] = asyncio.create_task(self._read(tenant))
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(changed, seconds)
        finally:
            self._awaited[tenant].pop(changed, None)

    async def _read(self, tenant: Tenant) -> None:
        awaited = self._awaited[tenant]
        try:
            while awaited:
                await self._notify(tenant, dict(awaited))
                await asyncio.sleep(self._pause)
        finally:
            del self._readers[tenant]

    async def _notify(
        self, tenant: Tenant, awaited: dict[asyncio.Future[None], tuple[OrderId, str]]
    ) -> None:
        """Complete what waits for an order that changed; a failure to read is passed on to all."""
        ids = sorted({order_id for order_id, _ in awaited.values()})
        try:
            found = await self._progress.facts(tenant, ids, self._clock.now())
        except Exception as error:  # noqa: BLE001 - the requests answer it as their own
            for changed in awaited:
                if not changed.done():
                    changed.set_exception(error)
            return
        versions = {order_id: version_of(found.get(order_id)) for order_id in ids}
        for changed, (order_id, version) in awaited.items():
            if versions[order_id] != version and not changed.done():
                changed.set_result(None)
