"""``rs-order audit``: reads who changed what, when and why (decision 0028)."""

# ruff: noqa: PLC0415 - a command imports what it needs, so that --help is fast
import json
import sys
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from rs_order.cli.database import opened_database
from rs_order.cli.failures import run_command

if TYPE_CHECKING:
    from rs_order.store.audit import AuditRecord, AuditSearch

commands = typer.Typer()
audit_commands = typer.Typer(no_args_is_help=True, help="Who changed what, when and why.")
commands.add_typer(audit_commands, name="audit")

HEADINGS = (
    "DATE (UTC)",
    "TENANT",
    "ACTOR",
    "DOOR",
    "ACTION",
    "OBJECT",
    "BEFORE",
    "AFTER",
    "REASON",
)
Moment = Annotated[
    datetime | None,
    typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"], help="In UTC."),
]


@audit_commands.command("list")
def list_command(
    *,
    tenant: Annotated[str | None, typer.Option(help="Only entries of this tenant.")] = None,
    actor: Annotated[str | None, typer.Option(help="A part of the actor's name.")] = None,
    action: Annotated[
        str | None,
        typer.Option(help="An action such as setting.changed, or setting for all of these."),
    ] = None,
    since: Moment = None,
    until: Moment = None,
    limit: Annotated[int, typer.Option(min=1, help="The most entries to list.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, as REST does.")] = False,
) -> None:
    """List entries of the audit, newest first."""
    from rs_order.store.audit import AuditSearch

    if as_json and as_csv:
        raise typer.BadParameter("give --json or --csv, not both")
    search = AuditSearch(
        tenant=tenant,
        actor=actor,
        action=action,
        since=since and since.replace(tzinfo=UTC),
        until=until and until.replace(tzinfo=UTC),
    )
    form = "json" if as_json else "csv" if as_csv else "table"
    run_command(_list(search, limit, form))


async def _list(search: "AuditSearch", limit: int, form: str) -> None:
    from rs_order.audit.representation import audit_entry, csv_parts
    from rs_order.store.audit import Audit

    async with opened_database() as database:
        entries = await Audit(database.pool).page(search, limit=limit + 1)
    shown = entries[:limit]
    if form == "json":
        typer.echo(json.dumps([audit_entry(entry).to_wire() for entry in shown], indent=2))
    elif form == "csv":
        async for part in csv_parts(_one_part(shown)):
            typer.echo(part, nl=False)
    else:
        _print_table(shown)
    if len(entries) > limit:
        sys.stderr.write(f"The newest {limit}; --limit, --since or --until shows others\n")


def _print_table(entries: "Sequence[AuditRecord]") -> None:
    from rs_order.audit.representation import json_text
    from rs_order.cli.terminal import table, utc_time

    if not entries:
        typer.echo("No entries")
        return
    rows = [
        (
            utc_time(entry.at),
            entry.tenant,
            entry.actor,
            entry.door,
            entry.action,
            f"{entry.object_kind} {entry.object_id}",
            json_text(entry.before),
            json_text(entry.after),
            entry.reason,
        )
        for entry in entries
    ]
    for line in table(HEADINGS, rows):
        typer.echo(line)


async def _one_part(
    entries: "Sequence[AuditRecord]",
) -> "AsyncIterator[Sequence[AuditRecord]]":
    yield entries
