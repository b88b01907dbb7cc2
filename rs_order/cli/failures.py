"""Runs a command, and reports its failure in one line with an exit code."""

# ruff: noqa: PLC0415 - imported when a command failed, not for --help
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
"""The exit code for a wrong setting and for wrong options."""
INTERRUPTED = 130


class CommandFailed(Exception):
    """A command failed. The text is the line that the user reads."""

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


def run_command(
    command: Coroutine[Any, Any, None],
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> None:
    """Run a command to its end, and report its failure in one line.

    Raises:
        typer.Exit: the command failed. It has the exit code.
    """
    try:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(command)
    except (typer.Exit, typer.BadParameter):
        raise
    except (KeyboardInterrupt, typer.Abort):
        raise typer.Exit(INTERRUPTED) from None
    except Exception as error:  # noqa: BLE001 - the last place that can report an error
        raise typer.Exit(_report(error)) from None


@contextmanager
def database_errors_explained(settings: "Settings") -> Iterator[None]:
    """Replace a database error by one that names the address and the setting to check.

    Raises:
        CommandFailed: the database doesn't answer, or rejects the connection.
    """
    from rs_order.store.errors import DATABASE_ERRORS, StoreUnavailable

    try:
        yield
    except (*DATABASE_ERRORS, StoreUnavailable) as error:
        address = urlsplit(settings.database_url.get_secret_value()).netloc.rpartition("@")[2]
        raise CommandFailed(
            f"The database at {address} can't be used: {one_line(error)}. "
            "Check that it runs, and that RS_ORDER_DATABASE_URL is right."
        ) from error


def one_line(error: Exception) -> str:
    """Return the text of an error in one line, without a full stop."""
    text = str(error) or type(error).__name__
    return " ".join(text.split()).rstrip(".")


def _report(error: Exception) -> int:
    """Write the line, or one for each wrong setting, to standard error and return the exit code."""
    from rs_order.settings import SettingsError

    if os.environ.get("RS_ORDER_LOG_LEVEL", "").lower() == "debug":
        traceback.print_exception(error)
    if isinstance(error, SettingsError):
        lines, code = error.lines, WRONG_USE
    else:
        lines, code = (_explained(error),), FAILED
    sys.stderr.writelines(f"rs-order: {line}\n" for line in lines)
    return code


def _explained(error: Exception) -> str:
    for known, advice in _known_errors():
        if isinstance(error, known):
            return f"{one_line(error)}. {advice}".rstrip()
    return (
        f"Unexpected {type(error).__name__}: {one_line(error)}. This is a defect of rs-order: "
        "please report it with the output of RS_ORDER_LOG_LEVEL=debug."
    )


def _known_errors() -> list[tuple[type[Exception], str]]:
    """Return the errors whose text is meant for the user, each with advice to add to it."""
    from rs_order.broker.errors import AmqpError, BrokerUnavailable, NotConfirmed
    from rs_order.core.errors import UseCaseRejected
    from rs_order.demo.errors import DemoError
    from rs_order.demo.servers.errors import ServersError
    from rs_order.settings import SettingsError
    from rs_order.store.data_rights import UnknownRoleError
    from rs_order.store.migrate import MigrationError
    from rs_order.store.pool import InvalidTenantNameError

    return [
        (CommandFailed, ""),
        (SettingsError, ""),
        (InvalidTenantNameError, ""),
        (MigrationError, ""),
        (UnknownRoleError, ""),
        (ServersError, ""),
        (DemoError, ""),
        (UseCaseRejected, ""),
        (
            BrokerUnavailable,
            "Check that the broker runs, has the virtual hosts, and that RS_ORDER_AMQP_URL is right.",
        ),
        (NotConfirmed, "Start 'rs-order serve' once on this broker: it creates the queues."),
        (AmqpError, ""),
    ]
