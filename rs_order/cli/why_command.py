"""``rs-order why``: says why an order isn't further, since when, until when, and who can change it."""

# ruff: noqa: PLC0415 - a command imports what it needs, so that --help is fast
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from rs_order.cli.database import opened_database, require_served
from rs_order.cli.failures import CommandFailed, run_command

if TYPE_CHECKING:
    from rs_order.contracts.progress_bodies import ProgressDto
    from rs_order.domain.ids import OrderId
    from rs_order.domain.reasons import OrderFacts

commands = typer.Typer()


@commands.command("why")
def why_command(
    order: Annotated[int, typer.Argument(metavar="ORDER", help="Number of the order.")],
    *,
    tenant: Annotated[str, typer.Option(help="Project of the order.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say why an order isn't further, since when, until when, and who can change it."""
    run_command(_why(tenant, order, as_json=as_json))


async def _why(tenant: str, order: int, *, as_json: bool) -> None:
    from rs_order.domain.ids import OrderId

    facts, document = await _progress(tenant, OrderId(order))
    if as_json:
        typer.echo(json.dumps(document.to_wire(), indent=2))
        return
    typer.echo(f"Order {order} of {facts.owner}: {document.status}, {document.percent} %")
    for line in _lines(document):
        typer.echo(line)


async def _progress(tenant: str, order_id: "OrderId") -> "tuple[OrderFacts, ProgressDto]":
    """Return the facts of an order, and its progress as the owner sees it.

    Raises:
        CommandFailed: there is no such tenant or order.
    """
    from rs_order.app.waiting_orders import waiting_orders
    from rs_order.core.forecasts import Forecasts
    from rs_order.core.reason_texts import Language
    from rs_order.domain.ids import Tenant
    from rs_order.progress.document import progress_document
    from rs_order.settings import load_settings
    from rs_order.store.estimates import Estimates

    async with opened_database() as database:
        require_served(database, tenant)
        forecasts = Forecasts(Estimates(database.pool), database.clock)
        waiting = waiting_orders(load_settings(), database.pool, database.clock, forecasts)
        facts = await waiting.facts(Tenant(tenant), order_id)
        if facts is None:
            raise CommandFailed(
                f"Tenant {tenant} has no order {order_id}: see rs-order orders list"
            )
        expectations = await waiting.expectations(Tenant(tenant))
        details = await waiting.progress.details(Tenant(tenant), order_id, facts, expectations.now)
    return facts, progress_document(order_id, details, expectations, Language.ENGLISH)


def _lines(document: "ProgressDto") -> Iterator[str]:
    from rs_order.cli.terminal import utc_time

    reason = document.reason
    since = f" since {utc_time(reason.since)} UTC" if reason.since else ""
    actor = f"; {reason.actor} can change it" if reason.actor else ""
    yield f"{reason.code}{since}{actor}"
    yield f"  {reason.text}"
    for one in document.also:
        number = f", sub-orders: {one.sub_orders}" if one.sub_orders else ""
        yield f"also {one.code}{number}"
        yield f"  {one.text}"
    if document.ahead:
        ahead = document.ahead
        yield f"ahead of it, sub-orders: {ahead.sub_orders}, files: {ahead.files}, bytes: {ahead.bytes}"
    if document.turn:
        turn = document.turn
        yield (
            f"before its owner ({turn.scope}), sub-orders: {turn.sub_orders}, files: {turn.files}, "
            f"bytes: {turn.bytes}; weight: {turn.weight:g}"
        )
    if document.expected:
        expected = document.expected
        share = f"{expected.level:g} of the last {expected.samples} ranges came true"
        yield (
            f"Expected between {utc_time(expected.earliest)} and {utc_time(expected.latest)} UTC; {share}"
        )
    elif document.why:
        yield f"No time is known: {document.why}"
