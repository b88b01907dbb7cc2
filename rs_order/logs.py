"""Log lines: JSON on standard output, one canonical line per message and request."""

import json
import logging
import sys
from typing import Literal

import orjson
import structlog


def event_as_json(event: object) -> str:
    """Return an event as JSON, with escapes if it has a text that isn't Unicode."""
    try:
        return orjson.dumps(event, default=str).decode()
    except orjson.JSONEncodeError:
        return json.dumps(event, default=str)


def configure_logs(level: str = "info", form: Literal["json", "console"] = "json") -> None:
    """Set up structlog for this process. The log records of libraries get the same format."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(lambda event, **_: event_as_json(event))
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())
    )
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, renderer]
        if form == "json"
        else [*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
            foreign_pre_chain=shared,
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
