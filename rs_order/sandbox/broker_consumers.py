"""The AMQP consumers of rs-storage, rs-processing, rs-admin and rs-admin-instance, and their publisher."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Collection
from datetime import UTC, datetime
from typing import Any

import orjson
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from rs_order.sandbox import amqp_wire
from rs_order.sandbox.amqp_wire import Event
from rs_order.sandbox.broker_link import Link
from rs_order.sandbox.process_executions import Executions
from rs_order.sandbox.published_events import request_from
from rs_order.sandbox.records import WAIT_SECONDS, Notification, Notifications
from rs_order.sandbox.restores import Restores

_LOG = logging.getLogger(__name__)
_RESTORATION_BATCH = 10
_NOTIFICATION_PREFETCH = 100


class Broker:
    """Connects to both virtual hosts of the platform, consumes their queues and publishes events."""

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
        link = self._instance if event.tenant == amqp_wire.INSTANCE_TENANT else self._projects
        link.send(event)

    async def until_sent(self) -> None:
        """Wait until the broker has received most of the events."""
        await self._projects.until_sent()

    async def wait_until_up(self, timeout_seconds: float = WAIT_SECONDS) -> None:
        """Wait until both virtual hosts are connected and subscribed; raises TimeoutError."""
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
        await amqp_wire.declare_dead_letters(channel)
        for event in (amqp_wire.FILE_REFERENCE, *amqp_wire.SECURITY_EVENTS):
            await amqp_wire.declare_exchange(channel, event)
        requests = await amqp_wire.declare_batch_queue(
            channel, amqp_wire.RESTORATION_QUEUE, amqp_wire.RESTORATION_REQUEST
        )
        notifications = await amqp_wire.declare_single_queue(
            channel, amqp_wire.NOTIFICATION_QUEUE, amqp_wire.NOTIFICATION
        )
        await amqp_wire.declare_exchange(channel, amqp_wire.EXECUTION_RESULT)
        await amqp_wire.declare_exchange(channel, amqp_wire.PROCESS_RIGHTS)
        executions = await amqp_wire.declare_single_queue(
            channel, amqp_wire.EXECUTION_QUEUE, amqp_wire.EXECUTION_REQUEST
        )
        downloaded = await amqp_wire.declare_single_queue(
            channel, amqp_wire.DOWNLOADED_QUEUE, amqp_wire.DOWNLOADED_OUTPUTS
        )
        await requests.consume(self._on_restoration_request)
        await executions.consume(self._on_execution_request)
        await downloaded.consume(self._on_outputs_downloaded)
        await notifications.consume(self._on_notification)

    async def _set_up_instance(self, channel: AbstractChannel) -> None:
        await channel.set_qos(prefetch_count=_NOTIFICATION_PREFETCH)
        await amqp_wire.declare_dead_letters(channel)
        for event in amqp_wire.TENANT_EVENTS:
            await amqp_wire.declare_exchange(channel, event)
        queue = await amqp_wire.declare_single_queue(
            channel, amqp_wire.INSTANCE_NOTIFICATION_QUEUE, amqp_wire.NOTIFICATION
        )
        await queue.consume(self._on_notification)

    async def _on_restoration_request(self, message: AbstractIncomingMessage) -> None:
        """Acknowledge once every timer is started. A malformed request becomes a dead letter."""
        try:
            tenant = self._tenant_of(message, amqp_wire.RESTORATION_REQUEST)
            request = request_from(tenant, _body(message))
        except ValueError as error:
            _LOG.warning("Restoration request rejected: %s", error)
            await message.reject(requeue=False)
            return
        await self._restores.accept(request)
        await message.ack()

    async def _on_execution_request(self, message: AbstractIncomingMessage) -> None:
        try:
            tenant = self._tenant_of(message, amqp_wire.EXECUTION_REQUEST)
            self._executions.accept(tenant, _body(message))
        except ValueError as error:
            _LOG.warning("Execution request rejected: %s", error)
            await message.reject(requeue=False)
            return
        await message.ack()

    async def _on_outputs_downloaded(self, message: AbstractIncomingMessage) -> None:
        try:
            self._tenant_of(message, amqp_wire.DOWNLOADED_OUTPUTS)
            urls = _body(message)["outputFileUrls"]
        except (ValueError, KeyError) as error:
            _LOG.warning("Downloaded outputs rejected: %s", error)
            await message.reject(requeue=False)
            return
        await self._executions.outputs_downloaded(urls)
        await message.ack()

    async def _on_notification(self, message: AbstractIncomingMessage) -> None:
        try:
            body = _body(message)["notification"]
        except (ValueError, KeyError) as error:
            _LOG.warning("Notification rejected: %s", error)
            await message.reject(requeue=False)
            return
        tenant = str(message.headers.get(amqp_wire.TENANT_HEADER, ""))
        self._notifications.receive(Notification(tenant, body, datetime.now(UTC)))
        await message.ack()

    def _tenant_of(self, message: AbstractIncomingMessage, event_type: str) -> str:
        tenant = message.headers.get(amqp_wire.TENANT_HEADER)
        if not isinstance(tenant, str) or tenant not in self._tenants:
            raise ValueError(f"header {amqp_wire.TENANT_HEADER} names no tenant served: {tenant!r}")
        if message.headers.get("regards.type") != event_type:
            raise ValueError(f"header regards.type isn't {event_type}")
        return tenant


def _body(message: AbstractIncomingMessage) -> dict[str, Any]:
    body = orjson.loads(message.body)
    if not isinstance(body, dict):
        raise ValueError("the body isn't a JSON object")  # noqa: TRY004 - a bad value of a message
    return body
