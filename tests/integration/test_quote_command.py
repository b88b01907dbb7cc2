"""``rs-order quote``, run within the process of the tests; their application makes the quotes."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest
from typer.testing import CliRunner, Result

from rs_order.cli import app as commands
from rs_order.core.shared_steps import MakeQuoteStep
from rs_order.ports import RemoteRejection
from tests.integration.app_harness import TENANT, AppHarness, one_file
from tests.support.polling import eventually
from tests.support.rows import OWNER

Command = Callable[..., Awaitable[Result]]
ASKED = ("--tenant", TENANT, "--user", OWNER)


@pytest.fixture
def quote(app: AppHarness, commands_here: None) -> Command:
    """Return a function that runs the command, and the step that it writes."""

    async def run(*arguments: str, made: bool = True) -> Result:
        arguments = ("quote", *ASKED, *arguments)
        running = asyncio.create_task(asyncio.to_thread(CliRunner().invoke, commands, arguments))
        if made:
            await eventually(lambda: app.steps(MakeQuoteStep), "the command wrote its step")
            app.clock.set((await app.rows("select max(created_at) as at from quote"))[0]["at"])
            await app.run(MakeQuoteStep)
        return await running

    return run


async def test_a_quote_is_shown(app: AppHarness, quote: Command) -> None:
    """As a table, or as the document."""
    app.catalog.products = [one_file("a"), one_file("b", external=True)]
    table = (await quote("--query", "*")).stdout.splitlines()
    shown = json.loads((await quote("--query", "*", "--data-type", "RAWDATA", "--json")).stdout)

    assert table[0].startswith("q-1, can be ordered until ")
    assert table[1:] == [
        "files             2, 20 bytes, of 2 products",
        "  on tape         1, 10 bytes",
        "  external        1, 10 bytes",
        "known from        catalog flags of all files, not checked with storage",
        "sub-orders        2, 2 at a time",
        "expected          unknown (no-history)",
    ]
    assert (shown["id"], shown["state"], shown["files"]) == ("q-2", "ready", 2)


async def test_an_empty_basket(quote: Command) -> None:
    """What keeps the order from going on is shown."""
    shown = await quote("--basket")

    assert "ordering fails    No file that you may order was found." in shown.stdout


async def test_quotes_that_fail(app: AppHarness, quote: Command) -> None:
    """One line that says what happened, and an exit code."""
    app.catalog.error = RemoteRejection("rs-catalog", 400, "no such attribute")
    rejected = await quote("--query", "x:1")
    late = await quote("--query", "*", "--wait", "0", made=False)
    pattern = await quote("--query", "*", "--filename-pattern", "(", made=False)
    nothing = await quote(made=False)
    both = await quote("--query", "*", "--basket", made=False)

    assert rejected.exit_code == 1
    assert "failed: The catalog rejected the search." in rejected.stdout
    assert late.exit_code == 1
    assert "isn't ready after 0 s" in late.stderr
    assert pattern.exit_code == 1
    assert "filters.filenameRegExp" in pattern.stderr
    assert (nothing.exit_code, both.exit_code) == (2, 2)
