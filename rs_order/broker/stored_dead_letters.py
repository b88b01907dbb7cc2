"""Reads dead letters of this service, a Java service or the broker, and makes the messages of replays."""

import base64
import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import orjson
from aio_pika import DeliveryMode, Message

from rs_order.broker.dead_letter_message import (
    DEAD_LETTERED_AT_HEADER,
    MESSAGE_HEADER,
    ORIGINAL_EXCHANGE_HEADER,
    ORIGINAL_KEY_HEADER,
    REASON_HEADER,
    STACKTRACE_HEADER,
)
from rs_order.broker.delivery import DEATH_QUEUE_HEADER, Delivery
from rs_order.broker.publishing import LONGEST_SHORT_STRING
from rs_order.broker.topology import Vhost
from rs_order.contracts.wire import INT64, LETTER_ID_HEADER, TENANT_HEADER, TYPE_HEADER
from rs_order.domain.dead_letters import StoredDeadLetter

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


def stored_dead_letter(vhost: Vhost, delivery: Delivery) -> StoredDeadLetter:
    """Return the dead letter that a queue of dead letters delivers, or will deliver."""
    headers = delivery.headers
    death = _broker_death(headers)
    content = _content(delivery.body)
    identity = _short(headers.get(LETTER_ID_HEADER)) or _digest(delivery)
    return StoredDeadLetter(
        id=identity,
        identity=identity,
        vhost=vhost.value,
        queue=delivery.queue,
        origin=_short(delivery.death_queue) or _short(death.get("queue")),
        reason=_reason(headers, death),
        detail=_text(headers.get(MESSAGE_HEADER)),
        tenant=_short(delivery.tenant),
        order_id=_order_id(content),
        step=_short(content.get("step")),
        message_id=delivery.message_id,
        correlation_id=delivery.correlation_id or _text(content.get("correlationId")),
        died_at=_died_at(headers, death),
        times=_replays(headers) + 1,
        body=delivery.body,
        headers=_to_json(headers),
        properties=_to_json(
            {name: value for name, value in delivery.properties.items() if value is not None}
        ),
    )


def replay_content(letter: StoredDeadLetter, body: bytes) -> dict[str, Any]:
    """Return the outbox body that publishes the message as it was, marked as replayed.

    ``x-death-queue`` stays: by it a consumer recognises its own dead letter (amqp.md 1.9 step 4).

    Args:
        letter: a dead letter whose origin is known.
        body: its body, or a corrected one.
    """
    headers = {
        name: value for name, value in letter.headers.items() if name not in _DEAD_LETTER_HEADERS
    }
    return {
        "vhost": letter.vhost,
        "queue": letter.origin,
        "headers": {**headers, REPLAYED_HEADER: letter.times},
        "properties": dict(letter.properties),
        "body": base64.b64encode(body).decode(),
    }


def replayed_message(content: Mapping[str, Any]) -> Message:
    """Return the message that `replay_content` describes."""
    return Message(
        base64.b64decode(content["body"]),
        headers=_from_json(content["headers"]),
        delivery_mode=DeliveryMode.PERSISTENT,
        **_from_json(content["properties"]),
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
        except (ValueError, OverflowError):
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
    is_id = isinstance(value, int) and not isinstance(value, bool) and abs(value) <= INT64
    return value if is_id else None


def _replays(headers: Mapping[str, Any]) -> int:
    count = headers.get(REPLAYED_HEADER)
    return count if isinstance(count, int) and 0 <= count < _MOST_REPLAYS else 0


_MOST_REPLAYS: Final = 2**31 - 2


def _digest(delivery: Delivery) -> str:
    """Return a digest that is the same each time a dead letter is read."""
    stable = {name: str(value) for name, value in delivery.headers.items() if name in _DIGESTED}
    properties = {name: str(value) for name, value in delivery.properties.items()}
    parts = orjson.dumps([delivery.queue, stable, properties], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(parts + delivery.body).hexdigest()[:16]


_DIGESTED = frozenset(
    {TENANT_HEADER, TYPE_HEADER, DEATH_QUEUE_HEADER, BROKER_DEATHS_HEADER, REPLAYED_HEADER}
)
"""Headers that don't change when the message is read; a quorum queue counts deliveries in others."""


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _short(value: object) -> str | None:
    """Return a text that can be the name of something. A longer one would not fit into an index."""
    text = _text(value)
    return (
        text if text and len(text.encode()) <= LONGEST_SHORT_STRING and "\0" not in text else None
    )


_WRITERS: Final[Mapping[type, tuple[str, Callable[[Any], str]]]] = {
    datetime: ("$time", datetime.isoformat),
    Decimal: ("$decimal", str),
    bytes: ("$bytes", lambda value: base64.b64encode(value).decode()),
    bytearray: ("$bytes", lambda value: base64.b64encode(value).decode()),
}
_READERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "$time": datetime.fromisoformat,
    "$decimal": Decimal,
    "$bytes": base64.b64decode,
    "$text": orjson.loads,
}


def _to_json(value: Any) -> Any:
    """Return a header value as JSON that the database can store; what JSON lacks becomes ``{"$…": …}``."""
    if isinstance(value, Mapping):
        return {name.replace("\0", "\ufffd"): _to_json(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_to_json(item) for item in value]
    if isinstance(value, str) and "\0" in value:
        return {"$text": orjson.dumps(value).decode()}
    if type(value) in _WRITERS:
        name, write = _WRITERS[type(value)]
        return {name: write(value)}
    return value


def _from_json(value: Any) -> Any:
    """Return the header value that `_to_json` wrote."""
    if isinstance(value, list):
        return [_from_json(item) for item in value]
    if not isinstance(value, dict):
        return value
    name = next(iter(value), "")
    if len(value) == 1 and name in _READERS:
        return _READERS[name](value[name])
    return {name: _from_json(item) for name, item in value.items()}
