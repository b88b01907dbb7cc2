"""``rs-order dead-letters``: list, show, replay and discard dead letters (architecture.md 8)."""

# ruff: noqa: PLC0415 - a command imports what it needs, so that --help is fast
import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from rs_order.cli.failures import FAILED, run_command

if TYPE_CHECKING:
    from rs_order.broker.dead_letters import DeadLetterFilter, DeadLetters


commands = typer.Typer()
dead_letter_commands = typer.Typer(
    no_args_is_help=True, help="Messages that could not be handled, kept for an operator."
)
commands.add_typer(dead_letter_commands, name="dead-letters")

Tenant = Annotated[str | None, typer.Option(help="Only dead letters of this tenant.")]
Queue = Annotated[
    str | None, typer.Option(help="Only dead letters that are in this queue or came from it.")
]
Reason = Annotated[str | None, typer.Option(help="Only dead letters with this reason.")]
Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="Ids from the list.")]


@dead_letter_commands.command("list")
def list_command(
    tenant: Tenant = None,
    queue: Queue = None,
    reason: Reason = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False,
) -> None:
    """List dead letters, the oldest of each queue first."""
    run_command(_list(_filter(tenant, queue, reason), as_json=as_json))


@dead_letter_commands.command("show")
def show_command(
    dead_letter_id: Annotated[str, typer.Argument(metavar="ID", help="Id from the list.")],
) -> None:
    """Show one dead letter with its headers and body."""
    run_command(_show(dead_letter_id))


@dead_letter_commands.command("replay")
def replay_command(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Ids from the list.")
    ] = None,
    *,
    every: Annotated[
        bool, typer.Option("--all", help="All dead letters that match the filters.")
    ] = False,
    tenant: Tenant = None,
    queue: Queue = None,
    reason: Reason = None,
    rate: Annotated[float | None, typer.Option(min=0.001, help="Dead letters per second.")] = None,
) -> None:
    """Send dead letters back to the queues that they came from."""
    filtered = any(value is not None for value in (tenant, queue, reason))
    if bool(ids) == every or (filtered and not every):
        raise typer.BadParameter("give ids, or --all with or without filters")
    run_command(_replay(ids or [], None if ids else _filter(tenant, queue, reason), rate))


@dead_letter_commands.command("discard")
def discard_command(
    ids: Ids,
    because: Annotated[str, typer.Option(help="The reason, which is logged.")],
) -> None:
    """Delete dead letters for good."""
    if not because.strip():
        raise typer.BadParameter("give a reason", param_hint="--because")
    run_command(_discard(ids, because))


def _filter(tenant: str | None, queue: str | None, reason: str | None) -> "DeadLetterFilter":
    from rs_order.broker.dead_letters import DeadLetterFilter

    return DeadLetterFilter(tenant, queue, reason)


async def _list(selection: "DeadLetterFilter", *, as_json: bool) -> None:
    from rs_order.cli.dead_letter_views import summary, table_lines

    found = await _dead_letters().list(selection)
    if as_json:
        summaries = [summary(dead_letter) for dead_letter in found.dead_letters]
        typer.echo(json.dumps(summaries, indent=2))
    else:
        for line in table_lines(found.dead_letters):
            typer.echo(line)
    if not found.complete:
        sys.stderr.write(
            f"The first {len(found.dead_letters)}; there may be more: use the filters\n"
        )


async def _show(dead_letter_id: str) -> None:
    from rs_order.cli.dead_letter_views import full_text

    typer.echo(full_text(await _dead_letters().find(dead_letter_id)))


async def _replay(ids: list[str], selection: "DeadLetterFilter | None", rate: float | None) -> None:
    from rs_order.broker.dead_letters import DEFAULT_RATE

    dead_letters = _dead_letters()
    rate = rate or DEFAULT_RATE
    if selection is None:
        replay = await dead_letters.replay_each(ids, rate)
    else:
        replay = await dead_letters.replay(selection, rate)
    typer.echo(f"{len(replay.replayed)} sent back")
    for rejection in replay.rejected.values():
        sys.stderr.write(f"rs-order: {rejection}\n")
    if replay.rejected:
        raise typer.Exit(FAILED)


async def _discard(ids: list[str], because: str) -> None:
    discarded = await _dead_letters().discard(ids, because)
    typer.echo(f"{len(discarded)} discarded")


def _dead_letters() -> "DeadLetters":
    from rs_order.app.broker import broker_topology
    from rs_order.broker.dead_letters import DeadLetters
    from rs_order.broker.topology import Vhost
    from rs_order.cli.terminal import configure_command_logs
    from rs_order.settings import load_settings

    settings = load_settings()
    configure_command_logs(settings)
    return DeadLetters(
        settings.amqp_url.get_secret_value(),
        {Vhost.MULTITENANT: settings.amqp_vhost, Vhost.INSTANCE: settings.amqp_instance_vhost},
        broker_topology(settings),
    )
