"""``rs-order sandbox``: a simulated REGARDS platform."""

# ruff: noqa: PLC0415 - a command imports what it needs, so that --help is at once there

from pathlib import Path
from typing import Annotated

import typer

from rs_order.entrypoints.cli.failures import CommandFailed, carry_out, require_sandbox_extra

commands = typer.Typer()


@commands.command("sandbox")
def sandbox_command(
    *,
    archive: Annotated[
        Path | None,
        typer.Option(help="Folder with a manifest.json; the archive of the demo if not given."),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for a free one.")] = 9100,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    tenant: Annotated[
        list[str] | None, typer.Option(help="Project it serves; may be repeated.")
    ] = None,
    project_host: Annotated[
        str | None, typer.Option(help="Public address of the projects, for download links.")
    ] = None,
    nearline_seconds: Annotated[
        float | None, typer.Option(min=0, help="How long a file takes to come back from tape.")
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(help="name=value, for example silence=true; may be repeated."),
    ] = None,
) -> None:
    """Serve a simulated REGARDS platform over HTTP and on the broker of RS_ORDER_AMQP_URL."""
    options = list(fault or [])
    if nearline_seconds is not None:
        options.append(f"nearline_seconds={nearline_seconds}")
    carry_out(
        _sandbox(archive, (host, port), tenants=tenant, project_host=project_host, faults=options)
    )


async def _sandbox(
    archive: Path | None,
    address: tuple[str, int],
    *,
    tenants: list[str] | None,
    project_host: str | None,
    faults: list[str],
) -> None:
    require_sandbox_extra()
    from rs_order.sandbox import BUNDLED_ARCHIVE, ArchiveError, FaultError, Faults, serve
    from rs_order.sandbox.sandbox import DEFAULT_PROJECT_HOST, DEFAULT_TENANTS
    from rs_order.settings import load_settings

    settings = load_settings()
    host, port = address
    try:
        await serve(
            archive or BUNDLED_ARCHIVE,
            host=host,
            port=port,
            amqp_url=settings.amqp_url.get_secret_value(),
            vhost=settings.amqp_vhost,
            instance_vhost=settings.amqp_instance_vhost,
            tenants=tenants or DEFAULT_TENANTS,
            jwt_key=settings.jwt_key_hs512.get_secret_value(),
            project_host=project_host or DEFAULT_PROJECT_HOST,
            faults=Faults.from_options(faults),
            announce=typer.echo,
        )
    except (ArchiveError, FaultError) as error:
        raise CommandFailed(str(error)) from error
    except TimeoutError as error:
        raise CommandFailed(
            f"The broker doesn't answer, or has no virtual hosts {settings.amqp_vhost} and "
            f"{settings.amqp_instance_vhost}. See that RS_ORDER_AMQP_URL is right, and start "
            "rs-order with RS_ORDER_AMQP_MANAGEMENT_URL to have them made."
        ) from error
    except OSError as error:
        raise CommandFailed(
            f"Can't listen on {host}:{port}: {error.strerror}. Choose another with --port."
        ) from error
