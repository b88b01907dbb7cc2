"""What can go wrong between us and the broker.

AmqpError
├── BrokerAway             no usable connection or channel; it comes back by itself
├── NotConfirmed           the broker did not take a message over
├── TopologyConflict       an exchange or queue exists with other attributes
├── VhostProvisioningError the management API refused to make a virtual host
└── DeadLetterError
    ├── UnknownDeadLetter    no letter has this id
    ├── UnknownOrigin        the letter does not say which queue it came from
    ├── OriginGone           the queue it came from does not exist any more
    └── DeadLettersBusy      somebody else works on the dead letters
"""

from collections.abc import Sequence


class AmqpError(Exception):
    """Something between us and the broker failed."""

    code = "amqp-error"


class BrokerAway(AmqpError):
    """There is no usable connection or channel; the supervised connection is working on it."""

    code = "broker-away"


class NotConfirmed(AmqpError):
    """The broker refused a message, could not route it, or did not confirm it in time.

    In the last case it may have it all the same: publish again with the same ``message_id``.
    """

    code = "not-confirmed"


class TopologyConflict(AmqpError):
    """An exchange or queue of ours exists with other attributes (amqp.md 1.3, 406)."""

    code = "topology-conflict"


class VhostProvisioningError(AmqpError):
    """The management API did not list or create a virtual host (amqp.md 1.1)."""

    code = "vhost-provisioning"


class DeadLetterError(AmqpError):
    """An act on dead letters could not be done; the letters stay where they are."""

    code = "dead-letter-error"


class UnknownDeadLetter(DeadLetterError):
    """No letter has this id; nothing was done to any letter."""

    code = "unknown-dead-letter"

    def __init__(self, ids: Sequence[str]) -> None:
        super().__init__(
            f"No dead letter has the id {', '.join(ids)}. "
            "List the dead letters again: it may have been replayed or discarded."
        )
        self.ids = tuple(ids)


class UnknownOrigin(DeadLetterError):
    """Nothing on the letter says which queue it came from, so it cannot go back."""

    code = "unknown-origin"

    def __init__(self, letter_id: str) -> None:
        super().__init__(
            f"Dead letter {letter_id} does not say which queue it came from "
            "(neither x-death-queue nor x-death): publish its body by hand, or discard it."
        )


class OriginGone(DeadLetterError):
    """The queue the letter came from does not exist, so it would vanish on its way back."""

    code = "origin-gone"

    def __init__(self, letter_id: str, queue: str) -> None:
        super().__init__(
            f"Dead letter {letter_id} came from {queue}, which does not exist: "
            "start the service that owns it, or discard the letter."
        )


class DeadLettersBusy(DeadLetterError):
    """Somebody else is working on the dead letters; one at a time, or a letter goes back twice."""

    code = "dead-letters-busy"
