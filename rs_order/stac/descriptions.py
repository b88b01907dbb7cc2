"""What the catalog knows of the products of orders: place, time and properties (faces.md S-16).

An item of an order is right without it. So a catalog that is down or slow costs a page of items a few seconds
once, and not its answer.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

import structlog

from rs_order.core.catalog_datasets import call_concurrently
from rs_order.domain.identity import Caller
from rs_order.ports import RemoteError
from rs_order.regards.catalog_items import MOST_IDS, CatalogItem, RegardsCatalogItems

LONGEST_WAIT_SECONDS: Final = 3.0
"""For all items of a page."""
PAUSE_SECONDS: Final = 30.0
"""The time without requests after one that had no usable answer."""

log = structlog.get_logger(__name__)


class Descriptions:
    """Reads items of the catalog for pages of items of orders."""

    def __init__(
        self, catalog: RegardsCatalogItems | None, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        """``catalog``: None if its address isn't set; ``now``: in seconds."""
        self._catalog = catalog
        self._now = now
        self._asks_from = now()

    async def of(self, caller: Caller, ids: Sequence[str]) -> Mapping[str, CatalogItem]:
        """Return what the catalog knows, by id; nothing if it gives no usable answer in time."""
        if self._catalog is None or self._now() < self._asks_from:
            return {}
        groups = [ids[at : at + MOST_IDS] for at in range(0, len(ids), MOST_IDS)]
        try:
            async with asyncio.timeout(LONGEST_WAIT_SECONDS):
                found = await call_concurrently(partial(self._catalog.find, caller), groups)
        except (RemoteError, TimeoutError) as error:
            self._asks_from = self._now() + PAUSE_SECONDS
            log.warning("catalog-items-unavailable", tenant=caller.tenant, cause=str(error))
            return {}
        return {id_: item for items in found for id_, item in items.items()}
