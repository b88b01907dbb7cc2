"""``rs-order quote``: says what an order of a user would be. A running service makes the quote."""

# ruff: noqa: PLC0415 - a command imports what it needs, so that --help is fast
import asyncio
import json
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rs_order.cli.database import opened_database, require_served
from rs_order.cli.failures import FAILED, CommandFailed, run_command
from rs_order.cli.place_order import DataTypeName, filters_of

if TYPE_CHECKING:
    from rs_order.app.database import Database
    from rs_order.contracts.order_messages import OrderRequest
    from rs_order.domain.identity import Caller
    from rs_order.store.quotes import StoredQuote

POLL_SECONDS = 0.2
PLACES = {
    "online": "online",
    "nearline": "on tape",
    "external": "external",
    "unknown": "described wrongly",
}

commands = typer.Typer()


@commands.command("quote")
def quote_command(
    *,
    tenant: Annotated[str, typer.Option(help="Project to order from.")],
    user: Annotated[str, typer.Option(help="E-mail of the user who would order.")],
    role: Annotated[str, typer.Option(help="Their role.")] = "REGISTERED_USER",
    query: Annotated[list[str] | None, typer.Option(help="Catalog query; may be repeated.")] = None,
    data_type: Annotated[
        list[DataTypeName] | None, typer.Option(help="Kind of files; may be repeated.")
    ] = None,
    filename_pattern: Annotated[
        str | None, typer.Option(help="Regular expression (RE2) on the whole file name.")
    ] = None,
    basket: Annotated[
        bool, typer.Option("--basket", help="Quote the user's basket, instead of queries.")
    ] = False,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for the quote.")] = 120,
    as_json: Annotated[bool, typer.Option("--json", help="Print the document.")] = False,
) -> None:
    """Say what an order would be, without ordering anything. A running service makes the quote."""
    if basket == bool(query):
        raise typer.BadParameter("Name queries, or --basket", param_hint="--query")
    if basket and (data_type or filename_pattern is not None):
        raise typer.BadParameter("A basket has its own filters", param_hint="--basket")
    fields = {"queries": query, "filters": filters_of(data_type, filename_pattern)}
    run_command(_quote(tenant, user, role, None if basket else fields, wait, as_json=as_json))


async def _quote(
    tenant: str,
    user: str,
    role: str,
    fields: dict[str, Any] | None,
    wait: float,
    *,
    as_json: bool,
) -> None:
    from rs_order.contracts.order_messages import OrderRequest
    from rs_order.domain.identity import Caller
    from rs_order.domain.ids import Tenant
    from rs_order.quotes.document import quote_answer

    request = None if fields is None else OrderRequest.model_validate(fields)
    async with opened_database() as database:
        require_served(database, tenant)
        quote = await _made(database, Caller(Tenant(tenant), user, role), request, wait)
    document = quote_answer(quote)
    if as_json:
        typer.echo(json.dumps(document, indent=2))
    else:
        for line in quote_lines(document):
            typer.echo(line)
    if quote.failure is not None:
        raise typer.Exit(FAILED)


async def _made(
    database: "Database", caller: "Caller", request: "OrderRequest | None", wait: float
) -> "StoredQuote":
    """Begin a quote, and return it once a service has made it, or has failed to.

    Raises:
        CommandFailed: it isn't ready after ``wait`` seconds.
    """
    from rs_order.contracts.quote_bodies import quote_name
    from rs_order.domain.quotes import QuoteState
    from rs_order.quotes.begin import BeginQuotes
    from rs_order.store.unit_of_work import Store

    store = Store(database.pool, lambda _: None)
    quote = await BeginQuotes(store, database.clock).begin(caller, request)
    until = time.monotonic() + wait
    while quote.state is QuoteState.AT_WORK and time.monotonic() < until:
        await asyncio.sleep(POLL_SECONDS)
        found = await store.quote(caller.tenant, quote.owner, quote.id)
        quote = (found or quote).at(database.clock.now())
    if quote.state is QuoteState.AT_WORK:
        name = quote_name(quote.id)
        raise CommandFailed(
            f"The quote {name} isn't ready after {wait:g} s. Check that a service runs, and that its catalog "
            f"answers. {caller.email} can read the quote later: GET /orders/quotes/{name}"
        )
    return quote


def quote_lines(quote: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines that show a quote, as it is on the wire."""
    if "failure" in quote:
        yield f"{quote['id']} failed: {quote['failure']['text']}"
        return
    about = "" if quote["exact"] else "about "
    yield f"{quote['id']}, can be ordered until {quote['validUntil']}"
    yield f"{'files':18}{about}{quote['files']}, {quote['bytes']} bytes, of {quote['products']} products"
    for place, title in PLACES.items():
        amount = quote["where"][place]
        if amount["files"]:
            yield f"  {title:16}{amount['files']}, {amount.get('bytes', 'unknown')} bytes"
    yield f"{'known from':18}{quote['where']['basis']}"
    requested = quote["alreadyRequested"]
    if requested["files"]:
        yield f"{'requested already':18}{requested['files']}, {requested['bytes']} bytes"
    sub_orders = quote["subOrders"]
    span = sorted({sub_orders["min"], sub_orders["max"]})
    yield f"{'sub-orders':18}{' to '.join(map(str, span))}, {quote.get('runAtOnce', 'all')} at a time"
    expected = quote["expected"]
    yield f"{'expected':18}" + (
        f"{expected['shortest']} to {expected['longest']}"
        if expected
        else f"unknown ({quote['why']})"
    )
    for block in quote["blocks"]:
        yield f"{'ordering fails' if block['hard'] else 'but':18}{block['text']}"
    for advice in quote["advice"]:
        yield f"{'advice':18}{advice}"
