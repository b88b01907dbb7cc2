"""``rs-order demo``: everything on one machine."""

# ruff: noqa: PLC0415 - a command imports what it needs, so that --help is at once there

import asyncio
import signal
from pathlib import Path
from typing import Annotated

import typer

from rs_order.entrypoints.cli.failures import FAILED, INTERRUPTED, carry_out, require_sandbox_extra

commands = typer.Typer()

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@commands.command("demo")
def demo_command(
    archive: Annotated[
        Path | None,
        typer.Argument(help="Folder with a manifest.json; the archive that ships if not given."),
    ] = None,
    *,
    nearline_seconds: Annotated[
        float, typer.Option(min=0, help="How long a file takes to come back from tape.")
    ] = 2.0,
    fault: Annotated[
        list[str] | None,
        typer.Option(help="What the sandbox does wrong, name=value; may be repeated."),
    ] = None,
    patience: Annotated[
        float, typer.Option(min=1, help="Seconds to wait for each response.")
    ] = 120.0,
) -> None:
    """Start everything, order, download, verify; exit 0 only if all of it held."""
    carry_out(_demo(archive, nearline_seconds, tuple(fault or ()), patience))


async def _demo(
    archive: Path | None, nearline_seconds: float, faults: tuple[str, ...], patience: float
) -> None:
    require_sandbox_extra()
    from rich.console import Console

    from rs_order.demo.running import Options, run_demo
    from rs_order.entrypoints.cli.terminal import silence_libraries
    from rs_order.sandbox import BUNDLED_ARCHIVE

    silence_libraries()
    options = Options(archive or BUNDLED_ARCHIVE, nearline_seconds, faults, patience)
    showing = asyncio.create_task(run_demo(options, Console()))
    loop = asyncio.get_running_loop()
    for number in ENDING:
        loop.add_signal_handler(number, _cancel_once, showing)
    try:
        held = await showing
    except asyncio.CancelledError:
        typer.echo("Interrupted; everything was ended")
        raise typer.Exit(INTERRUPTED) from None
    if not held:
        raise typer.Exit(FAILED)


def _cancel_once(task: "asyncio.Task[bool]") -> None:
    """A second signal must not end the tidying up that the first one began."""
    if not task.cancelling():
        task.cancel()
