"""Errors between the service and the broker.

AmqpError
├── BrokerUnavailable      no usable connection or channel; the service reconnects by itself
├── NotConfirmed           the broker did not confirm a message
│   └── Rejected           it rejected the message, or no queue receives it
├── TopologyConflict       an exchange or queue exists with other attributes
├── VhostProvisioningError the management API can't create a virtual host
└── DeadLetterError
    ├── UnknownDeadLetter  no dead letter has this id
    ├── UnknownOrigin      the dead letter doesn't name the queue it came from
    ├── MissingOrigin      the queue it came from doesn't exist any more
    └── DeadLettersBusy    another operator works on the dead letters
"""

from collections.abc import Sequence


class AmqpError(Exception):
    """Base of all errors between the service and the broker."""

    code = "amqp-error"


class BrokerUnavailable(AmqpError):
    """There is no usable connection or channel; the supervised connection reconnects."""

    code = "broker-away"


class NotConfirmed(AmqpError):
    """The broker rejected a message, could not route it, or did not confirm it in time.

    In the last case it may have stored the message: publish it again with the same ``message_id``.
    """

    code = "not-confirmed"


class Rejected(NotConfirmed):
    """The broker works, but a queue is full, or no queue receives the message. Other messages may pass."""

    code = "rejected"


class TopologyConflict(AmqpError):
    """An exchange or queue of ours exists with other attributes (amqp.md 1.3, 406)."""

    code = "topology-conflict"


class VhostProvisioningError(AmqpError):
    """The management API did not list or create a virtual host (amqp.md 1.1)."""

    code = "vhost-provisioning"


class DeadLetterError(AmqpError):
    """An operation on dead letters failed; they stay in their queues."""

    code = "dead-letter-error"


class UnknownDeadLetter(DeadLetterError):
    """No dead letter has this id; no dead letter was changed."""

    code = "unknown-dead-letter"

    def __init__(self, ids: Sequence[str]) -> None:
        super().__init__(
            f"No dead letter has the id {', '.join(ids)}. "
            "List the dead letters again: it may have been replayed or discarded."
        )
        self.ids = tuple(ids)


class UnknownOrigin(DeadLetterError):
    """The dead letter doesn't name the queue it came from, so it can't be sent back."""

    code = "unknown-origin"

    def __init__(self, letter_id: str) -> None:
        super().__init__(
            f"Dead letter {letter_id} does not say which queue it came from "
            "(neither x-death-queue nor x-death): publish its body by hand, or discard it."
        )


class MissingOrigin(DeadLetterError):
    """The queue that the dead letter came from doesn't exist, so the broker would drop it."""

    code = "origin-gone"

    def __init__(self, letter_id: str, queue: str) -> None:
        super().__init__(
            f"Dead letter {letter_id} came from {queue}, which does not exist: "
            "start the service that owns it, or discard it."
        )


class DeadLettersBusy(DeadLetterError):
    """Another operator works on the dead letters. Two at a time could replay one twice."""

    code = "dead-letters-busy"
