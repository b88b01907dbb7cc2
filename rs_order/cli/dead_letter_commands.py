"""``rs-order dead-letters``: list, show, replay and discard dead letters (architecture.md 8)."""

# ruff: noqa: PLC0415 - a command imports what it needs, so that --help is fast
import json
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from rs_order.cli.failures import FAILED, run_command

if TYPE_CHECKING:
    from rs_order.broker.dead_letters import DeadLetterFilter, DeadLetters
    from rs_order.broker.stored_dead_letters import StoredDeadLetter

HEADINGS = ("ID", "REASON", "TENANT", "ORDER", "AGE", "TIMES", "CORRELATION", "QUEUE")
UNKNOWN = "-"


def table_lines(dead_letters: "Sequence[StoredDeadLetter]") -> Iterator[str]:
    """Yield a heading and a line per dead letter, in columns, or one sentence if there is none."""
    if not dead_letters:
        yield "No dead letters"
        return
    now = datetime.now(UTC)
    rows = [HEADINGS, *(_row(dead_letter, now) for dead_letter in dead_letters)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def summary(dead_letter: "StoredDeadLetter") -> dict[str, Any]:
    """Return the JSON members of a dead letter, without its headers and body."""
    return {
        "id": dead_letter.id,
        "vhost": dead_letter.vhost.value,
        "queue": dead_letter.queue,
        "origin": dead_letter.origin,
        "reason": dead_letter.reason,
        "detail": dead_letter.detail,
        "tenant": dead_letter.tenant,
        "orderId": dead_letter.order_id,
        "correlationId": dead_letter.correlation_id,
        "diedAt": dead_letter.died_at.isoformat() if dead_letter.died_at else None,
        "ageSeconds": dead_letter.age_seconds(datetime.now(UTC)),
        "times": dead_letter.times,
    }


def full_text(dead_letter: "StoredDeadLetter") -> str:
    """Return the summary, the headers and the body of a dead letter as text."""
    members = [
        f"{name:<14}{UNKNOWN if value is None else value}"
        for name, value in summary(dead_letter).items()
    ]
    headers = [f"  {name}: {value}" for name, value in sorted(dead_letter.headers.items())]
    return "\n".join([*members, "headers", *headers, "body", _body(dead_letter.body)])


def _row(dead_letter: "StoredDeadLetter", now: datetime) -> tuple[str, ...]:
    age = dead_letter.age_seconds(now)
    return (
        dead_letter.id,
        dead_letter.reason,
        dead_letter.tenant or UNKNOWN,
        UNKNOWN if dead_letter.order_id is None else str(dead_letter.order_id),
        UNKNOWN if age is None else str(timedelta(seconds=round(age))),
        str(dead_letter.times),
        dead_letter.correlation_id or UNKNOWN,
        dead_letter.origin or dead_letter.queue,
    )


def _body(body: bytes) -> str:
    """Return a JSON body indented, and any other body as text with escapes for invalid bytes."""
    try:
        return orjson.dumps(orjson.loads(body), option=orjson.OPT_INDENT_2).decode()
    except orjson.JSONDecodeError:
        return body.decode(errors="backslashreplace")


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
