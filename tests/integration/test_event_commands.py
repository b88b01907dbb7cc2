"""``rs-order events``, run within the process of the tests."""

import asyncio
from collections.abc import Awaitable, Callable

import orjson
import pytest
from typer.testing import CliRunner, Result

from rs_order.cli import app as commands
from rs_order.cli import event_commands
from rs_order.domain.ids import Tenant
from rs_order.store.events import EventFilter
from tests.integration.app_harness import JANE, TENANT, AppHarness

Command = Callable[..., Awaitable[Result]]


@pytest.fixture
async def events(app: AppHarness, commands_here: None) -> Command:
    """Return a function that runs the command. Two orders exist; the first one was paused."""
    first = await app.order("a")
    await app.order("b")
    await app.actions.pause(JANE, first)

    async def run(*arguments: str) -> Result:
        words = ("events", "--tenant", TENANT, *arguments)
        return await asyncio.to_thread(CliRunner().invoke, commands, words)

    return run


async def test_what_happened(events: Command) -> None:
    """All of it, the events of an order, or of a type; those without a position get one first."""
    every = (await events()).stdout.splitlines()
    of_order = (await events("--order", "2")).stdout.splitlines()
    of_type = (await events("--type", "order.p*", "--json")).stdout.splitlines()
    later = (await events("--after", "2")).stdout.splitlines()

    assert [line.split(": ")[1] for line in every] == [
        "order.created (PENDING, 0 %)",
        "order.created (PENDING, 0 %)",
        "order.paused (PAUSED, 0 %)",
    ]
    assert "order 1 of jane@example.org" in every[0]
    assert of_order == every[1:2]
    assert [orjson.loads(line)["data"]["by"] for line in of_type] == ["owner"]
    assert later == every[2:]


async def test_what_happens(app: AppHarness, events: Command) -> None:
    """With ``--follow`` the next events are printed as they come."""
    await events()
    parts = app.application.shared.events
    coming = event_commands.read_events(parts, Tenant(TENANT), EventFilter(), 3, follow=True)
    waiting = asyncio.ensure_future(anext(coming))
    await app.order("c")
    await parts.numbering.number(TENANT)
    event = await asyncio.wait_for(waiting, 60)
    await coming.aclose()

    assert (event.position, event.type, event.order_id) == (4, "order.created", 3)


async def test_what_is_wrong(app: AppHarness, events: Command) -> None:
    """One line that says what to do."""
    await events()
    await app.rows("update event_log set purged = 2")
    gone = await events("--after", "1")
    unknown = await events("--type", "order.nothing")

    assert gone.exit_code == unknown.exit_code == 1
    assert "use --after 2" in gone.stderr
    assert "no event has the type order.nothing" in unknown.stderr
