"""Errors between the service and the broker.

AmqpError
├── BrokerUnavailable      no usable connection or channel; the service reconnects by itself
├── NotConfirmed           the broker did not confirm a message
│   └── Rejected           it rejected the message, or no queue receives it
├── TopologyConflict       an exchange or queue exists with other attributes
└── VhostProvisioningError the management API can't create a virtual host
"""


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
