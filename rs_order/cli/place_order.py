"""``rs-order order``: sends an order request over AMQP, as other REGARDS services do."""

# ruff: noqa: PLC0415 - a command imports what it needs, so that --help is fast
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

import typer

from rs_order.cli.failures import FAILED, run_command

if TYPE_CHECKING:
    from rs_order.demo.order_client import PlacedOrder


commands = typer.Typer()


class DataTypeName(StrEnum):
    """The kinds of files that a filter of a request accepts (amqp.md 2.2)."""

    RAWDATA = "RAWDATA"
    QUICKLOOK = "QUICKLOOK"


@commands.command("order")
def order_command(
    *,
    tenant: Annotated[str, typer.Option(help="Project to order from.")],
    user: Annotated[str, typer.Option(help="E-mail of the owner.")],
    query: Annotated[list[str], typer.Option(help="Catalog query; may be repeated.")],
    data_type: Annotated[
        list[DataTypeName] | None, typer.Option(help="Kind of files; may be repeated.")
    ] = None,
    filename_pattern: Annotated[
        str | None, typer.Option(help="Regular expression (RE2) on the whole file name.")
    ] = None,
    size_limit: Annotated[
        int | None, typer.Option(help="Reject the order if it has more bytes than this.")
    ] = None,
    correlation_id: Annotated[
        str | None, typer.Option(help="Id that each response repeats. The default is random.")
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Print the responses until the final one.")
    ] = False,
) -> None:
    """Request an order over AMQP. With --watch, exit 0 if it ends DONE, else 1."""
    fields = {
        "correlationId": correlation_id or f"cli-{uuid4()}",
        "user": user,
        "queries": query,
        "filters": filters_of(data_type, filename_pattern),
        "sizeLimitInBytes": size_limit,
    }
    run_command(_order(tenant, fields, watch=watch))


def filters_of(
    data_types: Sequence[DataTypeName] | None, filename_pattern: str | None
) -> dict[str, Any] | None:
    """Return the member ``filters`` of a request; None without conditions on the files."""
    if not data_types and filename_pattern is None:
        return None
    kinds = data_types or list(DataTypeName)  # a request with filters must name the kinds
    return {"dataTypes": [str(kind) for kind in kinds], "filenameRegExp": filename_pattern}


async def _order(tenant: str, fields: dict[str, Any], *, watch: bool) -> None:
    from rs_order.cli.terminal import configure_command_logs
    from rs_order.contracts.order_messages import OrderRequest
    from rs_order.demo.order_client import OrderClient
    from rs_order.settings import load_settings

    settings = load_settings()
    configure_command_logs(settings)
    async with OrderClient.connected(
        settings.amqp_url.get_secret_value(),
        settings.amqp_vhost,
        tenant=tenant,
        namespace=settings.amqp_management_namespace,
    ) as client:
        placed = await client.place(OrderRequest.model_validate(fields))
        typer.echo(f"Requested, correlation id {placed.correlation_id}")
        if watch:
            await _watch(placed)


async def _watch(placed: "PlacedOrder") -> None:
    """Print each response. Exit with an error unless the last one is DONE."""
    from rs_order.contracts.order_messages import ResponseStatus
    from rs_order.demo.order_client import response_line

    async for timed in placed.responses():
        typer.echo(response_line(timed))
        if timed.response.download_link:
            typer.echo(f"{'':12}{timed.response.download_link}")
    if timed.response.status is not ResponseStatus.DONE:
        raise typer.Exit(FAILED)
