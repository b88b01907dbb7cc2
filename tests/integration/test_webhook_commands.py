"""``rs-order webhooks``, run within the process of the tests."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from typer.testing import CliRunner, Result

from rs_order.cli import app as commands
from rs_order.store.pool import Pool
from tests.integration.app_harness import TENANT, AppHarness
from tests.integration.test_webhooks import Sender, done_order

Command = Callable[..., Awaitable[Result]]


@pytest.fixture
def sender(app: AppHarness, pool: Pool) -> Sender:
    return Sender(app, pool)


@pytest.fixture
async def webhook(app: AppHarness, sender: Sender) -> UUID:
    """A webhook that got the events of an order."""
    found = await sender.webhook()
    await done_order(app, "a")
    await sender.until_idle()
    return found


@pytest.fixture
def webhooks(commands_here: None, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Return a function that runs a command."""
    monkeypatch.setenv("RS_ORDER_EVENTS_KEY", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")

    async def run(*arguments: object) -> Result:
        words = ("webhooks", *map(str, arguments), "--tenant", TENANT)
        return await asyncio.to_thread(CliRunner().invoke, commands, words)

    return run


async def test_what_there_is(webhooks: Command, webhook: UUID) -> None:
    """As a table, as JSON, and with the last deliveries. No secret is shown."""
    table = (await webhooks("list")).stdout
    (listed,) = json.loads((await webhooks("list", "--json")).stdout)
    shown = (await webhooks("show", webhook)).stdout

    assert f"{webhook}  jane@example.org  active" in table
    assert (listed["id"], listed["state"], listed["backlog"]) == (str(webhook), "active", 0)
    assert "suborder.ready" in shown
    assert "whsec" not in shown + table


async def test_nothing_there(webhooks: Command) -> None:
    listed, shown = await webhooks("list"), await webhooks("show", uuid4())

    assert "has no webhooks" in listed.stdout
    assert shown.exit_code == 1


async def test_replaying(app: AppHarness, sender: Sender, webhooks: Command, webhook: UUID) -> None:
    """The running service sends the events."""
    before = len(sender.receivers.sent)
    told = await webhooks("replay", webhook, "--from-position", 2)
    none = await webhooks("replay", webhook, "--since", "2100-01-01")
    app.clock.set(datetime.now(UTC))  # that of the command
    await sender.until_idle()

    assert told.stdout == "4 events are sent again by the running service\n"
    assert none.stdout.startswith("0 events")
    assert sender.names()[before:] == [
        "order.listed",
        "suborder.started",
        "suborder.ready",
        "order.done",
    ]


async def test_disabling(app: AppHarness, sender: Sender, webhooks: Command, webhook: UUID) -> None:
    """Nothing is sent any more."""
    before = len(sender.receivers.sent)
    told = await webhooks("disable", webhook)
    await done_order(app, "b")
    await sender.until_idle()
    shown = await sender.shown(webhook)

    assert "until its owner enables it" in told.stdout
    assert len(sender.receivers.sent) == before
    assert (shown.state, shown.disabled_because) == ("disabled", "by-operator")


async def test_testing(webhooks: Command, webhook: UUID) -> None:
    """From this machine, whose name server doesn't know the host of the test."""
    told = await webhooks("test", webhook)

    assert told.exit_code == 0, told.output
    assert told.stdout.startswith("no response: ")
