"""Makes AMQP messages with their addresses from outbox rows (amqp.md 1.6, 1.7)."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime

import orjson
from aio_pika import DeliveryMode, Message

from rs_order import traces
from rs_order.broker.dead_letter_message import Death
from rs_order.broker.delivery import DeadLetterReason
from rs_order.broker.publishing import LONGEST_SHORT_STRING, Publication
from rs_order.broker.stored_dead_letters import replayed_message
from rs_order.broker.topology import DEAD_LETTER_EXCHANGE, SHARED_DEAD_LETTER_QUEUE, Queue, Vhost
from rs_order.contracts.event_bodies import EVENT
from rs_order.contracts.notifications import NOTIFICATION, NOTIFICATION_REQUEST
from rs_order.contracts.order_messages import ORDER_REQUEST, ORDER_RESPONSE
from rs_order.contracts.platform_messages import FILES_RESTORATION_REQUEST
from rs_order.contracts.processing_messages import DOWNLOADED_OUTPUTS, EXECUTION_REQUEST
from rs_order.contracts.wire import (
    CONTENT_ENCODING,
    CONTENT_TYPE,
    CONVERTER_HEADER,
    GSON,
    TENANT_HEADER,
    TYPE_HEADER,
)
from rs_order.domain.identity import INSTANCE
from rs_order.domain.instants import wire_instant
from rs_order.ports import MessageKind, OutboxRow

PRIORITY = 1

REQUEST_ID_HEADER = "regards.request.id"
REQUEST_OWNER_HEADER = "regards.request.owner"
REQUEST_DATE_HEADER = "regards.request.date"
EVENT_HEADERS = ("id", "type", "source", "subject")
"""The attributes of a CloudEvent that its headers repeat, with ``ce-`` before their names."""

EVENTS: Mapping[MessageKind, str] = {
    MessageKind.ORDER_RESPONSE: ORDER_RESPONSE,
    MessageKind.RESTORE_REQUEST: FILES_RESTORATION_REQUEST,
    MessageKind.NOTIFICATION: NOTIFICATION,
    MessageKind.INSTANCE_NOTIFICATION: NOTIFICATION,
    MessageKind.EXECUTION_REQUEST: EXECUTION_REQUEST,
    MessageKind.DOWNLOADED_OUTPUTS: DOWNLOADED_OUTPUTS,
    MessageKind.NOTIFIER_COPY: NOTIFICATION_REQUEST,
}
"""The Java class of each message that Java peers read. Steps and dead letters are internal."""


class Publications:
    """Makes publications from outbox rows."""

    def __init__(
        self,
        *,
        step_queue: str,
        remote_step_queue: str,
        remote_steps: Collection[str],
        request_queue: Queue,
        event_exchange: str,
        namespace: str = "regards",
        instance_name: str = "REGARDS",
    ) -> None:
        """Set the names.

        Args:
            step_queue: name of the queue of steps.
            remote_step_queue: name of the queue of the steps that call other services.
            remote_steps: the names of those steps.
            request_queue: the queue of order requests; gives the address of their dead letters.
            event_exchange: name of the topic exchange of the events of orders.
            namespace: prefix of the exchanges.
            instance_name: property ``regards.instance.name``, the ``app_id`` of all messages.
        """
        self._step_queue = step_queue
        self._remote_step_queue = remote_step_queue
        self._remote_steps = remote_steps
        self._request_queue = request_queue
        self._event_exchange = event_exchange
        self._namespace = namespace
        self._instance_name = instance_name

    def publication(self, row: OutboxRow) -> Publication:
        match row.kind:
            case MessageKind.STEP:
                return self._step(row)
            case MessageKind.DEAD_REQUEST:
                return self._dead_request(row)
            case MessageKind.REPLAY:
                return _replay(row)
            case MessageKind.ORDER_EVENT:
                return self._order_event(row)
            case _:
                return self._event(row, EVENTS[row.kind])

    def _event(self, row: OutboxRow, event: str) -> Publication:
        """Address an event to its fanout exchange, whether or not a queue is bound to it (amqp.md 1.6)."""
        instance = row.kind is MessageKind.INSTANCE_NOTIFICATION
        tenant = INSTANCE if instance else row.tenant
        headers = _event_headers(tenant, event)
        if row.kind is MessageKind.NOTIFIER_COPY:
            headers |= self._request_headers(row)
        return Publication(
            vhost=Vhost.INSTANCE if instance else Vhost.MULTITENANT,
            exchange=self._exchange(event),
            routing_key="",
            mandatory=False,
            message=self._message(row, row.body, headers),
        )

    def _request_headers(self, row: OutboxRow) -> dict[str, str]:
        """Return the headers that identify a message to rs-notifier (amqp.md 3.4)."""
        return {
            REQUEST_ID_HEADER: str(row.message_id),
            REQUEST_OWNER_HEADER: self._instance_name,
            REQUEST_DATE_HEADER: wire_instant(row.created_at),
        }

    def _step(self, row: OutboxRow) -> Publication:
        """Address a step to its queue. It is mandatory, because work is lost if the queue doesn't exist."""
        remote = orjson.loads(row.body).get("step") in self._remote_steps
        return Publication(
            vhost=Vhost.MULTITENANT,
            exchange="",
            routing_key=self._remote_step_queue if remote else self._step_queue,
            mandatory=True,
            message=self._message(row, row.body, {TENANT_HEADER: row.tenant}),
        )

    def _dead_request(self, row: OutboxRow) -> Publication:
        """Make the request, as its sender published it, a dead letter that can be replayed.

        The message id is the dead letter's id, so that one published twice is recognised.
        """
        content = orjson.loads(row.body)
        requests = self._request_queue
        death = Death(
            queue=requests.name,
            exchange=self._exchange(ORDER_REQUEST),
            routing_key="",
            reason=DeadLetterReason(content["reason"]),
            detail=content["detail"],
            at=row.created_at,
            letter_id=str(row.message_id),
        )
        headers = _event_headers(row.tenant, ORDER_REQUEST) | death.headers
        return Publication(
            vhost=Vhost.MULTITENANT,
            exchange=DEAD_LETTER_EXCHANGE,
            routing_key=requests.dead_letter_key or SHARED_DEAD_LETTER_QUEUE,
            mandatory=True,
            message=self._message(row, orjson.dumps(content["request"]), headers),
        )

    def _order_event(self, row: OutboxRow) -> Publication:
        """Address a CloudEvent to the exchange of events, whether or not a queue is bound (faces.md E-24).

        The body is that of all doors. Its attributes are headers, too, for bindings to a headers exchange.
        """
        event = orjson.loads(row.body)
        data = event["data"]
        attributes = {f"ce-{name}": event[name] for name in EVENT_HEADERS}
        message = self._message(row, row.body, {TENANT_HEADER: row.tenant, **attributes})
        message.content_type, message.content_encoding = EVENT, None
        return Publication(
            vhost=Vhost.MULTITENANT,
            exchange=self._event_exchange,
            routing_key=f"{row.tenant}.{data['event']}.{data['orderId']}",
            mandatory=False,
            message=message,
        )

    def _exchange(self, event: str) -> str:
        return f"{self._namespace}.broadcast.{event}"

    def _message(self, row: OutboxRow, body: bytes, headers: Mapping[str, str]) -> Message:
        traceparent = traces.current() or row.traceparent
        return Message(
            body,
            headers={**headers, **({traces.HEADER: traceparent} if traceparent else {})},
            content_type=CONTENT_TYPE,
            content_encoding=CONTENT_ENCODING,
            delivery_mode=DeliveryMode.PERSISTENT,
            priority=PRIORITY,
            timestamp=datetime.now(UTC),
            app_id=self._instance_name,
            message_id=str(row.message_id),
            correlation_id=_correlation_id(row),
        )


def _replay(row: OutboxRow) -> Publication:
    """Address the message of a dead letter to its queue. It is mandatory: the queue may be deleted."""
    content = orjson.loads(row.body)
    return Publication(
        vhost=Vhost(content["vhost"]),
        exchange="",
        routing_key=content["queue"],
        mandatory=True,
        message=replayed_message(content),
    )


def _event_headers(tenant: str, event: str) -> dict[str, str]:
    return {TENANT_HEADER: tenant, CONVERTER_HEADER: GSON, TYPE_HEADER: event}


def _correlation_id(row: OutboxRow) -> str | None:
    """Return the correlation id of an order response if it fits into the property; the body has it anyway."""
    value = row.correlation_id
    if row.kind is not MessageKind.ORDER_RESPONSE or value is None:
        return None
    return value if len(value.encode()) <= LONGEST_SHORT_STRING else None
