"""``rs-order serve``: runs a process of the service until it receives a signal."""

# ruff: noqa: PLC0415 - a command imports what it needs, so that --help is fast
import asyncio
import errno
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from rs_order.cli.failures import CommandFailed, database_errors_explained, run_command

if TYPE_CHECKING:
    from rs_order.settings import Settings


commands = typer.Typer()

STOP_SECONDS = 28.0
"""Time to finish the work in progress after the signal, within the promised 30 s (architecture.md 7)."""
HEALTH_PAUSE_SECONDS = 0.25
SIGNALS = (signal.SIGTERM, signal.SIGINT)

_CANT_LISTEN = frozenset({errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES})


class RoleName(StrEnum):
    """The values of ``app.serve.Role``, which is too slow to import for ``--help``."""

    ALL = "all"
    WORKER = "worker"
    API = "api"


@commands.command("serve")
def serve_command(
    role: Annotated[
        RoleName, typer.Option(help="Do all work, only handle messages, or only serve REST.")
    ] = RoleName.ALL,
) -> None:
    """Serve until SIGTERM or SIGINT. A second signal ends the process at once."""
    import uvloop

    run_command(_serve(role), uvloop.new_event_loop)


async def _serve(role: RoleName) -> None:
    import structlog

    from rs_order.logs import configure_logs
    from rs_order.settings import changed_settings, load_settings, unknown_settings

    settings = load_settings()
    writer = configure_logs(settings.log_level, settings.log_format)
    log = structlog.get_logger(__name__)
    log.info("service-starting", role=role, settings=changed_settings(settings))
    for name, nearest in unknown_settings():
        log.warning("unknown-setting", setting=name, nearest=nearest)
    with _traces(settings):
        await _serve_until_signal(settings, role, writer.close)


@contextmanager
def _traces(settings: "Settings") -> Iterator[None]:
    """Send traces if they are switched on; the last ones at the end."""
    from rs_order import traces
    from rs_order.settings import PREFIX, SettingsError

    if not settings.traces:
        yield
        return
    try:
        stop = traces.start()
    except traces.TracesMissing as error:
        raise SettingsError(f"{PREFIX}TRACES: {error}") from error
    try:
        yield
    finally:
        stop()


async def _serve_until_signal(
    settings: "Settings", role: RoleName, close_log: Callable[[], None]
) -> None:
    from rs_order.app.loop_watchdog import end_process, watched_event_loop
    from rs_order.app.serve import Role, serve

    stop = _stop_signal()
    answering: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(settings, Role(role), stop, on_ready=answering.set_result))
    announcing = asyncio.create_task(_announce(settings, answering))
    try:
        # A database error outside an exception group comes from the start. The parts that run
        # concurrently raise exception groups.
        with database_errors_explained(settings), watched_event_loop(end_process(close_log)):
            await _until_ended(serving, stop)
    except ExceptionGroup as failures:
        raise _cant_listen(settings, failures) or failures from None
    finally:
        announcing.cancel()


def _stop_signal() -> asyncio.Event:
    """Return the event that the first signal sets. A second signal then ends the process."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop_once() -> None:
        for number in SIGNALS:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)
        stop.set()

    for number in SIGNALS:
        loop.add_signal_handler(number, stop_once)
    return stop


async def _until_ended(serving: "asyncio.Task[None]", stop: asyncio.Event) -> None:
    """Wait until the service ends. After the stop it has ``STOP_SECONDS`` for that.

    Raises:
        CommandFailed: the service didn't end in time.
    """
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait_for(serving, STOP_SECONDS if stop.is_set() else None)
    except TimeoutError as error:
        if not serving.cancelled():
            raise
        raise CommandFailed(
            f"The service didn't finish within {STOP_SECONDS:g} s and was ended. Nothing is lost: "
            "its unfinished messages are delivered to another process."
        ) from error
    finally:
        stopping.cancel()


async def _announce(settings: "Settings", answering: "asyncio.Future[int]") -> None:
    """Print one line as soon as the health of the service is UP."""
    import aiohttp

    from rs_order.app.serve import collect_garbage_rarely

    port = await answering
    host = settings.http_host
    every_address = host in {"0.0.0.0", "::"}  # noqa: S104 - compared, not bound
    url = f"http://{'localhost' if every_address else host}:{port}"
    async with aiohttp.ClientSession() as client:
        # Asks the health endpoint, as an orchestrator does: only it covers all components.
        while not (await client.get(f"{url}/actuator/health")).ok:  # noqa: ASYNC110
            await asyncio.sleep(HEALTH_PAUSE_SECONDS)
    collect_garbage_rarely()
    typer.echo(f"rs-order is ready on {url} (health UP)")


def _cant_listen(settings: "Settings", failures: ExceptionGroup) -> CommandFailed | None:
    """Return the error to show if REST can't listen on its address, or None for another failure."""
    cause: Exception = failures
    while isinstance(cause, ExceptionGroup) and len(cause.exceptions) == 1:
        cause = cause.exceptions[0]
    unresolved = isinstance(cause, socket.gaierror)
    if not isinstance(cause, OSError) or not (unresolved or cause.errno in _CANT_LISTEN):
        return None
    return CommandFailed(
        f"Can't listen on {settings.http_host}:{settings.http_port}: {cause.strerror}. "
        "Set RS_ORDER_HTTP_HOST and RS_ORDER_HTTP_PORT to an address that is free."
    )
