"""The sandbox's AMQP side: consumers of rs-storage, rs-processing and both rs-admin, and all it publishes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from rs_order.sandbox import wire
from rs_order.sandbox.calls import Changes
from rs_order.sandbox.executions import Executions
from rs_order.sandbox.link import Link
from rs_order.sandbox.restores import Restores, request_from
from rs_order.sandbox.wire import Event

_LOG = logging.getLogger(__name__)
_RESTORATION_BATCH = 10
_NOTIFICATION_PREFETCH = 100
_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class Notification:
    tenant: str
    body: dict[str, Any]
    """The member ``notification`` of the event."""
    at: datetime


class Notifications:
    """Notifications that users would have seen."""

    def __init__(self) -> None:
        self._received: deque[Notification] = deque(maxlen=_KEPT)
        self._changes = Changes()

    @property
    def received(self) -> list[Notification]:
        return list(self._received)

    def receive(self, notification: Notification) -> None:
        self._received.append(notification)
        self._changes.tell()

    async def wait_for(self, number: int, timeout_seconds: float = 30) -> list[Notification]:
        """The notifications, once there are so many; raises TimeoutError."""
        await self._changes.until(lambda: len(self._received) >= number, timeout_seconds)
        return self.received

    def clear(self) -> None:
        self._received.clear()


class Broker:
    def __init__(
        self,
        amqp_url: str,
        *,
        vhost: str,
        instance_vhost: str,
        restores: Restores,
        executions: Executions,
        notifications: Notifications,
        tenants: Collection[str],
    ) -> None:
        self._restores = restores
        self._executions = executions
        self._notifications = notifications
        self._tenants = tenants
        self._projects = Link(amqp_url, vhost, self._set_up_projects)
        self._instance = Link(amqp_url, instance_vhost, self._set_up_instance)

    def send(self, event: Event) -> None:
        """Publish an event on the virtual host that its tenant belongs to."""
        link = self._instance if event.tenant == wire.INSTANCE_TENANT else self._projects
        link.send(event)

    async def until_room(self) -> None:
        """Until the broker keeps up with what storage says."""
        await self._projects.until_room()

    async def wait_until_up(self, timeout_seconds: float = 30) -> None:
        """Until both virtual hosts are connected and subscribed; raises TimeoutError."""
        async with asyncio.timeout(timeout_seconds):
            await self._projects.up.wait()
            await self._instance.up.wait()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(link.run()) for link in (self._projects, self._instance)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _set_up_projects(self, channel: AbstractChannel) -> None:
        await channel.set_qos(prefetch_count=_RESTORATION_BATCH)
        await wire.declare_dead_letters(channel)
        for event in (wire.FILE_REFERENCE, *wire.SECURITY_EVENTS):
            await wire.declare_exchange(channel, event)
        requests = await wire.declare_batch_queue(
            channel, wire.RESTORATION_QUEUE, wire.RESTORATION_REQUEST
        )
        notifications = await wire.declare_single_queue(
            channel, wire.NOTIFICATION_QUEUE, wire.NOTIFICATION
        )
        await wire.declare_exchange(channel, wire.EXECUTION_RESULT)
        await wire.declare_exchange(channel, wire.PROCESS_RIGHTS)
        executions = await wire.declare_single_queue(
            channel, wire.EXECUTION_QUEUE, wire.EXECUTION_REQUEST
        )
        downloaded = await wire.declare_single_queue(
            channel, wire.DOWNLOADED_QUEUE, wire.DOWNLOADED_OUTPUTS
        )
        await requests.consume(self._on_restoration_request)
        await executions.consume(self._on_execution_request)
        await downloaded.consume(self._on_outputs_downloaded)
        await notifications.consume(self._on_notification)

    async def _set_up_instance(self, channel: AbstractChannel) -> None:
        await channel.set_qos(prefetch_count=_NOTIFICATION_PREFETCH)
        await wire.declare_dead_letters(channel)
        for event in wire.TENANT_EVENTS:
            await wire.declare_exchange(channel, event)
        queue = await wire.declare_single_queue(
            channel, wire.INSTANCE_NOTIFICATION_QUEUE, wire.NOTIFICATION
        )
        await queue.consume(self._on_notification)

    async def _on_restoration_request(self, message: AbstractIncomingMessage) -> None:
        """Acknowledge only once every timer runs; what can't be read is dead-lettered."""
        try:
            tenant = self._tenant_of(message, wire.RESTORATION_REQUEST)
            request = request_from(tenant, _body(message))
        except ValueError as error:
            _LOG.warning("Restoration request refused: %s", error)
            await message.reject(requeue=False)
            return
        await self._restores.accept(request)
        await message.ack()

    async def _on_execution_request(self, message: AbstractIncomingMessage) -> None:
        try:
            tenant = self._tenant_of(message, wire.EXECUTION_REQUEST)
            self._executions.accept(tenant, _body(message))
        except ValueError as error:
            _LOG.warning("Execution request refused: %s", error)
            await message.reject(requeue=False)
            return
        await message.ack()

    async def _on_outputs_downloaded(self, message: AbstractIncomingMessage) -> None:
        try:
            self._tenant_of(message, wire.DOWNLOADED_OUTPUTS)
            urls = _body(message)["outputFileUrls"]
        except (ValueError, KeyError) as error:
            _LOG.warning("Downloaded outputs refused: %s", error)
            await message.reject(requeue=False)
            return
        await self._executions.outputs_downloaded(urls)
        await message.ack()

    async def _on_notification(self, message: AbstractIncomingMessage) -> None:
        try:
            body = _body(message)["notification"]
        except (ValueError, KeyError) as error:
            _LOG.warning("Notification refused: %s", error)
            await message.reject(requeue=False)
            return
        tenant = str(message.headers.get(wire.TENANT_HEADER, ""))
        self._notifications.receive(Notification(tenant, body, datetime.now(UTC)))
        await message.ack()

    def _tenant_of(self, message: AbstractIncomingMessage, event_type: str) -> str:
        tenant = message.headers.get(wire.TENANT_HEADER)
        if not isinstance(tenant, str) or tenant not in self._tenants:
            raise ValueError(f"header {wire.TENANT_HEADER} names no tenant served: {tenant!r}")
        if message.headers.get("regards.type") != event_type:
            raise ValueError(f"header regards.type isn't {event_type}")
        return tenant


def _body(message: AbstractIncomingMessage) -> dict[str, Any]:
    body = orjson.loads(message.body)
    if not isinstance(body, dict):
        raise ValueError("the body isn't a JSON object")  # noqa: TRY004 - a bad value of a message
    return body
