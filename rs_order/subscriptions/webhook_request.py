"""Composes the request by which a webhook gets an event (faces.md E-11)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import quote
from uuid import UUID

import orjson

from rs_order.contracts.event_bodies import EVENT
from rs_order.domain.webhooks import WebhookMode, WebhookSecret, signature, timestamp

_PRINTABLE: Final = "".join(c for c in map(chr, range(0x21, 0x7F)) if c not in '"%')
"""Characters that the value of an attribute has as they are (CloudEvents' HTTP binding, 3.1.3.2)."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One of the requests that try to deliver an event."""

    id: UUID
    number: int
    """From 1."""
    at: datetime
    is_replay: bool = False


def webhook_request(
    event: str,
    mode: WebhookMode,
    attempt: Attempt,
    secrets: Sequence[WebhookSecret],
    agent: str,
) -> tuple[Mapping[str, str], bytes]:
    """Return headers and body. The body is the same at each attempt.

    Args:
        event: the CloudEvent of the log.
        mode: where its attributes are.
        attempt: the time that is signed, and what lets owners find the attempt.
        secrets: the keys of the signatures, as of `signature`.
        agent: the header ``User-Agent``.
    """
    envelope = orjson.loads(event)
    if mode is WebhookMode.STRUCTURED:
        body, described = event.encode(), {"Content-Type": f"{EVENT}; charset=UTF-8"}
    else:
        body, described = orjson.dumps(envelope["data"]), _attributes(envelope)
    headers = {
        **described,
        "User-Agent": agent,
        "webhook-id": envelope["id"],
        "webhook-timestamp": str(timestamp(attempt.at)),
        "webhook-signature": signature(secrets, envelope["id"], attempt.at, body),
        "rs-order-delivery": str(attempt.id),
        "rs-order-attempt": str(attempt.number),
    }
    if attempt.is_replay:
        headers["rs-order-replay"] = "true"
    return headers, body


def _attributes(envelope: Mapping[str, str]) -> dict[str, str]:
    """Return the attributes of a CloudEvent as headers."""
    attributes = {
        f"ce-{name}": quote(value, safe=_PRINTABLE)
        for name, value in envelope.items()
        if name not in ("data", "datacontenttype")
    }
    return {"Content-Type": envelope["datacontenttype"], **attributes}
