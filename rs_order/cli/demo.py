"""``rs-order demo``: runs the servers, a simulated platform and rs_order, and places real orders."""

# ruff: noqa: PLC0415 - a command imports what it needs, so that --help is fast
import asyncio
import signal
from pathlib import Path
from typing import Annotated

import typer

from rs_order.cli.failures import FAILED, INTERRUPTED, require_sandbox_extra, run_command

commands = typer.Typer()

_INTERRUPTED = "Interrupted; everything has been stopped"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@commands.command("demo")
def demo_command(
    archive: Annotated[
        Path | None,
        typer.Argument(
            help="Folder with a manifest.json. The default is the archive of the sandbox."
        ),
    ] = None,
    *,
    nearline_seconds: Annotated[
        float, typer.Option(min=0, help="Seconds that the restoration of a file takes.")
    ] = 2.0,
    fault: Annotated[
        list[str] | None,
        typer.Option(help="Fault of the sandbox, for example silence=true; may be repeated."),
    ] = None,
    patience: Annotated[
        float, typer.Option(min=1, help="Seconds to wait for each response.")
    ] = 120.0,
    eodag: Annotated[
        Path | None,
        typer.Option(help="A Python that has eodag, which then orders a product.", exists=True),
    ] = None,
    console: Annotated[
        bool,
        typer.Option("--console", help="Prepare orders for a look at the console, until Ctrl-C."),
    ] = False,
) -> None:
    """Run the service, place orders, download and verify their files; exit 0 if all cases pass."""
    if console and archive is not None:
        raise typer.BadParameter("the orders for the console are of the packaged archive")
    run_command(
        _demo(archive, nearline_seconds, tuple(fault or ()), patience, eodag=eodag, console=console)
    )


async def _demo(
    archive: Path | None,
    nearline_seconds: float,
    faults: tuple[str, ...],
    patience: float,
    *,
    eodag: Path | None,
    console: bool,
) -> None:
    require_sandbox_extra()
    from rich.console import Console

    from rs_order.cli.terminal import silence_libraries
    from rs_order.demo.run_demo import Options, run_demo, show_console
    from rs_order.sandbox.simulated_platform import BUNDLED_ARCHIVE

    silence_libraries()
    options = Options(archive or BUNDLED_ARCHIVE, nearline_seconds, faults, patience, eodag)
    work = show_console(options, Console()) if console else run_demo(options, Console())
    running: asyncio.Task[bool | None] = asyncio.create_task(work)
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, _cancel_once, running)
    try:
        passed = await running
    except asyncio.CancelledError:
        typer.echo("Everything has been stopped" if console else _INTERRUPTED)
        raise typer.Exit(0 if console else INTERRUPTED) from None
    if not passed:
        raise typer.Exit(FAILED)


def _cancel_once(task: "asyncio.Task[bool | None]") -> None:
    """Cancel the demo at the first signal. A second one must not interrupt the clean-up."""
    if not task.cancelling():
        task.cancel()
