"""Runs rs_order as a process, which a test can kill at a chosen point."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from rs_order.settings import PREFIX, Settings
from tests.acceptance.platform import Platform
from tests.support.polling import LOCK_WAITS, WAIT_SECONDS, eventually

START_SECONDS = 60
_READY = re.compile(rb"rs-order is ready on (\S+)")


def environment_of(settings: Settings, **overrides: Any) -> dict[str, str]:
    """Return the settings that a test gave as environment variables."""
    values = {name: getattr(settings, name) for name in settings.model_fields_set} | overrides
    return {f"{PREFIX}{name.upper()}": _text(value) for name, value in values.items()}


def _text(value: Any) -> str:
    if hasattr(value, "get_secret_value"):
        return str(value.get_secret_value())
    return ",".join(value) if isinstance(value, list) else str(value)


class Instance:
    """A process of rs_order."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.url = ""
        """The address of its REST interface, once it is ready."""
        self.lines: list[str] = []
        """Lines that it printed."""

    @property
    def pid(self) -> int:
        return self._process.pid

    async def kill(self) -> None:
        """End it by SIGKILL: it can't finish or log anything."""
        self._process.kill()
        await self._process.wait()

    async def stop(self) -> None:
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(self._process.wait(), WAIT_SECONDS)

    async def until_ready(self) -> None:
        while line := await self._line():
            if ready := _READY.match(line):
                self.url = ready[1].decode()
                return
        raise AssertionError("rs-order ended before it was ready:\n" + "\n".join(self.lines))

    async def read_to_end(self) -> None:
        while await self._line():
            pass

    async def _line(self) -> bytes:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        self.lines.append(line.decode(errors="replace").rstrip())
        return line


@asynccontextmanager
async def instance(platform: Platform, **overrides: Any) -> AsyncIterator[Instance]:
    """Run ``python -m rs_order serve``; stop it at the end of the block if it still runs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "rs_order",
        "serve",
        env=os.environ | environment_of(platform.settings, **overrides),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=2**20,
    )
    started = Instance(process)
    try:
        await asyncio.wait_for(started.until_ready(), START_SECONDS)
        reading = asyncio.create_task(started.read_to_end())
        yield started
        await started.stop()
        await reading
    finally:
        if process.returncode is None:
            await started.kill()


async def until(database_url: str, condition: str) -> None:
    """Wait until an SQL condition is true in the first tenant's schema.

    This polls, because another process's transaction gives no signal.
    """
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("set search_path to order_project1")
        await eventually(lambda: connection.fetchval(f"select {condition}"), condition)
    finally:
        await connection.close()


@asynccontextmanager
async def locked(database_url: str, statement: str) -> AsyncIterator[asyncpg.Connection]:
    """Hold the locks of a statement, run in the first tenant's schema, until the end of the block."""
    connection = await asyncpg.connect(database_url)
    try:
        async with connection.transaction():
            await connection.execute("set local search_path to order_project1")
            await connection.execute(statement)
            yield connection
    finally:
        await connection.close()


PAGE_LOCK = 4711
"""The advisory lock that ``stop_before_page`` waits for."""
LOCK_IS_WAITED_FOR = f"exists ({LOCK_WAITS})"
ALL_MESSAGES_SENT = "not exists (select from rs_order.outbox where due_at is null)"


async def stop_before_page(database_url: str, page: int) -> None:
    """Let a completion wait for ``PAGE_LOCK`` before its cursor moves to this page."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("set search_path to order_project1")
        await connection.execute(
            "create function wait_for_lock() returns trigger language plpgsql as"
            f" $$ begin perform pg_advisory_xact_lock({PAGE_LOCK}); return new; end $$"
        )
        await connection.execute(
            "create trigger wait_for_lock before update on completion for each row"
            f" when (new.page = {page} and old.page < {page}) execute function wait_for_lock()"
        )
    finally:
        await connection.close()
