"""``rs-order migrate`` and ``rs-order tenant``: the schemas and tenants of the database."""

# ruff: noqa: PLC0415 - a command imports what it needs, so that --help is fast
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from rs_order.cli.database import opened_database
from rs_order.cli.failures import (
    FAILED,
    CommandFailed,
    database_errors_explained,
    run_command,
)

if TYPE_CHECKING:
    from rs_order.store.migrate import SchemaState


commands = typer.Typer()
tenant_commands = typer.Typer(no_args_is_help=True, help="The tenants of this deployment.")
commands.add_typer(tenant_commands, name="tenant")


@commands.command("migrate")
def migrate_command(
    *,
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
    status: Annotated[
        bool,
        typer.Option(
            "--status", help="Change nothing; show each schema, and exit with 1 if one is behind."
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Change nothing; print the SQL that would run.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --status: print JSON.")] = False,
) -> None:
    """Bring the platform's schema and those of all tenants up to date. May run several times at once."""
    if status or dry_run:
        if (status and dry_run) or grant_to is not None:
            raise typer.BadParameter("give only one of --status, --dry-run and --grant-to")
        run_command(_show_migrations(after=after, dry_run=dry_run, as_json=as_json))
    else:
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


@tenant_commands.command("disable")
def disable_command(name: Annotated[str, typer.Argument(help="As tenant list shows it.")]) -> None:
    """Stop serving a tenant. Its data stays, and `tenant add` serves it again."""
    run_command(_disable(name))


@tenant_commands.command("list")
def list_command() -> None:
    """List the tenants with their public addresses."""
    run_command(_list())


async def _migrate(*, after: bool, grant_to: str | None) -> None:
    async with opened_database(after_deployment=after) as database:
        count = len(database.tenants.names())
        typer.echo(f"The platform's schema and those of {count} tenants are up to date")
        if grant_to is not None:
            await database.grant_data_rights(grant_to)
            typer.echo(f"Role {grant_to} can run rs-order serve")


async def _show_migrations(*, after: bool, dry_run: bool, as_json: bool) -> None:
    from rs_order.settings import load_settings
    from rs_order.store.migrate import schema_states
    from rs_order.store.pool import open_pool

    settings = load_settings()
    with database_errors_explained(settings):
        async with await open_pool(
            settings.database_url.get_secret_value(),
            size=1,
            statement_cache=settings.database_statement_cache,
        ) as pool:
            states = await schema_states(pool, after=after)
    if dry_run:
        _print_sql(states)
        return
    _print_states(states, as_json=as_json)
    if any(state.missing for state in states):
        raise typer.Exit(FAILED)


def _print_sql(states: "Sequence[SchemaState]") -> None:
    if not any(state.next for state in states):
        typer.echo("-- Nothing would run")
    for state in states:
        for migration in state.next:
            typer.echo(f"-- {state.schema}: {migration.name}")
            typer.echo(f"set search_path to {state.schema};\n{migration.text}")


def _print_states(states: "Sequence[SchemaState]", *, as_json: bool) -> None:
    from rs_order.cli.terminal import table

    if as_json:
        listed = [
            {
                "schema": state.schema,
                "applied": list(state.applied),
                "missing": [migration.name for migration in state.missing],
            }
            for state in states
        ]
        typer.echo(json.dumps(listed, indent=2))
        return
    rows = [
        (
            state.schema,
            len(state.applied),
            state.applied[-1] if state.applied else None,
            ", ".join(migration.name for migration in state.missing) or "nothing",
        )
        for state in states
    ]
    for line in table(("SCHEMA", "APPLIED", "LAST", "MISSING"), rows):
        typer.echo(line)


async def _add(name: str, host: str | None) -> None:
    from rs_order.cli.terminal import operator

    async with opened_database() as database:
        tenant = await database.add_tenant(name, host, operator())
    typer.echo(f"Tenant {tenant} can be used")


async def _disable(name: str) -> None:
    from rs_order.cli.terminal import operator
    from rs_order.settings import load_settings

    settings = load_settings()
    if name in settings.tenants:
        raise CommandFailed(
            f"{name} is in RS_ORDER_TENANTS, so the next start would add it again: remove it there first"
        )
    async with opened_database(settings) as database:
        if not await database.disable_tenant(name, operator()):
            raise CommandFailed(f"No tenant {name} is served here")
    typer.echo(
        f"Tenant {name} is not served any more, by running services within a few seconds. Its orders stay as "
        "they are: nothing of them starts or expires, and requests for them are rejected or kept as dead "
        f"letters. 'rs-order tenant add {name}' continues them."
    )
    if settings.tenants_from_platform:
        typer.echo("Disconnect it in REGARDS, too: the next start follows the connections there.")


async def _list() -> None:
    async with opened_database() as database:
        tenants = database.tenants
        for name in sorted(tenants.names()):
            typer.echo("\t".join(filter(None, (name, tenants.host(name)))))
