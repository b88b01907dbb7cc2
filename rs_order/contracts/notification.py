"""NotificationEvent for the users of a project or the operators of the platform (amqp.md 3.4)."""

from enum import StrEnum

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
