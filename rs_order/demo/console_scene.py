"""Leaves an order in every state that the service makes, for a look at the console."""

import asyncio
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

import asyncpg
import httpx

from rs_order.demo.errors import DemoError
from rs_order.demo.user_tokens import UserTokens

BROKEN_FILES: Final = ("eve_02", "sci_xrsf-l2-avg1m_g16")
"""Beginnings of the names of files that storage can't read in the scene."""
UNREAD_DATASET: Final = "PSP_FIELDS"
"""A dataset whose products the catalog can't list in the scene."""
USER: Final = "jane@example.org"
ADMINISTRATOR: Final = "admin@example.org"
PATIENCE_SECONDS: Final = 60.0
_PAUSE_SECONDS: Final = 0.2
_FINAL: Final = frozenset({"DONE", "DONE_WITH_WARNING", "FAILED"})
_EXPIRE: Final = """
with expired as (update order_demo.orders set expires_at = now() where id = $1)
update rs_order.outbox set due_at = now()
where kind = 'STEP' and tenant = 'demo'
  and body::jsonb @> jsonb_build_object('step', 'expire-order', 'orderId', $1::bigint)
"""
"""Brings the expiry date of an order, and the step that waits for it, to the present."""
_TORN: Final = "The tape can't be read at this place."


@dataclass(frozen=True, slots=True)
class ConsoleScene:
    """Orders as a user does, over REST, while the sandbox behaves as each order needs."""

    client: httpx.AsyncClient
    service: str
    """Address of rs_order."""
    sandbox: str
    """Address of the simulated platform."""
    tokens: UserTokens
    database_url: str

    @property
    def address(self) -> str:
        return f"{self.service}/console/"

    async def prepare(self, broken: Collection[str]) -> None:
        """Make the orders, and return when each is in its state.

        Args:
            broken: checksums of files that storage can't read: all of one order, and some of another.

        Raises:
            DemoError: the service or the sandbox rejects a request, or an order doesn't get there in time.
        """
        await self._final("Flares of September 2017", "productId:GOES13_20170901")
        deleted = await self._final("Test of the link", "productId:EVE_03")
        await self._call("DELETE", f"/user/orders/{deleted}")
        await self._expire(await self._final("Flares of October 2010", "productId:RHESSI_*"))
        await self._faults({"storage_errors": dict.fromkeys(broken, _TORN)})
        await self._final("EVE irradiance, all levels", "productId:EVE_*")
        await self._final("X-ray background 2021", "productId:GOES16_20210101_AVG")
        await self._faults(
            {"storage_errors": {}, "silence": True, "unread_datasets": [UNREAD_DATASET]}
        )
        paused = await self._order("Solar Orbiter, cruise phase", "productId:SOLO_*")
        await self._call("PUT", f"/user/orders/pause/{paused}")
        await self._order("EIT full disk, March 2004", "productId:EIT_*")
        await self._order("Parker Solar Probe, perihelion 4", "productId:PSP_*")

    async def _final(self, label: str, query: str) -> int:
        """Order, wait for the end, and return the id."""
        order = await self._order(label, query)
        await self._until(order, _FINAL)
        return order

    async def _expire(self, order: int) -> None:
        """Let the expiry date of an order be now: nobody wants to wait for it. The service does the rest."""
        connection = await asyncpg.connect(self.database_url)
        try:
            await connection.execute(_EXPIRE, order)
        finally:
            await connection.close()
        await self._until(order, frozenset({"EXPIRED"}))

    async def _until(self, order: int, statuses: frozenset[str]) -> None:
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            answer = await self._call("GET", f"/user/orders/{order}")
            status = answer["content"]["status"]
            if status in statuses:
                return
            if time.monotonic() > until:
                raise DemoError(f"Order {order} is still {status} after {PATIENCE_SECONDS:.0f} s")
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _order(self, label: str, query: str) -> int:
        search = {"engineType": "legacy", "searchParameters": {"q": [query]}}
        await self._call("POST", "/order/basket/selection", search)
        created = await self._call("POST", "/user/orders", {"label": label})
        return int(created["content"]["id"])

    async def _faults(self, faults: dict[str, Any]) -> None:
        await self._send("PATCH", f"{self.sandbox}/sandbox/faults", faults)

    async def _call(self, verb: str, path: str, body: Any = None) -> Any:
        return await self._send(verb, f"{self.service}{path}", body, self.tokens.headers(USER))

    async def _send(
        self, verb: str, url: str, body: Any, headers: dict[str, str] | None = None
    ) -> Any:
        try:
            answer = await self.client.request(verb, url, json=body, headers=headers)
            answer.raise_for_status()
        except httpx.HTTPError as error:
            raise DemoError(f"{verb} {url} failed: {error or type(error).__name__}") from error
        return answer.json() if answer.content else None
