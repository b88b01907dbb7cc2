"""Prints the results of commands as tables, writes logs to standard error, and names the operator."""

import getpass
import logging
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import structlog

from rs_order.settings import Settings
from rs_order.store.audit import AuditActor, Door

UNKNOWN = "-"


def operator() -> AuditActor:
    """Return the user of the machine, who runs the command."""
    return AuditActor(getpass.getuser(), Door.CLI)


def table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    """Yield a heading and a line per row, in columns. Numbers are aligned to the right."""
    texts = [headings, *([_text(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    right = [
        any(isinstance(cell, int) for cell in column) for column in zip(*rows, strict=True)
    ] or [False] * len(headings)
    for line in texts:
        cells = zip(line, widths, right, strict=True)
        yield "  ".join(
            text.rjust(width) if number else text.ljust(width) for text, width, number in cells
        ).rstrip()


def utc_time(instant: datetime | None) -> str:
    """Return an instant in UTC, to the second."""
    return UNKNOWN if instant is None else f"{instant.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def _text(cell: object) -> str:
    return UNKNOWN if cell is None or cell == "" else str(cell)


def configure_command_logs(settings: Settings) -> None:
    """Write the log of a command to standard error, from the level in the settings."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(default=str),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            getattr(logging, settings.log_level.upper())
        ),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    silence_libraries()


def silence_libraries() -> None:
    """Drop the log records of libraries: they repeat the error that the command reports."""
    logging.getLogger().addHandler(logging.NullHandler())
