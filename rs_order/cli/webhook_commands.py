"""``rs-order webhooks``: lists, shows, tests, replays and disables the webhooks of a tenant."""

# ruff: noqa: PLC0415 - a command imports what it needs, so that --help is fast
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from rs_order.cli.database import opened_database, require_served
from rs_order.cli.failures import CommandFailed, run_command

if TYPE_CHECKING:
    from rs_order.domain.subscriptions import Subscription, Webhook
    from rs_order.store.pool import Pool
    from rs_order.store.webhooks import Delivery
    from rs_order.subscriptions.webhooks import ManageWebhooks

commands = typer.Typer()
webhook_commands = typer.Typer(
    no_args_is_help=True, help="The URLs to which events of orders are sent."
)
commands.add_typer(webhook_commands, name="webhooks")

HEADINGS = ("ID", "OWNER", "STATE", "WAITING", "DEAD", "LAST SUCCESS (UTC)", "URL")
DELIVERY_HEADINGS = ("POSITION", "EVENT", "ORDER", "STATE", "ATTEMPTS", "STATUS", "ANSWER")
SHOWN_DELIVERIES = 20

TenantOption = Annotated[str, typer.Option(help="Project of the webhooks.")]
IdArgument = Annotated[UUID, typer.Argument(metavar="ID", help="As webhooks list shows it.")]
DATES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]


@webhook_commands.command("list")
def list_command(
    *,
    tenant: TenantOption,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False,
) -> None:
    """List webhooks, the newest first."""
    run_command(_list(tenant, as_json=as_json))


@webhook_commands.command("show")
def show_command(webhook: IdArgument, *, tenant: TenantOption) -> None:
    """Show a webhook and its last deliveries."""
    run_command(_show(tenant, webhook))


@webhook_commands.command("test")
def test_command(webhook: IdArgument, *, tenant: TenantOption) -> None:
    """Send a test event now, from this machine."""
    run_command(_test(tenant, webhook))


@webhook_commands.command("replay")
def replay_command(
    webhook: IdArgument,
    *,
    tenant: TenantOption,
    from_position: Annotated[int, typer.Option(min=1, help="The first position.")] = 1,
    since: Annotated[
        datetime | None, typer.Option(formats=DATES, help="The first time, in UTC.")
    ] = None,
    only_dead: Annotated[
        bool, typer.Option("--only-dead", help="Only events whose attempts all failed.")
    ] = False,
) -> None:
    """Send events again. A running service sends them."""
    run_command(_replay(tenant, webhook, from_position, since, only_dead=only_dead))


@webhook_commands.command("disable")
def disable_command(webhook: IdArgument, *, tenant: TenantOption) -> None:
    """Send nothing more, until its owner enables it."""
    run_command(_disable(tenant, webhook))


async def _list(tenant: str, *, as_json: bool) -> None:
    from rs_order.cli.terminal import table
    from rs_order.contracts.subscription_bodies import SubscriptionDto
    from rs_order.domain.ids import Tenant
    from rs_order.store.subscriptions import SubscriptionViews

    async with opened_database() as database:
        require_served(database, tenant)
        listed = await SubscriptionViews(database.pool).list(Tenant(tenant), None)
    found = [one for one in listed if one.webhook is not None]
    if as_json:
        typer.echo(json.dumps([SubscriptionDto.of(one).to_wire() for one in found], indent=2))
    elif not found:
        typer.echo(f"Tenant {tenant} has no webhooks")
    else:
        rows = [_row(one, one.webhook) for one in found if one.webhook is not None]
        typer.echo("\n".join(table(HEADINGS, rows)))


def _row(subscription: "Subscription", webhook: "Webhook") -> tuple[object, ...]:
    from rs_order.cli.terminal import utc_time

    success = webhook.last_success
    return (
        subscription.id,
        subscription.owner,
        webhook.state.value,
        webhook.backlog,
        webhook.dead,
        "never" if success is None else utc_time(success),
        webhook.url,
    )


async def _show(tenant: str, webhook_id: UUID) -> None:
    from rs_order.cli.terminal import table
    from rs_order.contracts.subscription_bodies import SubscriptionDto
    from rs_order.domain.ids import Tenant
    from rs_order.store.webhooks import WebhookViews

    async with opened_database() as database:
        require_served(database, tenant)
        found = await _found(database.pool, tenant, webhook_id)
        deliveries = await WebhookViews(database.pool).deliveries(
            Tenant(tenant), webhook_id, state=None, before=None, limit=SHOWN_DELIVERIES
        )
    typer.echo(json.dumps(SubscriptionDto.of(found).to_wire(), indent=2))
    if deliveries:
        typer.echo("\n".join(table(DELIVERY_HEADINGS, [_attempt(one) for one in deliveries])))


def _attempt(delivery: "Delivery") -> tuple[object, ...]:
    answer = " ".join((delivery.answer or "").split())
    return (
        delivery.position,
        delivery.type,
        delivery.order_id,
        delivery.state.value,
        delivery.attempts,
        delivery.status or "",
        answer[:40],
    )


async def _test(tenant: str, webhook_id: UUID) -> None:
    from rs_order.domain.ids import Tenant
    from rs_order.subscriptions.verification import answer_of

    async with _managed(tenant, webhook_id) as manage:
        received = await manage.test(Tenant(tenant), webhook_id)
    status = "no response" if received.status is None else f"status {received.status}"
    typer.echo(f"{status}: {answer_of(received)}")


async def _replay(
    tenant: str,
    webhook_id: UUID,
    from_position: int,
    since: datetime | None,
    *,
    only_dead: bool,
) -> None:
    from rs_order.domain.ids import Tenant
    from rs_order.store.webhooks import WantedReplay

    wanted = WantedReplay(
        from_position=from_position,
        since=None if since is None else since.replace(tzinfo=UTC),
        only_dead=only_dead,
    )
    async with _managed(tenant, webhook_id) as manage:
        replayed = await manage.replay(Tenant(tenant), webhook_id, wanted)
    more = "" if replayed.next is None else f"; go on with --from-position {replayed.next}"
    typer.echo(f"{replayed.events} events are sent again by the running service{more}")


async def _disable(tenant: str, webhook_id: UUID) -> None:
    from rs_order.domain.ids import Tenant
    from rs_order.domain.webhooks import Disabled

    async with _managed(tenant, webhook_id) as manage:
        await manage.disable(Tenant(tenant), webhook_id, Disabled.BY_OPERATOR)
    typer.echo(f"Webhook {webhook_id} gets nothing until its owner enables it")


@asynccontextmanager
async def _managed(tenant: str, webhook_id: UUID) -> "AsyncIterator[ManageWebhooks]":
    """Open what changes a webhook of a tenant.

    Raises:
        CommandFailed: there is no such webhook.
    """
    from rs_order.app.platform_clients import webhook_receivers
    from rs_order.app.webhooks import manage_webhooks
    from rs_order.core.links import Links
    from rs_order.settings import load_settings
    from rs_order.store.unit_of_work import Store

    settings = load_settings()
    async with opened_database(settings) as database:
        require_served(database, tenant)
        await _found(database.pool, tenant, webhook_id)
        receivers = webhook_receivers(settings)
        try:
            yield manage_webhooks(
                settings,
                Store(database.pool, lambda _: None),
                Links(
                    None,
                    database.tenants,
                    prefix=settings.prefix_path,
                    fallback=settings.public_url,
                ),
                clock=database.clock,
                receivers=receivers,
            )
        finally:
            await receivers.aclose()


async def _found(pool: "Pool", tenant: str, webhook_id: UUID) -> "Subscription":
    from rs_order.domain.ids import Tenant
    from rs_order.store.subscriptions import SubscriptionViews

    found = await SubscriptionViews(pool).find(Tenant(tenant), webhook_id)
    if found is None or found.webhook is None:
        raise CommandFailed(f"Tenant {tenant} has no webhook {webhook_id}; list them")
    return found
