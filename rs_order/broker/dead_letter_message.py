"""Writes dead letters: the headers that operators and Java services read (amqp.md 1.7, 1.12)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from aio_pika import DeliveryMode, Message
from pamqp import encode

from rs_order.broker.delivery import DEATH_QUEUE_HEADER, DeadLetter, DeadLetterReason, Delivery
from rs_order.contracts.wire import LETTER_ID_HEADER

REASON_HEADER = "rs-order.reason"
DEAD_LETTERED_AT_HEADER = "rs-order.dead-lettered-at"
MESSAGE_HEADER = "x-exception-message"
STACKTRACE_HEADER = "x-exception-stacktrace"
ORIGINAL_EXCHANGE_HEADER = "x-original-exchange"
ORIGINAL_KEY_HEADER = "x-original-routingKey"

LONGEST_DETAIL = 2000
"""Characters of an explanation; two headers carry it."""
LARGEST_HEADERS = 64 * 1024
"""Bytes. All headers of a message travel in one frame, 128 KiB by default. A longer one would close the
connection, at each attempt again."""


@dataclass(frozen=True, slots=True)
class Death:
    """The place, time and reason of a message's failure."""

    queue: str
    """The queue it was consumed from; a replay sends it back there."""
    exchange: str
    routing_key: str
    reason: DeadLetterReason
    detail: str
    """The defect of this message, for the operator."""
    at: datetime
    letter_id: str

    @property
    def headers(self) -> dict[str, str]:
        detail = self.detail[:LONGEST_DETAIL]
        return {
            DEATH_QUEUE_HEADER: self.queue,
            MESSAGE_HEADER: f"{self.reason.label} {detail}",
            # A stack trace would reveal internals to peers and is of no use to an operator.
            STACKTRACE_HEADER: detail,
            ORIGINAL_EXCHANGE_HEADER: self.exchange,
            ORIGINAL_KEY_HEADER: self.routing_key,
            REASON_HEADER: self.reason.value,
            DEAD_LETTERED_AT_HEADER: self.at.isoformat(),
            LETTER_ID_HEADER: self.letter_id,
        }


def dead_letter_message(delivery: Delivery, dead_letter: DeadLetter, *, now: datetime) -> Message:
    """Return the message with the headers of a dead letter (amqp.md 1.7)."""
    death = Death(
        queue=delivery.queue,
        exchange=delivery.exchange,
        routing_key=delivery.routing_key,
        reason=dead_letter.reason,
        detail=dead_letter.detail,
        at=now,
        letter_id=str(uuid4()),
    )
    headers = {**_bounded(_without_routing(delivery.headers)), **death.headers}
    return Message(
        delivery.body,
        headers=dict(headers),
        delivery_mode=DeliveryMode.PERSISTENT,
        **delivery.properties,
    )


def _without_routing(headers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the headers without those by which the broker would route a dead letter to other queues."""
    return {name: value for name, value in headers.items() if name not in ("CC", "BCC")}


def _bounded(headers: dict[str, Any]) -> dict[str, Any]:
    """Return the headers, without the largest ones if they would not fit beside our own."""
    bounded = dict(headers)
    while len(encode.field_table(bounded)) > LARGEST_HEADERS:
        largest = max(bounded, key=lambda name: len(encode.field_table({name: bounded[name]})))
        del bounded[largest]
    return bounded
