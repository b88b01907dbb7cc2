"""Names, headers and queues on the broker, as in amqp.md 1.3 to 1.8, 3.2, 3.4, 3.7 and 3.9."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import aio_pika
import orjson
from aio_pika.abc import AbstractChannel, AbstractQueue, ExchangeType
from aiormq.abc import FieldTable

RESTORATION_REQUEST = "fr.cnes.regards.modules.filecatalog.amqp.input.FilesRestorationRequestEvent"
FILE_REFERENCE = "fr.cnes.regards.modules.filecatalog.amqp.output.FileReferenceEvent"
NOTIFICATION = "fr.cnes.regards.framework.amqp.event.notification.NotificationEvent"
_PROCESSING_EVENTS = "fr.cnes.regards.modules.processing.domain.events"
EXECUTION_REQUEST = f"{_PROCESSING_EVENTS}.PExecutionRequestEvent"
EXECUTION_RESULT = f"{_PROCESSING_EVENTS}.PExecutionResultEvent"
DOWNLOADED_OUTPUTS = f"{_PROCESSING_EVENTS}.DownloadedOutputFilesEvent"
PROCESS_RIGHTS = "fr.cnes.regards.modules.processing.event.RightsPluginConfigurationEvent"
_SECURITY = "fr.cnes.regards.framework.security.event"
ROLE_EVENT = f"{_SECURITY}.RoleEvent"
RESOURCE_ACCESS_EVENT = f"{_SECURITY}.ResourceAccessEvent"
RESOURCE_ACCESS_INIT = f"{_SECURITY}.ResourceAccessInit"
SECURITY_EVENTS = (ROLE_EVENT, RESOURCE_ACCESS_EVENT, RESOURCE_ACCESS_INIT)
_TENANT = "fr.cnes.regards.framework.amqp.event.tenant"
TENANT_CREATED = f"{_TENANT}.TenantCreatedEvent"
TENANT_DELETED = f"{_TENANT}.TenantDeletedEvent"
_CONNECTION = "fr.cnes.regards.framework.jpa.multitenant.event"
CONNECTION_CREATED = f"{_CONNECTION}.TenantConnectionConfigurationCreated"
CONNECTION_UPDATED = f"{_CONNECTION}.TenantConnectionConfigurationUpdated"
CONNECTION_DELETED = f"{_CONNECTION}.TenantConnectionConfigurationDeleted"
CONNECTION_FAILED = f"{_CONNECTION}.TenantConnectionFailed"
TENANT_EVENTS = (
    TENANT_CREATED,
    TENANT_DELETED,
    CONNECTION_CREATED,
    CONNECTION_UPDATED,
    CONNECTION_DELETED,
    CONNECTION_FAILED,
)

RESTORATION_QUEUE = (
    "regards.broadcast.rs-storage.fr.cnes.regards.modules.storage.service.file.handler"
    ".FileRestorationRequestEventHandler"
)
_PROCESSING_HANDLERS = "fr.cnes.regards.modules.processing.service.handlers"
EXECUTION_QUEUE = (
    f"regards.broadcast.rs-processing.{_PROCESSING_HANDLERS}.ExecutionRequestEventHandler"
)
DOWNLOADED_QUEUE = (
    f"regards.broadcast.rs-processing.{_PROCESSING_HANDLERS}.DownloadedOutputFileEventHandler"
)
_NOTIFICATION_HANDLER = "fr.cnes.regards.modules.notification.service.NotificationEventHandler"
NOTIFICATION_QUEUE = f"regards.broadcast.rs-admin.{_NOTIFICATION_HANDLER}"
INSTANCE_NOTIFICATION_QUEUE = f"regards.broadcast.rs-admin-instance.{_NOTIFICATION_HANDLER}"

INSTANCE_TENANT = "instance"
TENANT_HEADER = "regards.tenant"
_DLX = "regards.DLX"
_DLQ = "regards.DLQ"
_MAX_PRIORITY: FieldTable = {"x-max-priority": 255}


@dataclass(frozen=True, slots=True)
class Event:
    """A message that is published on the exchange of its class."""

    type: str
    tenant: str
    body: dict[str, Any] = field(default_factory=dict)
    jackson: bool = False
    """JACKSON instead of GSON: another header names the class, and nulls are written."""

    @property
    def exchange(self) -> str:
        return exchange_of(self.type)

    def message(self) -> aio_pika.Message:
        return aio_pika.Message(
            orjson.dumps(self.body),
            content_type="application/json",
            content_encoding="UTF-8",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            priority=1,
            timestamp=datetime.now(UTC),
            app_id="REGARDS",
            headers={
                TENANT_HEADER: self.tenant,
                "regards.converter": "JACKSON" if self.jackson else "GSON",
                ("__TypeId__" if self.jackson else "regards.type"): self.type,
            },
        )


def exchange_of(event_type: str) -> str:
    return f"regards.broadcast.{event_type}"


async def declare_exchange(channel: AbstractChannel, event_type: str) -> None:
    await channel.declare_exchange(exchange_of(event_type), ExchangeType.FANOUT, durable=True)


async def declare_dead_letters(channel: AbstractChannel) -> None:
    await channel.declare_exchange(_DLX, ExchangeType.TOPIC, durable=True)
    await _declare_dead_letter_queue(channel, _DLQ)


async def declare_batch_queue(
    channel: AbstractChannel, name: str, event_type: str
) -> AbstractQueue:
    """Declare the queue of a batch handler, with its own dead-letter queue."""
    await _declare_dead_letter_queue(channel, f"{name}.DLQ")
    return await _declare_queue(channel, name, event_type, dead_letter_key=f"{name}.DLQ")


async def declare_single_queue(
    channel: AbstractChannel, name: str, event_type: str
) -> AbstractQueue:
    """Declare the queue of a single-message handler; its dead letters go to the common queue."""
    return await _declare_queue(channel, name, event_type, dead_letter_key=_DLQ)


async def _declare_queue(
    channel: AbstractChannel, name: str, event_type: str, *, dead_letter_key: str
) -> AbstractQueue:
    await declare_exchange(channel, event_type)
    queue = await channel.declare_queue(
        name,
        durable=True,
        arguments={
            **_MAX_PRIORITY,
            "x-dead-letter-exchange": _DLX,
            "x-dead-letter-routing-key": dead_letter_key,
        },
    )
    await queue.bind(exchange_of(event_type), routing_key="")
    return queue


async def _declare_dead_letter_queue(channel: AbstractChannel, name: str) -> None:
    queue = await channel.declare_queue(name, durable=True, arguments=_MAX_PRIORITY)
    await queue.bind(_DLX, routing_key=name)
