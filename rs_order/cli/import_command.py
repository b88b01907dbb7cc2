"""``rs-order import-java``: takes over the database of a Java service."""

# ruff: noqa: PLC0415 - a command imports what it needs, so that --help is fast
import csv
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from rs_order.cli.database import opened_database
from rs_order.cli.failures import FAILED, CommandFailed, run_command

if TYPE_CHECKING:
    from rs_order.app.database import Database
    from rs_order.moving_in.run import Progress
    from rs_order.store.java_source import SourceAddress

commands = typer.Typer()

CHANGES_AT_A_TIME: Final = 1000
_SECONDS_BETWEEN_LINES: Final = 10.0
_BAR: Final = 30
_COLUMNS: Final = ("ORDER_ID", "CHANGE", "OWNER", "LABEL", "STATUS", "CREATION_DATE", "STATUS_DATE")


@dataclass(frozen=True, slots=True)
class _Command:
    """The options of one call."""

    source: str
    schema: str
    workers: int
    slice_files: int
    templates: Path
    check: bool
    even_if_running: bool
    as_json: bool


@commands.command("import-java")
def import_command(
    *,
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="URL",
            help="PostgreSQL URL of the Java service's database; {tenant} stands for the tenant.",
        ),
    ] = None,
    schema: Annotated[
        str, typer.Option(help="Its schema; {tenant} stands for the tenant.")
    ] = "order_",
    tenant: Annotated[str | None, typer.Option(help="Tenant to import into.")] = None,
    every_tenant: Annotated[
        bool,
        typer.Option("--all", help="Every tenant of rs-order tenant list, one after the other."),
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Read everything, write nothing, and print the report.")
    ] = False,
    even_if_running: Annotated[
        bool, typer.Option("--even-if-running", help="With --check: while the Java service works.")
    ] = False,
    since_import: Annotated[
        bool,
        typer.Option(
            "--since-import", help="List orders made or changed since the import, as CSV."
        ),
    ] = False,
    workers: Annotated[int, typer.Option(min=1, max=16, help="Slices copied at a time.")] = 2,
    slice_files: Annotated[
        int, typer.Option(min=1, help="The most files of one commit; a larger order is one, too.")
    ] = 50_000,
    templates: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder that mail templates are written to.")
    ] = Path("mail-templates"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Take over the orders, baskets and settings of a Java RS-ORDER. Its database is only read."""
    if every_tenant == (tenant is not None):
        raise typer.BadParameter("give one of --tenant and --all")
    if since_import:
        if tenant is None or check or source is not None:
            raise typer.BadParameter("it takes --tenant alone", param_hint="--since-import")
        run_command(_since_import(tenant))
        return
    if source is None:
        raise typer.BadParameter("the database of the Java service", param_hint="--from")
    if even_if_running and not check:
        raise typer.BadParameter("only with --check", param_hint="--even-if-running")
    if every_tenant and "{tenant}" not in source + schema:
        raise typer.BadParameter("--from or --schema has to contain {tenant}", param_hint="--all")
    command = _Command(
        source, schema, workers, slice_files, templates, check, even_if_running, as_json
    )
    run_command(_import(command, tenant))


async def _import(command: _Command, tenant: str | None) -> None:
    """Import one tenant, or all. The exit code is 0 only if both sides of each agree."""
    from rs_order.store.java_source import SourceAddress

    reports = []
    async with opened_database() as database:
        tenants = sorted(database.tenants.names()) if tenant is None else [tenant]
        if tenant is not None:
            await _require_known(database, tenant)
        address = SourceAddress(command.source, command.schema)
        for name in tenants:
            report = await _import_one(command, database, name, address.of(name))
            reports.append(report)
            if not command.as_json:
                _print(report)
    if command.as_json:
        typer.echo(json.dumps(reports if tenant is None else reports[0], indent=2))
    if not all(report["agrees"] for report in reports):
        raise typer.Exit(FAILED)


async def _require_known(database: "Database", tenant: str) -> None:
    """Check that the deployment knows a tenant; during an import it isn't served.

    Raises:
        CommandFailed: it doesn't.
    """
    if not database.tenants.serves(tenant) and not database.tenants.is_inactive(tenant):
        raise CommandFailed(
            f"There is no tenant {tenant}: create it with 'rs-order tenant add {tenant}' first"
        )


async def _import_one(
    command: _Command, database: "Database", name: str, address: "SourceAddress"
) -> Mapping[str, Any]:
    from rs_order.app.moving_in import opened_import
    from rs_order.cli.terminal import operator
    from rs_order.domain.ids import Tenant
    from rs_order.moving_in.copy import SliceLimits
    from rs_order.moving_in.run import MovingIn, Options
    from rs_order.settings import load_settings
    from rs_order.store.java_source import SourceUnusable, opened_source

    options = Options(
        workers=command.workers,
        limits=SliceLimits(files=command.slice_files),
        templates=command.templates,
        even_if_running=command.even_if_running,
    )
    progress = _progress(name)
    try:
        async with (
            opened_source(address, connections=command.workers + 1) as source,
            opened_import(
                load_settings(), database, Tenant(name), operator(), workers=command.workers
            ) as target,
        ):
            moving_in = MovingIn(source, target, options, progress)
            if command.check:
                return (await moving_in.check()).to_json()
            return await moving_in.run()
    except SourceUnusable as error:
        raise CommandFailed(str(error)) from error


def _print(report: Mapping[str, Any]) -> None:
    from rs_order.moving_in.report import text_of

    for line in text_of(report):
        typer.echo(line)


async def _since_import(tenant: str) -> None:
    from rs_order.cli.terminal import utc_time
    from rs_order.domain.ids import Tenant
    from rs_order.store.moved_orders import ChangedOrder, changed_since

    async with opened_database() as database:
        await _require_known(database, tenant)
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(_COLUMNS)
        found: Sequence[ChangedOrder] = ()
        after, more = 0, True
        while more:
            found = await changed_since(
                database.pool, Tenant(tenant), after=after, limit=CHANGES_AT_A_TIME
            )
            for order in found:
                writer.writerow(
                    (
                        order.id,
                        order.what,
                        order.owner,
                        order.label,
                        order.status,
                        utc_time(order.created_at),
                        utc_time(order.status_at),
                    )
                )
            more = len(found) == CHANGES_AT_A_TIME
            after = found[-1].id if found else after


def _progress(tenant: str) -> "Callable[[Progress], None]":
    """Return what shows the progress on standard error: a bar on a terminal, else a line now and then."""
    bar = sys.stderr.isatty()
    written = [time.monotonic()]

    def show(progress: "Progress") -> None:
        now = time.monotonic()
        if now - written[0] < (0.2 if bar else _SECONDS_BETWEEN_LINES):
            return
        written[0] = now
        sys.stderr.write(f"\r{_line(tenant, progress)}" if bar else f"{_line(tenant, progress)}\n")
        sys.stderr.flush()

    return show


def _line(tenant: str, progress: "Progress") -> str:
    share = progress.rows / progress.all_rows if progress.all_rows else 1.0
    filled = round(share * _BAR)
    left = "" if progress.seconds_left is None else f", {round(progress.seconds_left)} s left"
    return (
        f"{tenant} [{'#' * filled}{'.' * (_BAR - filled)}] {progress.rows} of {progress.all_rows} "
        f"files, {progress.bytes} of {progress.all_bytes} bytes{left}"
    )
