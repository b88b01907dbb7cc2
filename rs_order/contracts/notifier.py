"""NotificationRequestEvent: copies of messages for rs-notifier (amqp.md 3.4)."""

from typing import Any

from pydantic import ConfigDict, Field

from rs_order.contracts.wire import WireModel

NOTIFICATION_REQUEST = "fr.cnes.regards.framework.amqp.event.notifier.NotificationRequestEvent"


class CopyMetadata(WireModel):
    """What the copied message is."""

    model_config = ConfigDict(populate_by_name=True)

    priority: int = 1
    message_type: str = Field(alias="messageType")


class NotificationRequest(WireModel):
    """A message of ours with the name of its class."""

    payload: dict[str, Any]
    metadata: CopyMetadata
