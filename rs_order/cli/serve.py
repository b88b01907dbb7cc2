"""``rs-order serve``: a process of the service, from its start to its orderly end."""

# ruff: noqa: PLC0415 - a command imports what it needs, so that --help is at once there
import asyncio
import errno
import signal
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from rs_order.cli.failures import CommandFailed, carry_out, reaching_database

if TYPE_CHECKING:
    from rs_order.settings import Settings


commands = typer.Typer()

STOP_SECONDS = 28.0
"""For all that is held to be finished: 30 s are promised (architecture.md 7)."""
HEALTH_PAUSE_SECONDS = 0.25
SIGNALS = (signal.SIGTERM, signal.SIGINT)

_CANT_LISTEN = frozenset({errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES})


class RoleName(StrEnum):
    """The names of ``app.serve.Role``, which is too heavy for ``--help``."""

    ALL = "all"
    WORKER = "worker"
    API = "api"


@commands.command("serve")
def serve_command(
    role: Annotated[
        RoleName, typer.Option(help="Everything, only the messages, or only REST.")
    ] = RoleName.ALL,
) -> None:
    """Serve until SIGTERM or SIGINT; a second signal ends at once."""
    import uvloop

    carry_out(_serve(role), uvloop.new_event_loop)


async def _serve(role: RoleName) -> None:
    from rs_order.app.serve import Role, serve
    from rs_order.logs import configure_logs
    from rs_order.settings import load_settings

    settings = load_settings()
    configure_logs(settings.log_level, settings.log_format)
    stop = _stop_signal()
    answering: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(settings, Role(role), stop, on_ready=answering.set_result))
    announcing = asyncio.create_task(_announce(settings, answering))
    try:
        # What is raised alone comes from the start, and that is the database; the parts that run
        # side by side fail in groups.
        with reaching_database(settings):
            await _until_ended(serving, stop)
    except ExceptionGroup as failures:
        raise _cant_listen(settings, failures) or failures from None
    finally:
        announcing.cancel()


def _stop_signal() -> asyncio.Event:
    """Set by the first signal, which gives the second one back its force."""
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
    """Until the service ends; from the stop on it has a time for that.

    Raises:
        CommandFailed: it didn't end in time.
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
            "what it held is delivered to another process."
        ) from error
    finally:
        stopping.cancel()


async def _announce(settings: "Settings", answering: "asyncio.Future[int]") -> None:
    """Print one line as soon as health says UP."""
    import httpx

    port = await answering
    host = settings.http_host
    every_address = host in {"0.0.0.0", "::"}  # noqa: S104 - compared, not bound
    url = f"http://{'localhost' if every_address else host}:{port}"
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        # Health is asked at its own address, as an orchestrator does: it alone knows it all.
        while (await client.get("/actuator/health")).status_code != httpx.codes.OK:  # noqa: ASYNC110
            await asyncio.sleep(HEALTH_PAUSE_SECONDS)
    typer.echo(f"rs-order is ready on {url} (health UP)")


def _cant_listen(settings: "Settings", failures: ExceptionGroup) -> CommandFailed | None:
    """The usual reason for which REST does not start, in one line."""
    cause: Exception = failures
    while isinstance(cause, ExceptionGroup) and len(cause.exceptions) == 1:
        cause = cause.exceptions[0]
    if not isinstance(cause, OSError) or cause.errno not in _CANT_LISTEN:
        return None
    return CommandFailed(
        f"Can't listen on {settings.http_host}:{settings.http_port}: {cause.strerror}. "
        "Set RS_ORDER_HTTP_HOST and RS_ORDER_HTTP_PORT to an address that is free."
    )
