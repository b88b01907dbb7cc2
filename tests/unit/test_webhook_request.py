"""The request of a webhook, as the SDK of CloudEvents and the library of Standard Webhooks read it (E-11)."""

from datetime import UTC, datetime
from uuid import UUID

import orjson
import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from standardwebhooks.webhooks import Webhook

from rs_order.domain.webhooks import WebhookMode, WebhookSecret
from rs_order.subscriptions.webhook_request import Attempt, webhook_request

EVENT = orjson.dumps(
    {
        "specversion": "1.0",
        "id": "0192f3c1-7e1a-7c3a-9d0a-5a4b7c1d2e3f",
        "source": "https://regards.example.org/api/v1/rs-order/project1",
        "type": "rsorder.suborder.ready",
        "subject": "orders/12",
        "time": "2026-11-28T19:02:11.123456Z",
        "datacontenttype": "application/json",
        "sequence": "000000000000004711",
        "correlationid": 'Énigme "7" à 100 %\r\nX: y',
        "data": {"orderId": 12, "message": "Énigme"},
    }
).decode()
SECRET = WebhookSecret.new()
ID = UUID(int=7)


@pytest.mark.parametrize("mode", WebhookMode)
def test_both_libraries_read_it(mode: WebhookMode) -> None:
    """Attributes and data are those of the log, and the signature is that of the body."""
    attempt = Attempt(ID, 3, datetime.now(UTC))
    headers, body = webhook_request(EVENT, mode, attempt, [SECRET], "rs-order/1")
    read = from_http_event(HTTPMessage(dict(headers), body))
    expected = orjson.loads(EVENT)

    assert Webhook(SECRET.shown()).verify(body, dict(headers))
    assert read.get_data() == expected.pop("data")
    assert read.get_type() == expected["type"]
    assert read.get_subject() == expected["subject"]
    assert read.get_extension("correlationid") == expected["correlationid"]
    assert all(value.isascii() and value.isprintable() for value in headers.values())


def test_the_headers() -> None:
    attempt = Attempt(ID, 3, datetime.fromtimestamp(1795891200, UTC), is_replay=True)
    headers, body = webhook_request(EVENT, WebhookMode.STRUCTURED, attempt, [SECRET], "rs-order/1")

    assert body == EVENT.encode()
    assert {name: value for name, value in headers.items() if name != "webhook-signature"} == {
        "Content-Type": "application/cloudevents+json; charset=UTF-8",
        "User-Agent": "rs-order/1",
        "webhook-id": "0192f3c1-7e1a-7c3a-9d0a-5a4b7c1d2e3f",
        "webhook-timestamp": "1795891200",
        "rs-order-delivery": str(ID),
        "rs-order-attempt": "3",
        "rs-order-replay": "true",
    }


@pytest.mark.parametrize("mode", WebhookMode)
def test_each_attempt_has_the_same_body(mode: WebhookMode) -> None:
    """And a signature of its own, because it signs its own time."""
    (first, body), (second, again) = (
        webhook_request(
            EVENT, mode, Attempt(ID, number, datetime(2026, 11, number, tzinfo=UTC)), [SECRET], "x"
        )
        for number in (1, 2)
    )

    assert body == again
    assert first["webhook-signature"] != second["webhook-signature"]
    assert "rs-order-replay" not in first
