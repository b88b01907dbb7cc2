"""What the user is told when a command fails: one line, what to do next, and an exit code."""

# ruff: noqa: PLC0415 - imported when something failed, not for --help
import asyncio
import importlib
import os
import sys
import traceback
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import typer

if TYPE_CHECKING:
    from rs_order.settings import Settings


FAILED = 1
WRONG_USE = 2
"""Of a wrong setting, as of wrong options."""
INTERRUPTED = 130


class CommandFailed(Exception):
    """A command can't do its work; the text is the line the user reads."""

    code = "command-failed"


_SANDBOX_EXTRA = ("lark", "rich")
"""Packages of the extra ``sandbox`` in pyproject.toml."""


def require_sandbox_extra() -> None:
    """Check that the packages which only the sandbox and the demo need are installed.

    Raises:
        CommandFailed: one of them is missing.
    """
    try:
        for package in _SANDBOX_EXTRA:
            importlib.import_module(package)
    except ModuleNotFoundError as error:
        raise CommandFailed(
            f"This command needs {error.name}: run pip install 'rs-order[sandbox]'"
        ) from error


def carry_out(
    work: Coroutine[Any, Any, None],
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> None:
    """Run a command to its end; what stops it is told in one line.

    Raises:
        typer.Exit: with the code of the failure.
    """
    try:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(work)
    except (typer.Exit, typer.BadParameter):
        raise
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    except Exception as error:  # noqa: BLE001 - the last place where anything can be told
        raise typer.Exit(_tell(error)) from None


@contextmanager
def reaching_database(settings: "Settings") -> Iterator[None]:
    """Say what is wrong when the database can't be used.

    Raises:
        CommandFailed: it is away, or refuses us.
    """
    from rs_order.store.errors import DATABASE_ERRORS

    try:
        yield
    except DATABASE_ERRORS as error:
        address = urlsplit(settings.database_url.get_secret_value()).netloc.rpartition("@")[2]
        raise CommandFailed(
            f"The database at {address} can't be used: {words_of(error)}. "
            "See that it runs, and that RS_ORDER_DATABASE_URL is right."
        ) from error


def words_of(error: Exception) -> str:
    """What an error says, in one line without a full stop."""
    words = str(error) or type(error).__name__
    return " ".join(words.split()).rstrip(".")


def _tell(error: Exception) -> int:
    """Write the line and return the exit code."""
    from rs_order.settings import SettingsError

    if os.environ.get("RS_ORDER_LOG_LEVEL", "").lower() == "debug":
        traceback.print_exception(error)
    sys.stderr.write(f"rs-order: {_explained(error)}\n")
    return WRONG_USE if isinstance(error, SettingsError) else FAILED


def _explained(error: Exception) -> str:
    for known, advice in _known_errors():
        if isinstance(error, known):
            return f"{words_of(error)}. {advice}".rstrip()
    return (
        f"Unexpected {type(error).__name__}: {words_of(error)}. This is a defect of rs-order: "
        "please report it with what RS_ORDER_LOG_LEVEL=debug shows."
    )


def _known_errors() -> list[tuple[type[Exception], str]]:
    """Errors whose text is meant for the user, with the advice that it lacks."""
    from rs_order.broker.errors import AmqpError, BrokerUnavailable, NotConfirmed
    from rs_order.demo.errors import DemoError
    from rs_order.demo.servers.errors import ServersError
    from rs_order.settings import SettingsError
    from rs_order.store.migrate import MigrationError
    from rs_order.store.pool import InvalidTenantNameError

    return [
        (CommandFailed, ""),
        (SettingsError, ""),
        (InvalidTenantNameError, ""),
        (MigrationError, ""),
        (ServersError, ""),
        (DemoError, ""),
        (
            BrokerUnavailable,
            "See that the broker runs, has the virtual hosts, and that RS_ORDER_AMQP_URL is right.",
        ),
        (NotConfirmed, "Start 'rs-order serve' once on this broker: it makes the queues."),
        (AmqpError, ""),
    ]
