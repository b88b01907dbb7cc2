"""``rs-order dead-letters``: list, show, replay and discard dead letters (architecture.md 8)."""

# ruff: noqa: PLC0415 - a command imports what it needs, so that --help is fast
import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from rs_order.cli.failures import FAILED, database_errors_explained, run_command

if TYPE_CHECKING:
    from uuid import UUID

    from rs_order.dead_letters.routes import DeadLetterServices
    from rs_order.domain.dead_letters import (
        DeadLetterFilter,
        LetterRun,
        Operator,
        StoredDeadLetter,
    )

HEADINGS = ("ID", "REASON", "TENANT", "ORDER", "AGE", "TIMES", "CORRELATION", "QUEUE")
UNKNOWN = "-"
POLL_SECONDS = 0.2
SILENCE_SECONDS = 15.0
"""After this time without progress, no instance of the service seems to run."""


def table_lines(dead_letters: "Sequence[StoredDeadLetter]") -> Iterator[str]:
    """Yield a heading and a line per dead letter, in columns, or one sentence if there is none."""
    from rs_order.cli.terminal import table

    if not dead_letters:
        yield "No dead letters"
        return
    now = datetime.now(UTC)
    yield from table(HEADINGS, [_row(dead_letter, now) for dead_letter in dead_letters])


def summary(dead_letter: "StoredDeadLetter") -> dict[str, Any]:
    """Return the JSON members of a dead letter, without its headers and body."""
    return {
        "id": dead_letter.id,
        "vhost": dead_letter.vhost,
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


def _row(dead_letter: "StoredDeadLetter", now: datetime) -> tuple[object, ...]:
    age = dead_letter.age_seconds(now)
    return (
        dead_letter.id,
        dead_letter.reason,
        dead_letter.tenant,
        dead_letter.order_id,
        None if age is None else timedelta(seconds=round(age)),
        dead_letter.times,
        dead_letter.correlation_id,
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
Order = Annotated[int | None, typer.Option(help="Only dead letters of this order.")]
StepName = Annotated[str | None, typer.Option("--step", help="Only dead letters of this step.")]
OlderThan = Annotated[
    float | None, typer.Option(min=0, metavar="HOURS", help="Only dead letters older than this.")
]
Ids = Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Ids from the list.")]
Every = Annotated[bool, typer.Option("--all", help="All dead letters that match the filters.")]


@dead_letter_commands.command("list")
def list_command(
    *,
    tenant: Tenant = None,
    queue: Queue = None,
    reason: Reason = None,
    order: Order = None,
    step: StepName = None,
    older_than: OlderThan = None,
    limit: Annotated[int, typer.Option(min=1, help="The most dead letters to list.")] = 1000,
    after: Annotated[
        str | None, typer.Option(metavar="ID", help="List those after the last one of a page.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False,
) -> None:
    """List dead letters, the oldest first."""
    filters = {
        "tenant": tenant,
        "queue": queue,
        "reason": reason,
        "order_id": order,
        "step": step,
        "older_than": older_than,
    }
    run_command(_list(_filter(filters), limit, after, as_json=as_json))


@dead_letter_commands.command("show")
def show_command(
    dead_letter_id: Annotated[str, typer.Argument(metavar="ID", help="Id from the list.")],
) -> None:
    """Show one dead letter with its headers and body."""
    run_command(_show(dead_letter_id))


@dead_letter_commands.command("replay")
def replay_command(
    ids: Ids = None,
    *,
    every: Every = False,
    tenant: Tenant = None,
    queue: Queue = None,
    reason: Reason = None,
    order: Order = None,
    step: StepName = None,
    older_than: OlderThan = None,
    rate: Annotated[float | None, typer.Option(min=0.001, help="Dead letters per second.")] = None,
    edit: Annotated[
        bool, typer.Option("--edit", help="Edit the body of one dead letter with $EDITOR before.")
    ] = False,
    body: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", exists=True, dir_okay=False, help="Replace the body of one dead letter."
        ),
    ] = None,
) -> None:
    """Send dead letters back to the queues that they came from."""
    filters = {
        "tenant": tenant,
        "queue": queue,
        "reason": reason,
        "order_id": order,
        "step": step,
        "older_than": older_than,
    }
    _require_ids_or_all(ids, filters, every=every)
    if edit or body is not None:
        if len(ids or ()) != 1 or (edit and body is not None):
            raise typer.BadParameter("give one id, and either --edit or --body")
        run_command(_replay_corrected((ids or [""])[0], body.read_bytes() if body else None))
    elif ids:
        run_command(_replay(ids, rate))
    else:
        run_command(_run_over(_filter(filters), rate=rate))


@dead_letter_commands.command("discard")
def discard_command(
    ids: Ids = None,
    *,
    because: Annotated[str, typer.Option(help="The reason, which is kept and logged.")],
    every: Every = False,
    tenant: Tenant = None,
    queue: Queue = None,
    reason: Reason = None,
    order: Order = None,
    step: StepName = None,
    older_than: OlderThan = None,
) -> None:
    """Delete dead letters for good."""
    filters = {
        "tenant": tenant,
        "queue": queue,
        "reason": reason,
        "order_id": order,
        "step": step,
        "older_than": older_than,
    }
    _require_ids_or_all(ids, filters, every=every)
    if not because.strip():
        raise typer.BadParameter("give a reason", param_hint="--because")
    if ids:
        run_command(_discard(ids, because))
    else:
        run_command(_run_over(_filter(filters), because=because))


def _require_ids_or_all(
    ids: list[str] | None, filters: Mapping[str, object], *, every: bool
) -> None:
    filtered = any(value is not None for value in filters.values())
    if bool(ids) == every or (filtered and not every):
        raise typer.BadParameter("give ids, or --all with or without filters")


def _filter(filters: Mapping[str, Any]) -> "DeadLetterFilter":
    from rs_order.domain.dead_letters import DeadLetterFilter

    members = dict(filters)
    hours = members.pop("older_than")
    before = None if hours is None else datetime.now(UTC) - timedelta(hours=hours)
    return DeadLetterFilter(**members, died_before=before)


async def _list(
    wanted: "DeadLetterFilter", limit: int, after: str | None, *, as_json: bool
) -> None:
    async with _opened() as (services, operator):
        page = await services.acts.list(wanted, operator, limit, after)
    if as_json:
        typer.echo(json.dumps([summary(dead_letter) for dead_letter in page.letters], indent=2))
    else:
        for line in table_lines(page.letters):
            typer.echo(line)
    if page.more:
        sys.stderr.write(
            f"The first {len(page.letters)}; list more with --after {page.letters[-1].id}\n"
        )


async def _show(dead_letter_id: str) -> None:
    async with _opened() as (services, operator):
        typer.echo(full_text(await services.acts.find(dead_letter_id, operator)))


async def _replay(ids: list[str], rate: float | None) -> None:
    from rs_order.contracts.dead_letter_bodies import DEFAULT_RATE

    rate = rate or DEFAULT_RATE
    async with _opened() as (services, operator):
        result = await services.acts.replay(ids, operator, rate)
        waiting = await _until_published(services, result.messages, rate)
    _report(len(result.done) - waiting, "sent back", result.rejected, waiting)


async def _replay_corrected(letter_id: str, body: bytes | None) -> None:
    """Replay with a body, or with what the operator makes of the present one."""
    from rs_order.cli.body_editor import edited_body
    from rs_order.contracts.dead_letter_bodies import DEFAULT_RATE

    async with _opened() as (services, operator):
        if body is None:
            letter = await services.acts.find(letter_id, operator)
            body = edited_body(letter.body, lambda edited: services.acts.check(letter, edited))
        result = await services.acts.replay_corrected(letter_id, body, operator)
        waiting = await _until_published(services, result.messages, DEFAULT_RATE)
    _report(len(result.done) - waiting, "sent back", {}, waiting)


async def _run_over(
    wanted: "DeadLetterFilter", *, rate: float | None = None, because: str | None = None
) -> None:
    """Replay all dead letters that match, or discard them if there is a reason."""
    from rs_order.contracts.dead_letter_bodies import DEFAULT_RATE
    from rs_order.domain.dead_letters import LetterAct

    act = LetterAct.DISCARD if because else LetterAct.REPLAY
    async with _opened() as (services, operator):
        run = await services.runs.start(
            act, wanted, operator, rate=rate or DEFAULT_RATE, because=because
        )
        run = await _until_ended(services, run, operator)
    _report(run.done, "discarded" if because else "sent back", run.rejections, run.left)


async def _discard(ids: list[str], because: str) -> None:
    async with _opened() as (services, operator):
        discarded = await services.acts.discard(ids, operator, because)
    typer.echo(f"{len(discarded)} discarded")


def _report(done: int, what: str, rejections: Mapping[str, str], waiting: int) -> None:
    """Print the result.

    Raises:
        typer.Exit: something was rejected, or waits until an instance runs.
    """
    typer.echo(f"{done} {what}")
    for rejection in rejections.values():
        sys.stderr.write(f"rs-order: {rejection}\n")
    if waiting:
        sys.stderr.write(
            f"rs-order: {waiting} wait until an instance of the service runs; nothing else has to be done\n"
        )
    if rejections or waiting:
        raise typer.Exit(FAILED)


async def _until_published(
    services: "DeadLetterServices", messages: "Sequence[UUID]", rate: float
) -> int:
    """Wait until an instance has published the messages. Return how many are left after a long silence."""
    left, silent_since = len(messages), time.monotonic()
    while left and time.monotonic() - silent_since < SILENCE_SECONDS + 1 / rate:
        await asyncio.sleep(POLL_SECONDS)
        before, left = left, await services.acts.waiting(messages)
        if left < before:
            silent_since = time.monotonic()
    return left


async def _until_ended(
    services: "DeadLetterServices", run: "LetterRun", operator: "Operator"
) -> "LetterRun":
    """Wait until the run has ended, or no instance has worked on it for long."""
    from rs_order.domain.dead_letters import RunState

    silent_since = time.monotonic()
    while time.monotonic() - silent_since < SILENCE_SECONDS + 1 / run.rate:
        await asyncio.sleep(POLL_SECONDS)
        before, run = run, await services.runs.find(run.id, operator)
        if run.state is not RunState.RUNNING:
            break
        if run.last_number > before.last_number:
            silent_since = time.monotonic()
    return run


@asynccontextmanager
async def _opened() -> "AsyncIterator[tuple[DeadLetterServices, Operator]]":
    """Open the database; the operator is the user of the machine."""
    from rs_order.app.dead_letters import open_dead_letters
    from rs_order.cli.terminal import configure_command_logs, operator
    from rs_order.domain.dead_letters import Operator
    from rs_order.settings import load_settings

    settings = load_settings()
    configure_command_logs(settings)
    with database_errors_explained(settings):
        async with open_dead_letters(settings) as services:
            by = operator()
            yield services, Operator(by.name, by.door)
