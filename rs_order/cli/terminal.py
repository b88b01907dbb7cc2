"""Logs of commands that print their results: on standard error, apart from these."""

import logging
import sys

import structlog

from rs_order.settings import Settings


def configure_command_logs(settings: Settings) -> None:
    """Send what is logged below a command to standard error, from the level set."""
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
    """Drop the libraries' own records: they repeat what is raised, and that is told anyway."""
    logging.getLogger().addHandler(logging.NullHandler())
