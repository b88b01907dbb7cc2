"""Runs ``rs-order``: within this process, or as a user does, as a process of its own.

A process takes seconds to import what a command needs. Most tests of commands save them; a few of each kind
show that the process does the same.
"""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from unittest.mock import patch

from typer.testing import CliRunner

from rs_order.cli import app
from rs_order.domain.identity import SERVICE
from tests.support.processes import interruptible_children
from tests.support.secrets import COMMAND_KEY, shown_secrets
from tests.support.servers import FreshBroker

READY_SECONDS = 60
NOWHERE = "127.0.0.1:1"
"""Nobody listens there."""


@dataclass(frozen=True)
class Ended:
    code: int | None
    out: str
    err: str

    def assert_one_line(self, *words: str) -> None:
        """The command failed and said so in one line with these words."""
        assert self.err.count("\n") == 1, self.err
        assert "Traceback" not in self.err
        for word in words:
            assert word in self.err


async def rs_order(*arguments: str, **settings: str) -> Ended:
    """Run a command to its end within this process, without changing where this process logs.

    One at a time: while it runs, the environment and the output of this process are those of the command.
    """
    others = dict.fromkeys(name for name in os.environ if name.startswith("RS_ORDER_"))
    with patch("rs_order.cli.terminal.configure_command_logs"):
        result = await asyncio.to_thread(
            CliRunner().invoke,
            app,
            arguments,
            env=others | _environment(settings),
            prog_name=SERVICE,
            catch_exceptions=False,
        )
    return _without_secrets(Ended(result.exit_code, result.stdout, result.stderr))


async def rs_order_process(*arguments: str, **settings: str) -> Ended:
    """Run a command to its end in a process of its own."""
    process = await start(*arguments, **settings)
    out, err = await process.communicate()
    return _without_secrets(Ended(process.returncode, out.decode(), err.decode()))


async def start(*arguments: str, **settings: str) -> Process:
    """Start a process with the settings, and with a signing key if they have none."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RS_ORDER_")}
    with interruptible_children():
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "rs_order", *arguments),
            env=kept | _environment(settings),
            stdout=PIPE,
            stderr=PIPE,
        )


def _environment(settings: dict[str, str]) -> dict[str, str]:
    settings = {"jwt_key_hs512": COMMAND_KEY, **settings}
    return {f"RS_ORDER_{name.upper()}": value for name, value in settings.items()}


def _without_secrets(ended: Ended) -> Ended:
    assert shown_secrets(ended.out + ended.err) == []
    return ended


@asynccontextmanager
async def started(*arguments: str, **settings: str) -> AsyncIterator[Process]:
    """The process of a command, which is killed at the end of the block if it still runs."""
    process = await start(*arguments, **settings)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def line_with(process: Process, text: str) -> str:
    """The first line of its output that holds a text."""
    if process.stdout is None:
        raise AssertionError("the command's output is not a pipe")
    async with asyncio.timeout(READY_SECONDS):
        async for line in process.stdout:
            if text in line.decode():
                return line.decode().rstrip()
    raise AssertionError(f"the command ended without saying {text!r}")


def on_broker(broker: FreshBroker) -> dict[str, str]:
    """The settings that lead to a test's virtual hosts."""
    return {
        "amqp_url": broker.url,
        "amqp_vhost": broker.vhost,
        "amqp_instance_vhost": broker.instance_vhost,
    }
