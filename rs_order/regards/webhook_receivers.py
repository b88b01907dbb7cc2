"""Sends requests to the receivers of webhooks (faces.md E-11, E-19a, 4.4).

Their addresses come from users. So a request goes only where the policy of addresses permits, follows no
redirect, names no trace, and of the response only what a receiver needs is kept.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import aiohttp
from yarl import URL

from rs_order.regards.address_policy import AddressPolicy, AddressRefused, refuse_disguised
from rs_order.regards.call_watch import RECEIVERS
from rs_order.regards.http import NO_RESPONSE, CallLimits, measured, new_client, outcome_of, send

CONNECT_SECONDS: Final = 5.0
EXCHANGE_SECONDS: Final = 15.0
MOST_READ: Final = 64 * 1024
"""Bytes of a response. The rest isn't read."""
MOST_KEPT: Final = 1024
"""Bytes of them that the owner may see."""


@dataclass(frozen=True, slots=True)
class Received:
    """What came back. After an exchange without a response only ``failure`` is set."""

    status: int | None = None
    text: str = ""
    """The beginning of the body, for the owner."""
    headers: Mapping[str, str] | None = None
    """Names in any case."""
    failure: str | None = None
    """Why there is no response. It tells nothing about the network that the service is in."""


ADDRESS_NOT_ALLOWED: Final = Received(failure="address not allowed")
TIMED_OUT: Final = Received(failure=f"no complete response within {EXCHANGE_SECONDS:.0f} seconds")
NO_ANSWER: Final = Received(failure="no response")


class WebhookReceivers:
    """The client of all receivers. The number of requests at once is up to the caller."""

    def __init__(
        self,
        policy: AddressPolicy,
        *,
        proxy: str | None = None,
        exchange_seconds: float = EXCHANGE_SECONDS,
    ) -> None:
        """``proxy``: URL of the proxy that sends all of it, and judges the addresses then."""
        limits = CallLimits(
            connect_seconds=CONNECT_SECONDS,
            read_seconds=exchange_seconds,
            call_seconds=exchange_seconds,
            connections=None,
        )
        self._client = new_client(
            limits, decode=False, proxy=proxy, policy=None if proxy else policy
        )
        self._exchange_seconds = exchange_seconds

    async def aclose(self) -> None:
        await self._client.close()

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Received:
        """Send an event."""
        return await self._exchange("POST", url, headers, body)

    async def ask(self, url: str, headers: Mapping[str, str]) -> Received:
        """Ask whether the receiver wants events (OPTIONS, CloudEvents' handshake)."""
        return await self._exchange("OPTIONS", url, headers, None)

    async def _exchange(
        self, verb: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> Received:
        """Return what came back within the time. It raises nothing that a receiver can cause."""
        try:
            async with asyncio.timeout(self._exchange_seconds):
                return await self._received(verb, URL(url), headers, body)
        except AddressRefused:
            return ADDRESS_NOT_ALLOWED
        except TimeoutError:
            return TIMED_OUT
        except (*NO_RESPONSE, ValueError):
            # ValueError: the host name of the URL can't be sent.
            return NO_ANSWER

    async def _received(
        self, verb: str, url: URL, headers: Mapping[str, str], body: bytes | None
    ) -> Received:
        refuse_disguised(url.host or "")
        with measured(RECEIVERS) as call:
            response = await send(self._client, verb, url, headers, body, traced=False)
            try:
                text = await _beginning(response)
            finally:
                # Closed and not released: the rest of a long response isn't read.
                response.close()
            call.outcome = outcome_of(response.status)
        return Received(response.status, text, response.headers)


async def _beginning(response: aiohttp.ClientResponse) -> str:
    """Read the response, as far as it is read at all, and return its beginning as text."""
    kept, read = b"", 0
    async for chunk in response.content.iter_any():
        kept += chunk[: MOST_KEPT - len(kept)]
        read += len(chunk)
        if read >= MOST_READ:
            break
    return kept.decode(errors="replace").replace("\0", "\ufffd")
