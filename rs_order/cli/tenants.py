"""``rs-order migrate`` and ``rs-order tenant``: the schemas and tenants of the database."""

# ruff: noqa: PLC0415 - a command imports what it needs, so that --help is fast
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from rs_order.cli.failures import database_errors_explained, run_command

if TYPE_CHECKING:
    from rs_order.app.database import Database


commands = typer.Typer()
tenant_commands = typer.Typer(no_args_is_help=True, help="The tenants of this deployment.")
commands.add_typer(tenant_commands, name="tenant")


@commands.command("migrate")
def migrate_command(
    after: Annotated[
        bool,
        typer.Option(
            "--after",
            help="Also apply the migrations that must wait until the previous version has stopped.",
        ),
    ] = False,
    grant_to: Annotated[
        str | None,
        typer.Option(
            metavar="ROLE",
            help="Give a role the rights on the data, with which it can run serve but change no schema.",
        ),
    ] = None,
) -> None:
    """Bring the platform's schema and those of all tenants up to date. May run several times at once."""
    run_command(_migrate(after=after, grant_to=grant_to))


@tenant_commands.command("add")
def add_command(
    name: Annotated[str, typer.Argument(help="Lower-case letters, digits and _.")],
    host: Annotated[
        str | None, typer.Option(help="Public address of the project, for download links.")
    ] = None,
) -> None:
    """Add a tenant. Running services serve it at once."""
    run_command(_add(name, host))


@tenant_commands.command("list")
def list_command() -> None:
    """List the tenants with their public addresses."""
    run_command(_list())


async def _migrate(*, after: bool, grant_to: str | None) -> None:
    async with _opened(after_deployment=after) as database:
        count = len(database.tenants.names())
        typer.echo(f"The platform's schema and those of {count} tenants are up to date")
        if grant_to is not None:
            await database.grant_data_rights(grant_to)
            typer.echo(f"Role {grant_to} can run rs-order serve")


async def _add(name: str, host: str | None) -> None:
    async with _opened() as database:
        tenant = await database.add_tenant(name, host)
    typer.echo(f"Tenant {tenant} can be used")


async def _list() -> None:
    async with _opened() as database:
        tenants = database.tenants
        for name in sorted(tenants.names()):
            typer.echo("\t".join(filter(None, (name, tenants.host(name)))))


@asynccontextmanager
async def _opened(*, after_deployment: bool = False) -> "AsyncIterator[Database]":
    """Open the database and bring its schemas up to date."""
    from rs_order.app.database import open_database
    from rs_order.cli.terminal import configure_command_logs
    from rs_order.settings import load_settings

    settings = load_settings()
    configure_command_logs(settings)
    with database_errors_explained(settings):
        async with open_database(settings, after_deployment=after_deployment) as database:
            yield database
