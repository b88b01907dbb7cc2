"""What a dead letter says about its death, to operators and to Java peers (amqp.md 1.7, 1.12)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from rs_order.broker.delivery import DEATH_QUEUE_HEADER

LETTER_ID_HEADER = "rs-order.letter-id"
REASON_HEADER = "rs-order.reason"
DEAD_LETTERED_AT_HEADER = "rs-order.dead-lettered-at"
MESSAGE_HEADER = "x-exception-message"
STACKTRACE_HEADER = "x-exception-stacktrace"
ORIGINAL_EXCHANGE_HEADER = "x-original-exchange"
ORIGINAL_KEY_HEADER = "x-original-routingKey"

LONGEST_DETAIL = 2000
"""Characters of an explanation; two headers carry it."""


class DeadLetterReason(StrEnum):
    """Why a message can't be handled; the value is the stable code, ``label`` the words."""

    MISSING_TENANT = "missing-tenant"
    MESSAGE_ORIGIN_MISMATCH = "message-origin-mismatch"
    INVALID_MESSAGE = "invalid-message"
    NOT_CONVERTED_MESSAGE = "not-converted-message"
    UNEXPECTED_VALIDATION_FAILURE = "unexpected-validation-failure"
    UNEXPECTED_BATCH_FAILURE = "unexpected-batch-failure"
    UNKNOWN_TENANT = "unknown-tenant"
    """Not a tenant of ours (decisions.md: kept, not dropped as the reference does)."""
    REMOTE_NONSENSE = "remote-nonsense"
    """A service kept answering what its contract does not allow."""

    @property
    def label(self) -> str:
        """The words of the notification (amqp.md 1.12); ours follow their style."""
        return _LABELS[self]


_LABELS: Mapping[DeadLetterReason, str] = {
    DeadLetterReason.MISSING_TENANT: "Missing tenant in AMQP message header.",
    DeadLetterReason.MESSAGE_ORIGIN_MISMATCH: "Incompatible message origin.",
    DeadLetterReason.INVALID_MESSAGE: "Invalid AMQP message.",
    DeadLetterReason.NOT_CONVERTED_MESSAGE: "Failed AMQP message conversion.",
    DeadLetterReason.UNEXPECTED_VALIDATION_FAILURE: (
        "Unexpected failure during the message validation."
    ),
    DeadLetterReason.UNEXPECTED_BATCH_FAILURE: "Unexpected AMQP batch processing failure.",
    DeadLetterReason.UNKNOWN_TENANT: "Unknown tenant in AMQP message header.",
    DeadLetterReason.REMOTE_NONSENSE: "Unusable answer of a remote service.",
}


@dataclass(frozen=True, slots=True)
class Death:
    """Where, when and why a message died."""

    queue: str
    """The queue it was consumed from, and goes back to when it is replayed."""
    exchange: str
    routing_key: str
    reason: DeadLetterReason
    detail: str
    """For the operator: what is wrong with this message."""
    at: datetime
    letter_id: str

    @property
    def headers(self) -> dict[str, str]:
        detail = self.detail[:LONGEST_DETAIL]
        return {
            DEATH_QUEUE_HEADER: self.queue,
            MESSAGE_HEADER: f"{self.reason.label} {detail}",
            # A stack trace of ours would tell a peer our inside and an operator nothing.
            STACKTRACE_HEADER: detail,
            ORIGINAL_EXCHANGE_HEADER: self.exchange,
            ORIGINAL_KEY_HEADER: self.routing_key,
            REASON_HEADER: self.reason.value,
            DEAD_LETTERED_AT_HEADER: self.at.isoformat(),
            LETTER_ID_HEADER: self.letter_id,
        }
