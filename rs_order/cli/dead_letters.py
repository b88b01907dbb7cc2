"""``rs-order dead-letters``: list, show, replay and discard dead letters (architecture.md 8)."""

# ruff: noqa: PLC0415 - a command imports what it needs, so that --help is at once there
import json
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from rs_order.broker.stored_dead_letters import StoredDeadLetter
from rs_order.cli.failures import FAILED, carry_out

if TYPE_CHECKING:
    from rs_order.broker.dead_letters import DeadLetterFilter, DeadLetters


HEADINGS = ("ID", "REASON", "TENANT", "ORDER", "AGE", "TIMES", "CORRELATION", "QUEUE")
UNKNOWN = "-"


def letter_lines(letters: Sequence[StoredDeadLetter]) -> Iterator[str]:
    """A heading and a line for each letter, in columns; one sentence when there is none."""
    if not letters:
        yield "No dead letters"
        return
    now = datetime.now(UTC)
    rows = [HEADINGS, *(_row(letter, now) for letter in letters)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def facts(letter: StoredDeadLetter) -> dict[str, Any]:
    """What is known of a letter, without headers and body; for programs."""
    return {
        "id": letter.id,
        "vhost": letter.vhost.value,
        "queue": letter.queue,
        "origin": letter.origin,
        "reason": letter.reason,
        "detail": letter.detail,
        "tenant": letter.tenant,
        "orderId": letter.order_id,
        "correlationId": letter.correlation_id,
        "diedAt": letter.died_at.isoformat() if letter.died_at else None,
        "ageSeconds": letter.age_seconds(datetime.now(UTC)),
        "times": letter.times,
    }


def whole_letter(letter: StoredDeadLetter) -> str:
    """Everything about a letter: facts, headers, body."""
    known = [
        f"{name:<14}{UNKNOWN if value is None else value}" for name, value in facts(letter).items()
    ]
    headers = [f"  {name}: {value}" for name, value in sorted(letter.headers.items())]
    return "\n".join([*known, "headers", *headers, "body", _body(letter.body)])


def _row(letter: StoredDeadLetter, now: datetime) -> tuple[str, ...]:
    age = letter.age_seconds(now)
    return (
        letter.id,
        letter.reason,
        letter.tenant or UNKNOWN,
        UNKNOWN if letter.order_id is None else str(letter.order_id),
        UNKNOWN if age is None else str(timedelta(seconds=round(age))),
        str(letter.times),
        letter.correlation_id or UNKNOWN,
        letter.origin or letter.queue,
    )


def _body(body: bytes) -> str:
    """Indented when it is JSON; what isn't text is shown with escapes."""
    try:
        return orjson.dumps(orjson.loads(body), option=orjson.OPT_INDENT_2).decode()
    except orjson.JSONDecodeError:
        return body.decode(errors="backslashreplace")


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
    for refusal in replay.refused.values():
        sys.stderr.write(f"rs-order: {refusal}\n")
    if replay.refused:
        raise typer.Exit(FAILED)


async def _discard(ids: list[str], because: str) -> None:
    discarded = await _dead_letters().discard(ids, because)
    typer.echo(f"{len(discarded)} discarded")


def _dead_letters() -> "DeadLetters":
    from rs_order.app.broker import names_on_the_broker
    from rs_order.broker.dead_letters import DeadLetters
    from rs_order.broker.topology import Vhost
    from rs_order.cli.terminal import configure_command_logs
    from rs_order.settings import load_settings

    settings = load_settings()
    configure_command_logs(settings)
    return DeadLetters(
        settings.amqp_url.get_secret_value(),
        {Vhost.MULTITENANT: settings.amqp_vhost, Vhost.INSTANCE: settings.amqp_instance_vhost},
        names_on_the_broker(settings),
    )
