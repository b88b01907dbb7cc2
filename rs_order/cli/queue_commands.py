"""``rs-order queues``: shows and moves the queues that peers' events reach (decision 0037)."""

# ruff: noqa: PLC0415 - a command imports what it needs, so that --help is fast
import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from rs_order.cli.failures import CommandFailed, run_command

if TYPE_CHECKING:
    from rs_order.broker.input_queues import QueueMode
    from rs_order.broker.queue_control import QueueControl, QueueState
    from rs_order.settings import Settings

POLL_SECONDS = 0.2
SILENCE_SECONDS = 15.0
"""After this time without progress, the instances that consume a queue seem to handle nothing."""
HEADINGS = ("QUEUE", "RECEIVES", "MESSAGES", "CONSUMERS")

commands = typer.Typer()
queue_commands = typer.Typer(
    no_args_is_help=True, help="The queues that receive the messages of other services."
)
commands.add_typer(queue_commands, name="queues")


@queue_commands.command("status")
def status_command(
    *, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False
) -> None:
    """Show which queues receive messages, and what waits in them."""
    run_command(_status(as_json=as_json))


@queue_commands.command("compatible")
def compatible_command() -> None:
    """Let the queues of the Java service receive the messages, and empty the quorum queues."""
    run_command(_move_to("compatible"))


@queue_commands.command("quorum")
def quorum_command() -> None:
    """Let the quorum queues receive the messages. Running instances empty the other queues."""
    run_command(_move_to("quorum"))


async def _status(*, as_json: bool) -> None:
    async with _opened() as (control, _):
        mode, states = await control.mode(), await control.states()
    if as_json:
        typer.echo(json.dumps(_json(mode, states), indent=2))
        return
    for line in status_lines(mode, states):
        typer.echo(line)


def status_lines(mode: "QueueMode | None", states: "Sequence[QueueState]") -> Iterator[str]:
    """Yield the mode and a table of the queues. Without a mode, a move was interrupted."""
    from rs_order.cli.terminal import table

    yield "A move was interrupted: run it again" if mode is None else f"Mode: {mode.value}"
    rows = [
        (
            state.name,
            "yes" if state.mode is mode else "no",
            state.depth.messages if state.depth else None,
            state.depth.consumers if state.depth else None,
        )
        for state in states
    ]
    yield from table(HEADINGS, rows)


def _json(mode: "QueueMode | None", states: "Sequence[QueueState]") -> dict[str, object]:
    return {
        "mode": mode.value if mode else None,
        "queues": [
            {
                "queue": state.name,
                "receives": state.mode is mode,
                "messages": state.depth.messages if state.depth else None,
                "consumers": state.depth.consumers if state.depth else None,
            }
            for state in states
        ],
    }


async def _move_to(value: str) -> None:
    from rs_order.broker.input_queues import QueueMode

    mode = QueueMode(value)
    async with _opened() as (control, settings):
        if settings.queues != value:
            raise CommandFailed(
                f"RS_ORDER_QUEUES is {settings.queues}, so the next start of an instance would move the "
                f"queues back: set it to {value} first"
            )
        if not any(state.depth for state in await control.states()):
            raise CommandFailed(
                "The broker has no queue of this service: start 'rs-order serve', which creates them"
            )
        await control.move(mode)
        typer.echo(f"The {value} queues receive the messages now")
        await _empty(control, mode)
    if mode is QueueMode.COMPATIBLE:
        typer.echo(
            "Before a Java service starts: stop all instances of rs-order, and run this command again"
        )


async def _empty(control: "QueueControl", mode: "QueueMode") -> None:
    """Wait until running instances have emptied the queues that were left, or empty them.

    Raises:
        CommandFailed: the running instances handle nothing.
    """
    from rs_order.broker.input_queues import QueueMode

    if await _emptied_by_instances(control, mode):
        typer.echo("The other queues are empty")
    elif mode is QueueMode.COMPATIBLE:
        transferred = await control.transfer(mode)
        typer.echo(f"{transferred} messages moved; the other queues are empty")
    else:
        left = _messages(await control.states(), mode)
        typer.echo(f"{left} messages wait in the other queues; the service handles them, too")


async def _emptied_by_instances(control: "QueueControl", mode: "QueueMode") -> bool:
    """Return True once the queues that were left are empty, or False if no instance consumes them."""
    left, silent_since = -1, time.monotonic()
    while time.monotonic() - silent_since < SILENCE_SECONDS:
        states = await control.states()
        before, left = left, _messages(states, mode)
        if left == 0:
            return True
        if not any(one.depth and one.depth.consumers for one in states if one.mode is not mode):
            return False
        if left != before:
            silent_since = time.monotonic()
        await asyncio.sleep(POLL_SECONDS)
    raise CommandFailed(
        f"{left} messages wait in the other queues, and the running instances handle none of them: see the "
        "log of the service, and run this command again"
    )


def _messages(states: "Sequence[QueueState]", mode: "QueueMode") -> int:
    """Return the number of messages that wait in the queues of the other mode."""
    return sum(one.depth.messages for one in states if one.depth and one.mode is not mode)


@asynccontextmanager
async def _opened() -> "AsyncIterator[tuple[QueueControl, Settings]]":
    from rs_order.app.broker import vhost_name
    from rs_order.app.shared_parts import broker_topology
    from rs_order.broker.queue_control import queue_control
    from rs_order.broker.topology import Vhost
    from rs_order.cli.terminal import configure_command_logs
    from rs_order.settings import load_settings

    settings = load_settings()
    configure_command_logs(settings)
    async with queue_control(
        settings.amqp_url.get_secret_value(),
        vhost_name(settings, Vhost.MULTITENANT),
        broker_topology(settings).inputs,
    ) as control:
        yield control, settings
