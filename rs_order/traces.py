"""Traces of OpenTelemetry: which work followed from which message or request, in this and other services.

Off by default. Then nothing of OpenTelemetry is imported here, and each call costs one comparison. A trace is
passed on as a ``traceparent`` (W3C Trace Context): in the headers of messages and HTTP requests, and in the
database for what waits there.
"""

# ruff: noqa: PLC0415 - OpenTelemetry is an optional extra, imported when traces are switched on
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import Thread
from typing import TYPE_CHECKING, Final, Literal

from rs_order.domain.identity import SERVICE

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor

HEADER: Final = "traceparent"
Kind = Literal["SERVER", "CLIENT", "PRODUCER", "CONSUMER"]
"""The kinds of spans, with the names of OpenTelemetry."""

LAST_SPANS_SECONDS: Final = 3.0
"""The longest time to send the last spans. The process ends without them if the collector is unavailable."""

_OFF: Final = nullcontext()


class TracesMissing(Exception):
    """Traces are switched on, but the extra isn't installed."""


class _Traces:
    """Writes spans with the SDK of OpenTelemetry."""

    def __init__(self, processor: "SpanProcessor") -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        named = "OTEL_SERVICE_NAME" in os.environ
        resource = Resource.create({} if named else {"service.name": SERVICE})
        self.provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self.provider.add_span_processor(processor)
        self._tracer = self.provider.get_tracer(SERVICE)
        self._propagator = TraceContextTextMapPropagator()

    def current(self) -> str | None:
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier)
        return carrier.get(HEADER)

    @contextmanager
    def span(
        self,
        name: str,
        kind: Kind,
        parent: str | None,
        links: Sequence[str],
        attributes: dict[str, str | int],
    ) -> Iterator[None]:
        """Write a span. The text of an error isn't recorded, because it may repeat what a sender wrote."""
        from opentelemetry.context import Context
        from opentelemetry.trace import Link, SpanKind, Status, StatusCode, get_current_span

        def context(of: str) -> Context:
            return self._propagator.extract({HEADER: of}, context=Context())

        with self._tracer.start_as_current_span(
            name,
            context=context(parent) if parent else None,
            kind=SpanKind[kind],
            attributes=attributes,
            links=[Link(get_current_span(context(link)).get_span_context()) for link in links],
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield
            except BaseException as error:
                span.set_status(Status(StatusCode.ERROR, type(error).__name__))
                raise


_active: _Traces | None = None


def are_on() -> bool:
    """True if spans are written, so that their attributes are worth to be found out."""
    return _active is not None


def span(
    name: str,
    kind: Kind,
    *,
    parent: str | None = None,
    links: Sequence[str] = (),
    **attributes: str | int,
) -> AbstractContextManager[None]:
    """Return a context that is a span of a trace; nothing while traces are off.

    Args:
        name: says what is done; few different ones.
        kind: how the work began.
        parent: the ``traceparent`` of what the work follows from. None: the span that surrounds it, if any.
        links: those of further causes.
        attributes: the names use ``_`` for the ``.`` of OpenTelemetry.
    """
    if _active is None:
        return _OFF
    dotted = {name.replace("_", "."): value for name, value in attributes.items()}
    return _active.span(name, kind, parent, links, dotted)


def current() -> str | None:
    """Return the ``traceparent`` of the span that surrounds the caller; None if traces are off."""
    return None if _active is None else _active.current()


def start(processor: "SpanProcessor | None" = None) -> Callable[[], None]:
    """Switch traces on; return the function that sends the last spans and switches them off again.

    Args:
        processor: receives the spans. None: they are sent by OTLP over HTTP, as the variables ``OTEL_…`` say.

    Raises:
        TracesMissing: the extra isn't installed.
    """
    global _active  # noqa: PLW0603 - one per process, so that no call passes it through every layer
    try:
        traces = _active = _Traces(processor or _exporting())
    except ImportError as error:
        raise TracesMissing("install rs-order[traces]") from error

    def stop() -> None:
        global _active  # noqa: PLW0603 - as above
        _active = None
        sending = Thread(target=traces.provider.shutdown, daemon=True)
        sending.start()
        sending.join(LAST_SPANS_SECONDS)

    return stop


def _exporting() -> "SpanProcessor":
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    return BatchSpanProcessor(OTLPSpanExporter())
