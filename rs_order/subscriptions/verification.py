"""Asks receivers whether they want events, so that nobody can send ours to others (faces.md E-19a)."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import orjson

from rs_order.core.links import DownloadLinks, Links
from rs_order.domain.events import event_id
from rs_order.domain.identity import SERVICE
from rs_order.domain.ids import Tenant
from rs_order.domain.instants import wire_instant
from rs_order.domain.webhooks import (
    Outcome,
    WebhookMode,
    WebhookSecret,
    allowed_rate,
    outcome_of,
)
from rs_order.ports import Clock
from rs_order.regards.webhook_receivers import Received, WebhookReceivers
from rs_order.subscriptions.webhook_request import Attempt, webhook_request

TEST_EVENT: Final = "webhook.test"
"""The type of the event that tests a receiver. It is in no log, because it is about no order."""
AGENT: Final = f"{SERVICE}/{version(SERVICE)}"


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where a webhook sends, and how."""

    subscription_id: UUID
    url: str
    mode: WebhookMode
    secrets: Sequence[WebhookSecret]


@dataclass(frozen=True, slots=True)
class Verification:
    """What a receiver answered."""

    agreed: bool
    allowed_rate: int | None
    """Requests in a minute; None: any."""
    received: Received

    @property
    def answer(self) -> str:
        """The beginning of the last response, or why there is none."""
        return answer_of(self.received)


class Verify:
    """Asks a receiver."""

    def __init__(
        self, receivers: WebhookReceivers, links: Links, clock: Clock, *, prefix: str
    ) -> None:
        """``prefix``: of the types of events."""
        self._receivers = receivers
        self._links = links
        self._clock = clock
        self._prefix = prefix

    async def ask(self, tenant: Tenant, receiver: Receiver) -> Verification:
        """Ask by CloudEvents' handshake, and if that isn't known to the receiver, send it a test."""
        origin = urlsplit((await self._links.stored(tenant)).of_event_source(tenant)).hostname or ""
        received = await self._receivers.ask(
            receiver.url, {"User-Agent": AGENT, "WebHook-Request-Origin": origin}
        )
        headers = received.headers or {}
        allowed = headers.get("WebHook-Allowed-Origin", "").strip().lower()
        if outcome_of(received.status) is Outcome.DELIVERED and allowed in ("*", origin.lower()):
            return Verification(True, allowed_rate(headers.get("WebHook-Allowed-Rate")), received)
        received = await self.test(tenant, receiver)
        return Verification(outcome_of(received.status) is Outcome.DELIVERED, None, received)

    async def test(self, tenant: Tenant, receiver: Receiver) -> Received:
        """Send a test event, and return what came back."""
        event = orjson.dumps(self._event(await self._links.stored(tenant), tenant, receiver))
        attempt = Attempt(uuid4(), 1, self._clock.now())
        headers, body = webhook_request(
            event.decode(), receiver.mode, attempt, receiver.secrets, AGENT
        )
        return await self._receivers.post(receiver.url, headers, body)

    def _event(self, links: DownloadLinks, tenant: Tenant, receiver: Receiver) -> dict[str, Any]:
        now = self._clock.now()
        return {
            "specversion": "1.0",
            "id": str(event_id(now)),
            "source": links.of_event_source(tenant),
            "type": f"{self._prefix}{TEST_EVENT}",
            "subject": f"subscriptions/{receiver.subscription_id}",
            "time": wire_instant(now),
            "datacontenttype": "application/json",
            "data": {"event": TEST_EVENT, "challenge": secrets.token_urlsafe(16)},
        }


def answer_of(received: Received) -> str:
    """Return the beginning of a response, or why there is none."""
    return received.text if received.failure is None else received.failure
