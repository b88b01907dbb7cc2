"""``rs-order events``: prints what happened to orders, and what happens."""

# ruff: noqa: PLC0415 - a command imports what it needs, so that --help is fast
import json
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rs_order.cli.database import opened_database, require_served
from rs_order.cli.failures import CommandFailed, run_command

if TYPE_CHECKING:
    from rs_order.app.database import Database
    from rs_order.app.events import EventParts
    from rs_order.domain.ids import Tenant
    from rs_order.store.events import EventFilter, LoggedEvent

PAGE = 1000
WAIT_SECONDS = 60.0

commands = typer.Typer()


@commands.command("events")
def events_command(
    *,
    tenant: Annotated[str, typer.Option(help="Project of the orders.")],
    order: Annotated[int | None, typer.Option(help="Only events of this order.")] = None,
    types: Annotated[
        list[str] | None,
        typer.Option("--type", help="Only this type, such as 'order.*'; repeatable."),
    ] = None,
    after: Annotated[
        int | None,
        typer.Option(help="Continue after this position. Default: the oldest; with --follow, now."),
    ] = None,
    follow: Annotated[bool, typer.Option(help="Print what happens, until Ctrl+C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print CloudEvents.")] = False,
) -> None:
    """Print what happened to orders."""
    run_command(_events(tenant, order, types or [], after, follow=follow, as_json=as_json))


async def _events(
    tenant: str,
    order: int | None,
    types: list[str],
    after: int | None,
    *,
    follow: bool,
    as_json: bool,
) -> None:
    from rs_order.domain.ids import Tenant

    wanted = _filter(order, types)
    async with opened_database() as database:
        require_served(database, tenant)
        parts, name = _parts(database), Tenant(tenant)
        state = await parts.feed.number_overdue(name)
        begin = after if after is not None else state.position if follow else 0
        if after is not None and after < state.purged:
            oldest = state.purged + 1
            raise CommandFailed(
                f"The events of tenant {tenant} before position {oldest} are deleted: "
                f"use --after {state.purged}"
            )
        async for event in read_events(parts, name, wanted, begin, follow=follow):
            typer.echo(event.body if as_json else _line(event, json.loads(event.body)))


def _filter(order: int | None, types: list[str]) -> "EventFilter":
    """Return the wanted events.

    Raises:
        CommandFailed: no event has such a type.
    """
    from rs_order.domain.events import types_of
    from rs_order.domain.ids import OrderId
    from rs_order.store.events import EventFilter

    try:
        known = types_of(types) if types else None
    except ValueError as error:
        raise CommandFailed(f"--type: {error}") from error
    return EventFilter(order_id=None if order is None else OrderId(order), types=known)


def _parts(database: "Database") -> "EventParts":
    from rs_order.app.events import EventParts
    from rs_order.core.links import Links
    from rs_order.settings import load_settings

    settings = load_settings()
    links = Links(None, database.tenants, prefix=settings.prefix_path, fallback=settings.public_url)
    return EventParts.of(settings, database.pool, links, database.clock)


async def read_events(
    parts: "EventParts", tenant: "Tenant", wanted: "EventFilter", after: int, *, follow: bool
) -> "AsyncGenerator[LoggedEvent, None]":
    """Return events behind a position, to the end of the log, or without end."""
    while True:
        page = await parts.log.page(tenant, wanted, after, PAGE)
        for event in page.events:
            yield event
        if page.position == after:
            if not follow:
                return
            await parts.feed.until_beyond(tenant, after, WAIT_SECONDS)
        after = page.position


def _line(event: "LoggedEvent", envelope: dict[str, Any]) -> str:
    data = envelope["data"]
    sub_order = f" sub-order {data['subOrderId']}" if "subOrderId" in data else ""
    return (
        f"{event.position:>8}  {envelope['time']:<27}  order {event.order_id}{sub_order} of {event.owner}: "
        f"{event.type} ({data['status']}, {data['percent']} %)"
    )
