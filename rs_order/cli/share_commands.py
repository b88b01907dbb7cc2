"""``rs-order shares`` and ``rs-order queue``: weights and recent uses, and who starts next."""

# ruff: noqa: PLC0415 - a command imports what it needs, so that --help is fast
import json
from typing import TYPE_CHECKING, Annotated

import typer

from rs_order.cli.database import opened_database, require_served
from rs_order.cli.failures import run_command

if TYPE_CHECKING:
    from rs_order.app.database import Database
    from rs_order.domain.shares import CapacityQueue
    from rs_order.shares.weights import ManageShares

commands = typer.Typer()
share_commands = typer.Typer(
    no_args_is_help=True, help="How tenants and users share the capacity of the service."
)
commands.add_typer(share_commands, name="shares")

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@commands.command("queue")
def queue_command(
    *,
    tenant: Annotated[str | None, typer.Option(help="Name only users of this tenant.")] = None,
    as_json: Json = False,
) -> None:
    """Show the capacity of the service, and the users who start next."""
    run_command(_show_queue(tenant, as_json=as_json))


@share_commands.command("list")
def list_command(
    *,
    tenant: Annotated[str, typer.Option(help="Project.")],
    as_json: Json = False,
) -> None:
    """List the weights and recent uses of a tenant, those who used most first."""
    run_command(_list(tenant, as_json=as_json))


@share_commands.command("set")
def set_command(
    *,
    tenant: Annotated[str, typer.Option(help="Project; its own weight, without --user or --role.")],
    user: Annotated[str | None, typer.Option(help="E-mail of a user.")] = None,
    role: Annotated[str | None, typer.Option(help="Role; the default of its users.")] = None,
    weight: Annotated[
        float | None, typer.Option(help="Without it, the default applies again.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why; the audit keeps it.")],
    preview: Annotated[
        bool, typer.Option("--preview", help="Change nothing; show who would start next.")
    ] = False,
) -> None:
    """Set the weight of a tenant, a role or a user, in every instance at once."""
    run_command(_set(tenant, user, role, weight, reason, preview=preview))


async def _show_queue(tenant: str | None, *, as_json: bool) -> None:
    from rs_order.contracts.share_bodies import QueueDto

    async with opened_database() as database:
        if tenant is not None:
            require_served(database, tenant)
        queue = await _shares(database).queue()
    if as_json:
        typer.echo(json.dumps(QueueDto.of(queue, tenant).to_wire(), indent=2))
    else:
        print_queue(queue, tenant)


async def _list(tenant: str, *, as_json: bool) -> None:
    from rs_order.cli.terminal import table
    from rs_order.contracts.share_bodies import ShareDto
    from rs_order.domain.ids import Tenant

    async with opened_database() as database:
        require_served(database, tenant)
        shares = [ShareDto.of(share) for share in await _shares(database).list(Tenant(tenant))]
    if as_json:
        typer.echo(json.dumps([share.to_wire() for share in shares], indent=2))
        return
    rows = [(one.kind, one.name, one.weight, one.used_bytes) for one in shares]
    for line in table(("KIND", "NAME", "WEIGHT", "RECENT USE (BYTES)"), rows):
        typer.echo(line)


async def _set(
    tenant: str,
    user: str | None,
    role: str | None,
    weight: float | None,
    reason: str,
    *,
    preview: bool,
) -> None:
    from rs_order.cli.terminal import operator
    from rs_order.domain.ids import Tenant
    from rs_order.shares.weights import NewWeight

    new = NewWeight.of(Tenant(tenant), user=user, role=role, weight=weight)
    async with opened_database() as database:
        require_served(database, tenant)
        shares = _shares(database)
        if preview:
            print_queue(await shares.preview(new))
            return
        await shares.change(new, reason=reason, by=operator())
    shown = "the default" if weight is None else f"{weight:g}"
    typer.echo(f"The weight of {new.kind} {new.name} is {shown}")


def _shares(database: "Database") -> "ManageShares":
    from rs_order.app.slot_limits import slot_limits
    from rs_order.settings import load_settings
    from rs_order.shares.weights import ManageShares
    from rs_order.store.unit_of_work import Store

    store = Store(database.pool, lambda _: None)
    return ManageShares(store, database.clock, slot_limits(load_settings()))


def print_queue(queue: "CapacityQueue", tenant: str | None = None) -> None:
    """Print the capacity and who starts next. ``tenant``: users of other tenants have no name."""
    from rs_order.cli.terminal import table, utc_time
    from rs_order.contracts.share_bodies import QueueDto

    shown = QueueDto.of(queue, tenant)
    limit = shown.limit or "no limit"
    typer.echo(f"Running: {shown.used} of {limit}; about to start: {shown.promised}")
    if not shown.next:
        typer.echo("Nobody waits for capacity")
        return
    rows = [(one.position, one.tenant, one.user, utc_time(one.rank)) for one in shown.next]
    for line in table(("NEXT", "TENANT", "USER", "RANK (UTC)"), rows):
        typer.echo(line)
