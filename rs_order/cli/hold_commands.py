"""``rs-order hold``: begins, lists and ends holds of tenants, users and orders."""

# ruff: noqa: PLC0415 - a command imports what it needs, so that --help is fast
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from rs_order.cli.database import opened_database, require_served
from rs_order.cli.failures import CommandFailed, run_command

if TYPE_CHECKING:
    from rs_order.app.database import Database
    from rs_order.domain.holds import HeldThing, Hold
    from rs_order.holds.holding import HoldWork

commands = typer.Typer()
hold_commands = typer.Typer(
    no_args_is_help=True,
    help="What is held: storage is asked for nothing new of it, and what runs goes on.",
)
commands.add_typer(hold_commands, name="hold")

HEADINGS = ("ID", "TENANT", "HELD", "UNTIL (UTC)", "BY", "REASON")


@hold_commands.command("add")
def add_command(
    *,
    tenant: Annotated[str, typer.Option(help="Project; all of it, without --user or --order.")],
    user: Annotated[str | None, typer.Option(help="E-mail of the user to hold.")] = None,
    order: Annotated[int | None, typer.Option(help="Number of the order to hold.")] = None,
    reason: Annotated[str, typer.Option(help="Why; the audit keeps it.")],
    until: Annotated[
        datetime,
        typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"], help="Its end, in UTC."),
    ],
    preview: Annotated[
        bool, typer.Option("--preview", help="Change nothing; show who would start next.")
    ] = False,
) -> None:
    """Hold a tenant, a user or an order, in every instance at once."""
    run_command(_add(tenant, user, order, reason, until.replace(tzinfo=UTC), preview=preview))


@hold_commands.command("list")
def list_command(
    *,
    tenant: Annotated[str | None, typer.Option(help="Only holds of this tenant.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="The most holds to list.")] = 100,
    after: Annotated[
        int, typer.Option(metavar="ID", min=0, help="List those after the last one of a page.")
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False,
) -> None:
    """List holds, the oldest first."""
    run_command(_list(tenant, limit, after, as_json=as_json))


@hold_commands.command("end")
def end_command(
    hold: Annotated[int, typer.Argument(metavar="ID", help="As hold list shows it.")],
    *,
    reason: Annotated[str | None, typer.Option(help="Why it ends now.")] = None,
) -> None:
    """End a hold before its time. A running service starts what was held."""
    run_command(_end(hold, reason))


async def _add(
    tenant: str,
    user: str | None,
    order: int | None,
    reason: str,
    until: datetime,
    *,
    preview: bool,
) -> None:
    from rs_order.cli.share_commands import print_queue
    from rs_order.cli.terminal import operator, utc_time
    from rs_order.domain.holds import HeldThing
    from rs_order.domain.ids import OrderId, Tenant

    held = HeldThing(Tenant(tenant), user, None if order is None else OrderId(order))
    async with opened_database() as database:
        require_served(database, tenant)
        if preview:
            print_queue(await _work(database).preview(held, reason=reason, until=until))
            return
        hold = await _work(database).begin(held, reason=reason, until=until, by=operator())
    typer.echo(f"Hold {hold.id}: {hold.held} is held until {utc_time(hold.until)} (UTC)")


async def _list(tenant: str | None, limit: int, after: int, *, as_json: bool) -> None:
    from rs_order.contracts.hold_bodies import HoldDto
    from rs_order.store.holds import HoldViews

    async with opened_database() as database:
        found = await HoldViews(database.pool).list(tenant, limit=limit + 1, after=after)
    holds = found[:limit]
    if as_json:
        typer.echo(json.dumps([HoldDto.of(hold).to_wire() for hold in holds], indent=2))
    else:
        _print_table(holds)
    if len(found) > limit:
        sys.stderr.write(f"The oldest {limit}; list more with --after {holds[-1].id}\n")


async def _end(hold_id: int, reason: str | None) -> None:
    from rs_order.cli.terminal import operator
    from rs_order.store.holds import HoldViews

    async with opened_database() as database:
        found = await HoldViews(database.pool).find(hold_id)
        if found is None:
            raise CommandFailed(f"There is no hold {hold_id}; it may have ended")
        require_served(database, found.held.tenant)
        hold = await _work(database).end(found.held.tenant, hold_id, reason=reason, by=operator())
    typer.echo(f"Hold {hold.id} of {hold.held} is ended; a running service starts what was held")


def _work(database: "Database") -> "HoldWork":
    from rs_order.app.slot_limits import slot_limits
    from rs_order.holds.holding import HoldWork
    from rs_order.settings import load_settings
    from rs_order.store.unit_of_work import Store

    store = Store(database.pool, lambda _: None)
    return HoldWork(store, database.clock, slot_limits(load_settings()))


def _print_table(holds: "Sequence[Hold]") -> None:
    from rs_order.cli.terminal import table, utc_time

    if not holds:
        typer.echo("No holds")
        return
    rows = [
        (
            hold.id,
            hold.held.tenant,
            _shown(hold.held),
            utc_time(hold.until),
            hold.created_by,
            hold.reason,
        )
        for hold in holds
    ]
    for line in table(HEADINGS, rows):
        typer.echo(line)


def _shown(held: "HeldThing") -> str:
    if held.order_id is not None:
        return f"order {held.order_id}"
    return held.owner or "the whole tenant"
