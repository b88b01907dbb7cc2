"""Traces are off without a cost, are sent as OpenTelemetry's variables say, and need an extra."""

import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from rs_order import traces
from rs_order.broker.delivery import Delivery

PEER = f"00-{'a' * 32}-{'b' * 16}-01"
OTHER_PEER = f"00-{'c' * 32}-{'d' * 16}-01"


@pytest.fixture
def exported() -> Iterator[InMemorySpanExporter]:
    """The spans that end while traces are on."""
    exporter = InMemorySpanExporter()
    stop = traces.start(SimpleSpanProcessor(exporter))
    yield exporter
    stop()


def only_span(exported: InMemorySpanExporter) -> ReadableSpan:
    (span,) = exported.get_finished_spans()
    return span


def test_off_is_one_comparison() -> None:
    """There is one context for all, and no trace to pass on."""
    first = traces.span("publish STEP", "PRODUCER", parent=PEER)
    with first:
        assert traces.current() is None
    assert traces.span("call rs-catalog", "CLIENT") is first


def test_a_span_continues_the_trace_of_its_parent(exported: InMemorySpanExporter) -> None:
    """The work that it causes gets its id, within the same trace. Further causes are linked."""
    with traces.span("handle", "CONSUMER", parent=PEER, links=[OTHER_PEER], tenant="demo"):
        passed_on = traces.current()
    span = only_span(exported)

    assert passed_on == f"00-{'a' * 32}-{span.context.span_id:016x}-01"
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == "b" * 16
    assert [f"{link.context.trace_id:032x}" for link in span.links] == ["c" * 32]
    assert span.attributes == {"tenant": "demo"}


@pytest.mark.parametrize("header", ["", "  ", "rubbish", "00-0-0-0", b"bytes", 7, None])
def test_a_header_that_is_no_trace_begins_one(
    exported: InMemorySpanExporter, header: object
) -> None:
    """A sender may write anything."""
    delivery = Delivery(body=b"", headers={"traceparent": header}, queue="q")
    with traces.span("handle", "CONSUMER", parent=delivery.traceparent):
        pass

    assert only_span(exported).parent is None


def test_a_failed_span_names_the_class_of_the_error_alone(exported: InMemorySpanExporter) -> None:
    """The text may hold what a sender wrote, or a secret."""
    with pytest.raises(ValueError, match="secret"), traces.span("call", "CLIENT"):
        raise ValueError("secret")
    span = only_span(exported)

    assert (span.status.description, span.events) == ("ValueError", ())


def test_spans_are_sent_by_otlp(monkeypatch: pytest.MonkeyPatch) -> None:
    """The address is that of OpenTelemetry's own variable; the last spans are sent when traces end."""
    received: list[tuple[str, bytes]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            received.append((self.path, self.rfile.read(length)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Write nothing."""

    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        stop = traces.start()
        with traces.span("handle a message", "CONSUMER"):
            pass
        stop()
        server.shutdown()

    ((path, body),) = received
    assert path == "/v1/traces"
    assert b"handle a message" in body
    assert b"rs-order" in body


def test_the_extra_is_named_when_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it, traces can't be switched on; they stay off."""
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)

    with pytest.raises(traces.TracesMissing, match=r"install rs-order\[traces\]"):
        traces.start(SimpleSpanProcessor(InMemorySpanExporter()))
    assert traces.current() is None
