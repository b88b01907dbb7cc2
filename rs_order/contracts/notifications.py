"""Notifications of users and operators, and copies of messages for rs-notifier (amqp.md 3.4)."""

from enum import StrEnum
from typing import Any

from pydantic import ConfigDict, Field

from rs_order.contracts.wire import WireModel
from rs_order.domain.identity import SERVICE

NOTIFICATION = "fr.cnes.regards.framework.amqp.event.notification.NotificationEvent"


class Level(StrEnum):
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"
    FATAL = "FATAL"


class Notification(WireModel):
    """A message that rs-admin shows to users or roles."""

    model_config = ConfigDict(populate_by_name=True)

    message: str
    title: str
    sender: str = SERVICE
    level: Level
    role_recipients: list[str] = Field(default=[], alias="roleRecipients")
    project_user_recipients: list[str] = Field(default=[], alias="projectUserRecipients")
    mime_type: str = Field(default="text/plain", alias="mimeType")


class NotificationEvent(WireModel):
    """The envelope rs-admin expects."""

    notification: Notification


NOTIFICATION_REQUEST = "fr.cnes.regards.framework.amqp.event.notifier.NotificationRequestEvent"


class CopyMetadata(WireModel):
    """The priority and the kind of the copied message."""

    model_config = ConfigDict(populate_by_name=True)

    priority: int = 1
    message_type: str = Field(alias="messageType")


class NotificationRequest(WireModel):
    """A copy of a published message, with the name of its Java class."""

    payload: dict[str, Any]
    metadata: CopyMetadata
