"""``rs-order dead-letters``: list, show, replay and discard dead letters (architecture.md 8)."""

# ruff: noqa: PLC0415 - a command imports what it needs, so that --help is at once there
import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from rs_order.cli.failures import FAILED, carry_out

if TYPE_CHECKING:
    from rs_order.broker.dead_letters import DeadLetterFilter, DeadLetters


commands = typer.Typer()
letter_commands = typer.Typer(
    no_args_is_help=True, help="Messages that could not be handled, kept for an operator."
)
commands.add_typer(letter_commands, name="dead-letters")

Tenant = Annotated[str | None, typer.Option(help="Only those of this tenant.")]
Queue = Annotated[str | None, typer.Option(help="Only those that lie in it or came from it.")]
Reason = Annotated[str | None, typer.Option(help="Only those with this reason.")]
Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="As listed.")]


@letter_commands.command("list")
def list_command(
    tenant: Tenant = None,
    queue: Queue = None,
    reason: Reason = None,
    as_json: Annotated[bool, typer.Option("--json", help="An array, for programs.")] = False,
) -> None:
    """List dead letters, the longest waiting of each queue first."""
    carry_out(_list(_filter(tenant, queue, reason), as_json=as_json))


@letter_commands.command("show")
def show_command(
    letter_id: Annotated[str, typer.Argument(metavar="ID", help="As listed.")],
) -> None:
    """Show one dead letter with its headers and body."""
    carry_out(_show(letter_id))


@letter_commands.command("replay")
def replay_command(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="As listed.")] = None,
    *,
    every: Annotated[
        bool, typer.Option("--all", help="All of them, or all that the filters let pass.")
    ] = False,
    tenant: Tenant = None,
    queue: Queue = None,
    reason: Reason = None,
    rate: Annotated[float | None, typer.Option(min=0.001, help="Letters per second.")] = None,
) -> None:
    """Send dead letters back to the queues they came from."""
    filtered = any(value is not None for value in (tenant, queue, reason))
    if bool(ids) == every or (filtered and not every):
        raise typer.BadParameter("give ids, or --all with or without filters")
    carry_out(_replay(ids or [], None if ids else _filter(tenant, queue, reason), rate))


@letter_commands.command("discard")
def discard_command(
    ids: Ids,
    because: Annotated[str, typer.Option(help="Why; the log keeps it.")],
) -> None:
    """Throw dead letters away."""
    if not because.strip():
        raise typer.BadParameter("say why the letters go", param_hint="--because")
    carry_out(_discard(ids, because))


def _filter(tenant: str | None, queue: str | None, reason: str | None) -> "DeadLetterFilter":
    from rs_order.broker.dead_letters import DeadLetterFilter

    return DeadLetterFilter(tenant, queue, reason)


async def _list(wanted: "DeadLetterFilter", *, as_json: bool) -> None:
    from rs_order.cli.dead_letter_views import facts, letter_lines

    found = await _dead_letters().list(wanted)
    if as_json:
        typer.echo(json.dumps([facts(letter) for letter in found.dead_letters], indent=2))
    else:
        for line in letter_lines(found.dead_letters):
            typer.echo(line)
    if not found.complete:
        sys.stderr.write(
            f"The first {len(found.dead_letters)}; there may be more: use the filters\n"
        )


async def _show(letter_id: str) -> None:
    from rs_order.cli.dead_letter_views import whole_letter

    typer.echo(whole_letter(await _dead_letters().find(letter_id)))


async def _replay(ids: list[str], wanted: "DeadLetterFilter | None", rate: float | None) -> None:
    from rs_order.broker.dead_letters import DEFAULT_RATE

    letters = _dead_letters()
    pace = rate or DEFAULT_RATE
    if wanted is None:
        replay = await letters.replay_each(ids, pace)
    else:
        replay = await letters.replay(wanted, pace)
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
