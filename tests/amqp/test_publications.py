"""Each kind of outbox row becomes an AMQP message with the literal names of amqp.md."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import aio_pika
import orjson
import pytest

from rs_order.broker.publications import Publications
from rs_order.broker.queue_names import topology
from rs_order.broker.topology import Vhost
from rs_order.domain.ids import Tenant
from rs_order.ports import MessageKind, OutboxRow

NAMES = topology(instance_identifier="test")
MESSAGES = Publications(
    step_queue=NAMES.steps.name,
    remote_step_queue=NAMES.remote_steps.name,
    remote_steps={"complete-order"},
    request_queue=NAMES.order_requests,
    event_exchange=NAMES.events.name,
)
MESSAGE_ID = UUID("6f1c1c2f-0f55-4b3b-8d62-5a2e2c405b3b")


def row(
    kind: MessageKind, correlation_id: str | None = None, body: bytes = b'{"a": 1}'
) -> OutboxRow:
    return OutboxRow(
        id=1,
        kind=kind,
        tenant=Tenant("project1"),
        body=body,
        stream=None,
        correlation_id=correlation_id,
        message_id=MESSAGE_ID,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("kind", "vhost", "tenant", "event"),
    [
        (
            MessageKind.ORDER_RESPONSE,
            Vhost.MULTITENANT,
            "project1",
            "fr.cnes.regards.modules.order.amqp.output.OrderResponseDtoEvent",
        ),
        (
            MessageKind.EXECUTION_REQUEST,
            Vhost.MULTITENANT,
            "project1",
            "fr.cnes.regards.modules.processing.domain.events.PExecutionRequestEvent",
        ),
        (
            MessageKind.RESTORE_REQUEST,
            Vhost.MULTITENANT,
            "project1",
            "fr.cnes.regards.modules.filecatalog.amqp.input.FilesRestorationRequestEvent",
        ),
        (
            MessageKind.NOTIFICATION,
            Vhost.MULTITENANT,
            "project1",
            "fr.cnes.regards.framework.amqp.event.notification.NotificationEvent",
        ),
        (
            MessageKind.INSTANCE_NOTIFICATION,
            Vhost.INSTANCE,
            "instance",
            "fr.cnes.regards.framework.amqp.event.notification.NotificationEvent",
        ),
        (
            MessageKind.DOWNLOADED_OUTPUTS,
            Vhost.MULTITENANT,
            "project1",
            "fr.cnes.regards.modules.processing.domain.events.DownloadedOutputFilesEvent",
        ),
    ],
)
def test_an_event_goes_to_its_fanout_exchange_with_the_headers_that_java_needs(
    kind: MessageKind, vhost: Vhost, tenant: str, event: str
) -> None:
    """amqp.md 1.3, 1.6, 1.7: a Java peer drops a message with a missing or wrong class name."""
    publication = MESSAGES.publication(row(kind))

    assert publication.vhost is vhost
    assert publication.exchange == f"regards.broadcast.{event}"
    assert (publication.routing_key, publication.mandatory) == ("", False)
    assert dict(publication.message.headers) == {
        "regards.tenant": tenant,
        "regards.converter": "GSON",
        "regards.type": event,
    }


def test_a_copy_for_the_notifier_is_a_request_with_its_own_headers() -> None:
    """amqp.md 3.4: the requester, the date, and an id that is the same at each attempt."""
    publication = MESSAGES.publication(row(MessageKind.NOTIFIER_COPY))

    event = "fr.cnes.regards.framework.amqp.event.notifier.NotificationRequestEvent"
    assert publication.vhost is Vhost.MULTITENANT
    assert publication.exchange == f"regards.broadcast.{event}"
    assert (publication.routing_key, publication.mandatory) == ("", False)
    assert dict(publication.message.headers) == {
        "regards.tenant": "project1",
        "regards.converter": "GSON",
        "regards.type": event,
        "regards.request.id": str(MESSAGE_ID),
        "regards.request.owner": "REGARDS",
        "regards.request.date": "2026-01-01T00:00:00Z",
    }


def test_an_event_of_an_order_is_a_cloud_event_with_a_routing_key() -> None:
    """faces.md E-24: subscribers choose by the key, or by headers. The body is that of the log."""
    body = (
        b'{"specversion":"1.0","id":"i","source":"https://h/p","type":"x.suborder.ready","subject":"orders/12",'
        b'"data":{"event":"suborder.ready","orderId":12}}'
    )
    publication = MESSAGES.publication(row(MessageKind.ORDER_EVENT, body=body))
    message = publication.message

    assert (publication.vhost, publication.exchange) == (Vhost.MULTITENANT, "rs-order.events")
    assert publication.routing_key == "project1.suborder.ready.12"
    assert publication.mandatory is False
    assert dict(message.headers) == {
        "regards.tenant": "project1",
        "ce-id": "i",
        "ce-type": "x.suborder.ready",
        "ce-source": "https://h/p",
        "ce-subject": "orders/12",
    }
    assert (message.content_type, message.content_encoding) == (
        "application/cloudevents+json",
        None,
    )
    assert message.delivery_mode is aio_pika.DeliveryMode.PERSISTENT
    assert (message.message_id, message.body) == (str(MESSAGE_ID), body)


@pytest.mark.parametrize(
    ("step", "queue"),
    [("schedule", "rs-order.steps"), ("complete-order", "rs-order.remote-steps")],
)
def test_a_step_goes_to_its_queue_or_counts_as_not_published(step: str, queue: str) -> None:
    """Steps are mandatory; those that call other services have a queue of their own."""
    publication = MESSAGES.publication(row(MessageKind.STEP, body=orjson.dumps({"step": step})))

    assert (publication.exchange, publication.routing_key) == ("", queue)
    assert publication.mandatory
    assert publication.message.headers == {"regards.tenant": "project1"}


@pytest.mark.parametrize(
    "kind", sorted(set(MessageKind) - {"DEAD_REQUEST", "REPLAY", "ORDER_EVENT"})
)
def test_every_message_has_the_properties_of_a_regards_publisher(kind: MessageKind) -> None:
    """amqp.md 1.6, and the message_id of the row, the same at each attempt. A replay repeats the original."""
    before = datetime.now(UTC).replace(microsecond=0)
    message = MESSAGES.publication(row(kind)).message

    assert (message.content_type, message.content_encoding) == ("application/json", "UTF-8")
    assert (message.priority, message.app_id) == (1, "REGARDS")
    assert message.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
    assert message.message_id == str(MESSAGE_ID)
    assert message.timestamp is not None
    assert message.timestamp >= before
    assert (message.type, message.reply_to, message.expiration) == (None, None, None)
    assert message.body == b'{"a": 1}'


@pytest.mark.parametrize(
    ("kind", "correlation_id", "expected"),
    [
        (MessageKind.ORDER_RESPONSE, "d1f0-42", "d1f0-42"),
        (MessageKind.ORDER_RESPONSE, "é" * 127, "é" * 127),
        (MessageKind.ORDER_RESPONSE, "é" * 128, None),
        (MessageKind.ORDER_RESPONSE, None, None),
        (MessageKind.RESTORE_REQUEST, "d1f0-42", None),
        (MessageKind.STEP, "d1f0-42", None),
    ],
)
def test_only_order_responses_carry_a_correlation_id_that_fits(
    kind: MessageKind, correlation_id: str | None, expected: str | None
) -> None:
    """255 bytes of UTF-8 is what an AMQP short string holds (decisions.md, AMQP)."""
    assert MESSAGES.publication(row(kind, correlation_id)).message.correlation_id == expected


def test_a_dead_request_is_a_dead_letter_that_can_be_replayed() -> None:
    """The dead letter is the request itself, with the reason in its headers."""
    body = {
        "request": {"correlationId": "c", "user": "john"},
        "reason": "remote-nonsense",
        "detail": "rs-admin: no JSON",
    }
    dead = replace(row(MessageKind.DEAD_REQUEST), body=orjson.dumps(body))

    publication = MESSAGES.publication(dead)

    queue = (
        "regards.broadcast.rs-order."
        "fr.cnes.regards.modules.order.service.request.OrderRequestEventHandler"
    )
    request = "fr.cnes.regards.modules.order.amqp.input.OrderRequestDtoEvent"
    assert (publication.exchange, publication.routing_key) == ("regards.DLX", f"{queue}.DLQ")
    assert publication.mandatory
    assert orjson.loads(publication.message.body) == body["request"]
    assert publication.message.message_id == str(MESSAGE_ID)
    assert dict(publication.message.headers) == {
        "regards.tenant": "project1",
        "regards.converter": "GSON",
        "regards.type": request,
        "x-death-queue": queue,
        "x-exception-message": "Unusable answer of a remote service. rs-admin: no JSON",
        "x-exception-stacktrace": "rs-admin: no JSON",
        "x-original-exchange": f"regards.broadcast.{request}",
        "x-original-routingKey": "",
        "rs-order.reason": "remote-nonsense",
        "rs-order.dead-lettered-at": "2026-01-01T00:00:00+00:00",
        "rs-order.letter-id": str(MESSAGE_ID),
    }


def test_names_of_publications_follow_the_settings() -> None:
    """amqp.md 1.15: namespace and instance name."""
    messages = Publications(
        step_queue=NAMES.steps.name,
        remote_step_queue=NAMES.remote_steps.name,
        remote_steps=(),
        request_queue=NAMES.order_requests,
        event_exchange=NAMES.events.name,
        namespace="other",
        instance_name="CNES",
    )

    publication = messages.publication(row(MessageKind.ORDER_RESPONSE))

    assert publication.exchange.startswith("other.broadcast.fr.cnes.")
    assert publication.message.app_id == "CNES"
