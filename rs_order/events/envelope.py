"""Composes the CloudEvent of an event (faces.md E-2, E-3)."""

from dataclasses import dataclass
from typing import Any, Final

import orjson

from rs_order.core.links import DownloadLinks
from rs_order.domain.ids import Tenant
from rs_order.domain.instants import wire_instant
from rs_order.store.events import CommittedEvent

DIGITS_OF_SEQUENCE: Final = 18
"""The sequence is a text that sorts like the position."""


@dataclass(frozen=True, slots=True)
class Envelopes:
    """Composes the CloudEvents of a tenant (version 1.0.2, structured JSON)."""

    tenant: Tenant
    links: DownloadLinks
    prefix: str
    """Of the types."""

    def compose(self, event: CommittedEvent) -> str:
        """Return the text that every reader gets."""
        envelope: dict[str, Any] = {
            "specversion": "1.0",
            "id": str(event.id),
            "source": self.links.of_event_source(self.tenant),
            "type": f"{self.prefix}{event.type}",
            "subject": f"orders/{event.order_id}",
            "time": wire_instant(event.at),
            "datacontenttype": "application/json",
            "dataschema": self.links.event_schema(),
            "sequence": str(event.position).zfill(DIGITS_OF_SEQUENCE),
            "partitionkey": f"{self.tenant}/order/{event.order_id}",
        }
        correlation_id = event.data.get("correlationId")
        if correlation_id:
            envelope["correlationid"] = correlation_id
        envelope["data"] = {
            "orderId": event.order_id,
            "ordinal": event.ordinal,
            "event": event.type,
            **event.data,
            "links": self.links.of_event(event.order_id),
        }
        return orjson.dumps(envelope).decode()
