"""``rs-order orders``: lists, shows and cancels orders of a tenant."""

# ruff: noqa: PLC0415 - a command imports what it needs, so that --help is fast
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rs_order.cli.database import opened_database, require_served
from rs_order.cli.failures import CommandFailed, run_command

if TYPE_CHECKING:
    from rs_order.domain.ids import OrderId
    from rs_order.domain.states import FileCounters
    from rs_order.store.order_inspection import InspectedOrder, OrderDetails, OrderFilter

commands = typer.Typer()
order_commands = typer.Typer(no_args_is_help=True, help="Orders of a tenant, for operators.")
commands.add_typer(order_commands, name="orders")

SHOWN = 200
"""The most sub-orders, reasons and events of an order that are shown."""
HEADINGS = (
    "ID",
    "STATUS",
    "DONE",
    "FILES",
    "ERRORS",
    "CREATED (UTC)",
    "OWNER",
    "LABEL",
    "CORRELATION",
)
_SUB_ORDER_HEADINGS = (
    "SUB-ORDER",
    "KIND",
    "STATE",
    "FILES",
    "PENDING",
    "ERRORS",
    "ASKED",
    "NEXT STEP (UTC)",
)
Tenant = Annotated[str, typer.Option(help="Project of the orders.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Id = Annotated[int, typer.Argument(metavar="ID", help="Number of the order.")]


@order_commands.command("list")
def list_command(
    *,
    tenant: Tenant,
    owner: Annotated[str | None, typer.Option(help="E-mail of the owner.")] = None,
    status: Annotated[str | None, typer.Option(help="Such as RUNNING.")] = None,
    label: Annotated[str | None, typer.Option(help="The whole label.")] = None,
    correlation_id: Annotated[str | None, typer.Option(help="As the requester chose it.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="The most orders to list.")] = 100,
    before: Annotated[
        int | None, typer.Option(metavar="ID", help="List those before the last one of a page.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List orders, newest first."""
    from rs_order.domain.states import OrderStatus
    from rs_order.store.order_inspection import OrderFilter

    if status is not None and status.upper() not in list(OrderStatus):
        raise typer.BadParameter(f"one of {', '.join(OrderStatus)}", param_hint="--status")
    wanted = OrderFilter(owner, status.upper() if status else None, label, correlation_id)
    run_command(_list(tenant, wanted, limit, before, as_json=as_json))


@order_commands.command("show")
def show_command(order: Id, *, tenant: Tenant, as_json: Json = False) -> None:
    """Show an order with its files by state, sub-orders, reasons and history."""
    run_command(_show(tenant, order, as_json=as_json))


@order_commands.command("cancel")
def cancel_command(
    order: Id,
    *,
    tenant: Tenant,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask for confirmation.")] = False,
) -> None:
    """Delete an order in any status, as a cancel request does. Its files can't be downloaded any more."""
    if not yes and not can_ask():
        raise typer.BadParameter("needed where nobody can be asked", param_hint="--yes")
    run_command(_cancel(tenant, order, ask=not yes))


def can_ask() -> bool:
    """True if the command runs on a terminal."""
    return sys.stdin.isatty()


async def _list(
    tenant: str, wanted: "OrderFilter", limit: int, before: int | None, *, as_json: bool
) -> None:
    from rs_order.cli.terminal import table, utc_time
    from rs_order.domain.ids import OrderId, Tenant
    from rs_order.store.order_inspection import OrderInspection

    async with opened_database() as database:
        require_served(database, tenant)
        found = await OrderInspection(database.pool).list(
            Tenant(tenant), wanted, limit=limit + 1, before=OrderId(before) if before else None
        )
    orders = found[:limit]
    if as_json:
        typer.echo(json.dumps([_members(order) for order in orders], indent=2, default=str))
    elif not orders:
        typer.echo("No orders")
    else:
        rows = [
            (
                order.id,
                order.status,
                f"{order.counters.percent} %",
                order.counters.total_files,
                order.counters.errors,
                utc_time(order.created_at),
                order.owner,
                order.label,
                order.correlation_id,
            )
            for order in orders
        ]
        for line in table(HEADINGS, rows):
            typer.echo(line)
    if len(found) > limit:
        sys.stderr.write(f"The newest {limit}; list more with --before {orders[-1].id}\n")


async def _show(tenant: str, order_id: int, *, as_json: bool) -> None:
    from rs_order.domain.ids import OrderId, Tenant
    from rs_order.store.order_inspection import OrderInspection

    async with opened_database() as database:
        require_served(database, tenant)
        details = await OrderInspection(database.pool).show(
            Tenant(tenant), OrderId(order_id), limit=SHOWN
        )
    if details is None:
        raise CommandFailed(f"There is no order {order_id} in {tenant}")
    if as_json:
        typer.echo(json.dumps(_detail_members(details), indent=2, default=str))
        return
    for line in detail_lines(details):
        typer.echo(line)


async def _cancel(tenant: str, order_id: int, *, ask: bool) -> None:
    from rs_order.app.order_cancellation import cancel_orders
    from rs_order.cli.terminal import operator
    from rs_order.domain.ids import OrderId, Tenant
    from rs_order.settings import load_settings
    from rs_order.store.order_inspection import OrderInspection

    settings = load_settings()
    async with opened_database(settings) as database:
        require_served(database, tenant)
        id_, project = OrderId(order_id), Tenant(tenant)
        details = await OrderInspection(database.pool).show(project, id_, limit=1)
        if details is None:
            raise CommandFailed(f"There is no order {order_id} in {tenant}")
        if ask:
            _confirm(details.order)
        cancelled = await cancel_orders(settings, database, project, [id_], operator())
    _report(id_, details.order, cancelled=bool(cancelled))


def _confirm(order: "InspectedOrder") -> None:
    """Ask the operator.

    Raises:
        CommandFailed: they don't want it.
    """
    confirmed = typer.confirm(
        f"Order {order.id} of {order.owner} is {order.status} with {order.counters.total_files} files. "
        "Delete it for good?"
    )
    if not confirmed:
        raise CommandFailed("Nothing was changed")


def _report(order_id: "OrderId", order: "InspectedOrder", *, cancelled: bool) -> None:
    if cancelled:
        typer.echo(
            f"Order {order_id} of {order.owner} is deleted; a running service deletes its files"
        )
    else:
        typer.echo(f"Order {order_id} was deleted before")


def detail_lines(details: "OrderDetails") -> Iterator[str]:
    """Yield what an operator reads about one order."""
    yield from _fact_lines(details.order)
    yield ""
    yield from _file_lines(details.order.counters)
    if details.sub_orders:
        yield ""
        yield from _sub_order_lines(details)
    if details.reasons:
        yield ""
        yield from _reason_lines(details)
    yield ""
    yield from _history_lines(details)


def _fact_lines(order: "InspectedOrder") -> Iterator[str]:
    from rs_order.cli.terminal import utc_time

    yield f"Order {order.id}: {order.status} since {utc_time(order.status_at)} (UTC)"
    facts = {
        "owner": order.owner,
        "label": order.label,
        "correlation id": order.correlation_id,
        "created": utc_time(order.created_at),
        "expires": utc_time(order.expires_at),
        "message": order.message or "-",
    }
    yield from (f"  {name:<16}{value}" for name, value in facts.items())


def _file_lines(counters: "FileCounters") -> Iterator[str]:
    from rs_order.cli.terminal import table

    files = [(state, files, size) for state, files, size in _by_state(counters) if files]
    yield from table(("FILES", "NUMBER", "BYTES"), files) if files else ("No files",)


def _sub_order_lines(details: "OrderDetails") -> Iterator[str]:
    from rs_order.cli.terminal import table, utc_time

    rows = [
        (
            one.id,
            one.kind,
            f"{one.state}, quota exceeded" if one.quota_exceeded else one.state,
            one.counters.total_files,
            one.counters.pending,
            one.counters.errors,
            one.asks,
            utc_time(one.due_at),
        )
        for one in details.sub_orders
    ]
    yield from table(_SUB_ORDER_HEADINGS, rows)
    if details.order.sub_orders > len(rows):
        yield f"and {details.order.sub_orders - len(rows)} more"


def _reason_lines(details: "OrderDetails") -> Iterator[str]:
    from rs_order.cli.terminal import table

    reasons = [(one.files, one.state, one.code, one.reason) for one in details.reasons]
    yield from table(("FILES", "STATE", "CODE", "REASON"), reasons)


def _history_lines(details: "OrderDetails") -> Iterator[str]:
    from rs_order.cli.terminal import table, utc_time

    history = [
        (
            utc_time(event.at),
            f"sub-order {event.sub_order_id}" if event.sub_order_id else "order",
            event.before,
            event.after,
            event.reason,
            event.actor,
        )
        for event in details.history
    ]
    yield from table(("HISTORY (UTC)", "OF", "BEFORE", "AFTER", "REASON", "ACTOR"), history)


def _by_state(counters: "FileCounters") -> Iterator[tuple[str, int, int]]:
    for state, files in counters.files.items():
        yield str(state), files, counters.bytes[state]


def _members(inspected: Any) -> dict[str, Any]:
    """Return the members of an order or sub-order, with its files by state."""
    members = asdict(inspected)
    members["files"] = members.pop("counters")["files"]
    return members


def _detail_members(details: "OrderDetails") -> dict[str, Any]:
    return {
        **_members(details.order),
        "sub_orders": [_members(one) for one in details.sub_orders],
        "reasons": [asdict(one) for one in details.reasons],
        "history": [asdict(one) for one in details.history],
    }
