"""``rs-order limits``: what may be in flight at storage, for a tenant and for each of its users."""

# ruff: noqa: PLC0415 - a command imports what it needs, so that --help is fast
import json
from typing import TYPE_CHECKING, Annotated

import typer

from rs_order.cli.database import opened_database, require_served
from rs_order.cli.failures import run_command

if TYPE_CHECKING:
    from rs_order.app.database import Database
    from rs_order.shares.limits import ManageLimits, NewLimit

commands = typer.Typer()
limit_commands = typer.Typer(
    no_args_is_help=True, help="What may be in flight at storage at the same time."
)
commands.add_typer(limit_commands, name="limits")

_NONE = "Without it: no limit."


@limit_commands.command("list")
def list_command(
    *,
    tenant: Annotated[str, typer.Option(help="Project.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the limits that concern a tenant, and what it has in flight."""
    run_command(_list(tenant, as_json=as_json))


@limit_commands.command("set")
def set_command(
    *,
    tenant: Annotated[str, typer.Option(help="Project.")],
    users: Annotated[
        bool, typer.Option("--users", help="Of each user, instead of the project.")
    ] = False,
    sub_orders: Annotated[int, typer.Option(help=f"Sub-orders. {_NONE}")] = 0,
    files: Annotated[int, typer.Option(help=f"Their files. {_NONE}")] = 0,
    bytes_: Annotated[int, typer.Option("--bytes", help=f"Their bytes. {_NONE}")] = 0,
    reason: Annotated[str, typer.Option(help="Why; the audit keeps it.")],
    preview: Annotated[
        bool, typer.Option("--preview", help="Change nothing; show who would start next.")
    ] = False,
) -> None:
    """Set all limits of a tenant, or of each of its users, in every instance at once."""
    from rs_order.domain.ids import Tenant
    from rs_order.domain.shares import Amount, LimitKind
    from rs_order.shares.limits import NewLimit

    async def work() -> None:
        kind = LimitKind.USER if users else LimitKind.TENANT
        new = NewLimit.of(Tenant(tenant), kind, Amount(sub_orders, files, bytes_))
        await _set(new, reason, preview=preview)

    run_command(work())


async def _list(tenant: str, *, as_json: bool) -> None:
    from rs_order.cli.terminal import table
    from rs_order.contracts.share_bodies import LimitsDto
    from rs_order.domain.ids import Tenant

    async with opened_database() as database:
        require_served(database, tenant)
        found = await _limits(database).show(Tenant(tenant))
    if as_json:
        typer.echo(json.dumps(LimitsDto.of(found).to_wire(), indent=2))
        return
    amounts = [
        ("limit of the service", found.of_service),
        ("limit of the tenant", found.of_tenant),
        ("limit of each user", found.of_user),
        ("in flight", found.in_flight),
    ]
    rows = [(name, one.sub_orders, one.files, one.bytes) for name, one in amounts if one]
    for line in table(("", "SUB-ORDERS", "FILES", "BYTES"), rows):
        typer.echo(line)


async def _set(new: "NewLimit", reason: str, *, preview: bool) -> None:
    from rs_order.cli.share_commands import print_queue
    from rs_order.cli.terminal import operator

    async with opened_database() as database:
        require_served(database, new.tenant)
        limits = _limits(database)
        if preview:
            print_queue(await limits.preview(new))
            return
        await limits.change(new, reason=reason, by=operator())
    limit = new.limit
    shown = f"{limit.sub_orders} sub-orders, {limit.files} files, {limit.bytes} bytes (0: no limit)"
    typer.echo(f"The limit of {'each user' if new.kind == 'user' else new.tenant} is {shown}")


def _limits(database: "Database") -> "ManageLimits":
    from rs_order.app.slot_limits import slot_limits
    from rs_order.settings import load_settings
    from rs_order.shares.limits import ManageLimits
    from rs_order.store.unit_of_work import Store

    return ManageLimits(Store(database.pool, lambda _: None), slot_limits(load_settings()))
