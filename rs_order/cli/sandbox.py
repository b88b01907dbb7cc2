"""``rs-order sandbox``: a simulated REGARDS platform."""

# ruff: noqa: PLC0415 - a command imports what it needs, so that --help is fast
from pathlib import Path
from typing import Annotated, Any

import typer

from rs_order.cli.failures import CommandFailed, require_sandbox_extra, run_command

commands = typer.Typer()


@commands.command("sandbox")
def sandbox_command(
    *,
    archive: Annotated[
        Path | None,
        typer.Option(help="Folder with a manifest.json. The default is the archive of the demo."),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for a free port.")] = 9100,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    tenant: Annotated[
        list[str] | None, typer.Option(help="Project to serve; may be repeated.")
    ] = None,
    project_host: Annotated[
        str | None, typer.Option(help="Public address of the projects, for download links.")
    ] = None,
    nearline_seconds: Annotated[
        float | None, typer.Option(min=0, help="Seconds that the restoration of a file takes.")
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(help="Fault to simulate, for example silence=true; may be repeated."),
    ] = None,
) -> None:
    """Serve a simulated REGARDS platform over HTTP and on the broker of RS_ORDER_AMQP_URL."""
    faults = list(fault or [])
    if nearline_seconds is not None:
        faults.append(f"nearline_seconds={nearline_seconds}")
    given = {
        "archive": archive,
        "tenants": tenant or None,
        "project_host": project_host or None,
        "host": host,
        "port": port,
    }
    run_command(_serve({name: value for name, value in given.items() if value is not None}, faults))


async def _serve(given: dict[str, Any], faults: list[str]) -> None:
    """Serve with the given options. The sandbox has defaults for the others."""
    require_sandbox_extra()
    from rs_order.sandbox.archive_folder import ArchiveError
    from rs_order.sandbox.faults import FaultError, Faults
    from rs_order.sandbox.launch import serve
    from rs_order.sandbox.simulated_platform import SandboxOptions
    from rs_order.settings import load_settings

    settings = load_settings()
    if settings.jwt_key_hs512 is not None:
        given["jwt_key"] = settings.jwt_key_hs512.get_secret_value()
    try:
        options = SandboxOptions(
            **given,
            faults=Faults.from_options(faults),
            amqp_url=settings.amqp_url.get_secret_value(),
            vhost=settings.amqp_vhost,
            instance_vhost=settings.amqp_instance_vhost,
        )
        await serve(options, typer.echo)
    except (ArchiveError, FaultError) as error:
        raise CommandFailed(str(error)) from error
    except TimeoutError as error:
        raise CommandFailed(
            f"The broker doesn't answer, or doesn't have the virtual hosts {settings.amqp_vhost} "
            f"and {settings.amqp_instance_vhost}. Check RS_ORDER_AMQP_URL, and start rs-order with "
            "RS_ORDER_AMQP_MANAGEMENT_URL to create them."
        ) from error
    except OSError as error:
        raise CommandFailed(
            f"Can't listen on {given['host']}:{given['port']}: {error.strerror}. "
            "Choose another address with --host and --port."
        ) from error
