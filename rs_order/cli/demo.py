"""``rs-order demo``: runs the servers, a simulated platform and rs_order, and places real orders."""

# ruff: noqa: PLC0415 - a command imports what it needs, so that --help is fast
import asyncio
import signal
from pathlib import Path
from typing import Annotated

import typer

from rs_order.cli.failures import FAILED, INTERRUPTED, require_sandbox_extra, run_command

commands = typer.Typer()

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
) -> None:
    """Run the service, place orders, download and verify their files; exit 0 if all cases pass."""
    run_command(_demo(archive, nearline_seconds, tuple(fault or ()), patience))


async def _demo(
    archive: Path | None, nearline_seconds: float, faults: tuple[str, ...], patience: float
) -> None:
    require_sandbox_extra()
    from rich.console import Console

    from rs_order.cli.terminal import silence_libraries
    from rs_order.demo.run_demo import Options, run_demo
    from rs_order.sandbox.simulated_platform import BUNDLED_ARCHIVE

    silence_libraries()
    options = Options(archive or BUNDLED_ARCHIVE, nearline_seconds, faults, patience)
    running = asyncio.create_task(run_demo(options, Console()))
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, _cancel_once, running)
    try:
        passed = await running
    except asyncio.CancelledError:
        typer.echo("Interrupted; everything has been stopped")
        raise typer.Exit(INTERRUPTED) from None
    if not passed:
        raise typer.Exit(FAILED)


def _cancel_once(task: "asyncio.Task[bool]") -> None:
    """Cancel the demo at the first signal. A second one must not interrupt the clean-up."""
    if not task.cancelling():
        task.cancel()
