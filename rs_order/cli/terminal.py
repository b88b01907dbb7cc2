"""Logs of commands: on standard error, because the results are on standard output."""

import logging
import sys

import structlog

from rs_order.settings import Settings


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
