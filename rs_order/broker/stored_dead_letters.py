"""Reads dead letters for operators, whether this service, a Java service or the broker wrote them."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from aio_pika import DeliveryMode, Message

from rs_order.broker.dead_letter_message import (
    DEAD_LETTERED_AT_HEADER,
    LETTER_ID_HEADER,
    MESSAGE_HEADER,
    ORIGINAL_EXCHANGE_HEADER,
    ORIGINAL_KEY_HEADER,
    REASON_HEADER,
    STACKTRACE_HEADER,
)
from rs_order.broker.delivery import DEATH_QUEUE_HEADER, Delivery
from rs_order.broker.topology import Vhost
from rs_order.contracts.wire import TENANT_HEADER, TYPE_HEADER

REPLAYED_HEADER = "rs-order.replayed"
"""The number of times that a message was sent back to its queue."""
BROKER_DEATHS_HEADER = "x-death"
UNEXPLAINED = "unexplained"
"""The reason of a dead letter that names none."""

_DEAD_LETTER_HEADERS = frozenset(
    {
        LETTER_ID_HEADER,
        REASON_HEADER,
        DEAD_LETTERED_AT_HEADER,
        MESSAGE_HEADER,
        STACKTRACE_HEADER,
        ORIGINAL_EXCHANGE_HEADER,
        ORIGINAL_KEY_HEADER,
        BROKER_DEATHS_HEADER,
        "x-first-death-exchange",
        "x-first-death-queue",
        "x-first-death-reason",
        "x-last-death-exchange",
        "x-last-death-queue",
        "x-last-death-reason",
        "x-delivery-count",
        "x-acquired-count",
        # The broker would route the published message by them.
        "CC",
        "BCC",
    }
)


@dataclass(frozen=True, slots=True)
class StoredDeadLetter:
    """A dead letter in its queue."""

    id: str
    """The id in its header, or a digest; equal dead letters of one queue are numbered."""
    vhost: Vhost
    queue: str
    """The queue that holds it."""
    origin: str | None
    """The queue it came from, or None if no header names it."""
    reason: str
    """The value of a DeadLetterReason, or the broker's own reason (``rejected``, ``delivery-limit``)."""
    detail: str | None
    tenant: str | None
    order_id: int | None
    correlation_id: str | None
    died_at: datetime | None
    times: int
    """How often it became a dead letter: once, and once more for each replay that failed."""
    body: bytes
    headers: Mapping[str, Any]

    def age_seconds(self, now: datetime) -> float | None:
        """Return the seconds since it became a dead letter, or None if no header says when."""
        return None if self.died_at is None else max(0.0, (now - self.died_at).total_seconds())


class DeadLetterParser:
    """Parses the dead letters of one queue, in their order."""

    def __init__(self, vhost: Vhost, queue: str) -> None:
        self._vhost = vhost
        self._queue = queue
        self._seen: Counter[str] = Counter()

    def parse(self, delivery: Delivery) -> StoredDeadLetter:
        headers = delivery.headers
        death = _broker_death(headers)
        content = _content(delivery.body)
        return StoredDeadLetter(
            id=self._identify(delivery),
            vhost=self._vhost,
            queue=self._queue,
            origin=delivery.death_queue or _text(death.get("queue")),
            reason=_reason(headers, death),
            detail=_text(headers.get(MESSAGE_HEADER)),
            tenant=delivery.tenant,
            order_id=_order_id(content),
            correlation_id=delivery.correlation_id or _text(content.get("correlationId")),
            died_at=_died_at(headers, death),
            times=_replays(headers) + 1,
            body=delivery.body,
            headers=headers,
        )

    def _identify(self, delivery: Delivery) -> str:
        known = _text(delivery.headers.get(LETTER_ID_HEADER))
        identity = known or _digest(self._queue, delivery)
        self._seen[identity] += 1
        number = self._seen[identity]
        return identity if number == 1 else f"{identity}-{number}"


def replayed_message(delivery: Delivery) -> Message:
    """Return the message as it was before it became a dead letter, marked as replayed.

    ``x-death-queue`` stays: by it a consumer recognises its own dead letter (amqp.md 1.9 step 4).
    """
    headers = {
        name: value for name, value in delivery.headers.items() if name not in _DEAD_LETTER_HEADERS
    }
    headers[REPLAYED_HEADER] = _replays(delivery.headers) + 1
    return Message(
        delivery.body,
        headers=headers,
        delivery_mode=DeliveryMode.PERSISTENT,
        **delivery.properties,
    )


def _reason(headers: Mapping[str, Any], death: Mapping[str, Any]) -> str:
    ours = _text(headers.get(REASON_HEADER))
    brokers = _text(death.get("reason"))
    return ours or (brokers or UNEXPLAINED).replace("_", "-")


def _died_at(headers: Mapping[str, Any], death: Mapping[str, Any]) -> datetime | None:
    """Return when the message became a dead letter, in UTC."""
    ours = _text(headers.get(DEAD_LETTERED_AT_HEADER))
    if ours is not None:
        try:
            return datetime.fromisoformat(ours).astimezone(UTC)
        except ValueError:
            return None
    brokers = death.get("time")
    return brokers.astimezone(UTC) if isinstance(brokers, datetime) else None


def _broker_death(headers: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the latest entry of the broker's own record; empty if the broker didn't dead-letter it."""
    deaths = headers.get(BROKER_DEATHS_HEADER)
    latest = deaths[0] if isinstance(deaths, list) and deaths else {}
    return latest if isinstance(latest, dict) else {}


def _content(body: bytes) -> Mapping[str, Any]:
    """Return the members of the body; none if it isn't a JSON object, a common reason of dead letters."""
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return content if isinstance(content, dict) else {}


def _order_id(content: Mapping[str, Any]) -> int | None:
    value = content.get("orderId")
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _replays(headers: Mapping[str, Any]) -> int:
    count = headers.get(REPLAYED_HEADER)
    return count if isinstance(count, int) else 0


def _digest(queue: str, delivery: Delivery) -> str:
    """Return a digest that is the same each time a dead letter is read."""
    stable = {name: str(value) for name, value in delivery.headers.items() if name in _DIGESTED}
    properties = {name: str(value) for name, value in delivery.properties.items()}
    parts = orjson.dumps([queue, stable, properties], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(parts + delivery.body).hexdigest()[:16]


_DIGESTED = frozenset({TENANT_HEADER, TYPE_HEADER, DEATH_QUEUE_HEADER, BROKER_DEATHS_HEADER})
"""Headers that don't change when the message is read; a quorum queue counts deliveries in others."""


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
