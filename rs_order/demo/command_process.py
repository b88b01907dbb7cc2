"""Run commands of rs-order beside the demo, as a user runs them."""

import asyncio
import ctypes
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self, TypeVar

from rs_order.demo.errors import DemoError

START_SECONDS = 60.0
STOP_SECONDS = 32.0
"""rs-order guarantees to end within 30 s."""
KEPT_LINES = 500
SHOWN_LINES = 15
LONGEST_LINE = 1024 * 1024

_PR_SET_PDEATHSIG = 1
"""An option of Linux' prctl: the signal that a process gets when its parent ends."""

T = TypeVar("T")


class CommandProcess:
    """A running command, and the last lines that it wrote."""

    def __init__(self, name: str, process: Process, ready_mark: str) -> None:
        self._name = name
        self._process = process
        self._ready_mark = ready_mark
        self._ready = asyncio.Event()
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._reading = asyncio.create_task(self._read())

    @classmethod
    @asynccontextmanager
    async def running(
        cls, name: str, *arguments: str, settings: Mapping[str, str], ready_mark: str
    ) -> AsyncIterator[Self]:
        """Start ``rs-order NAME`` and wait until it is ready; end it when the block is left.

        Args:
            name: of the command.
            arguments: of the command, without secrets: every user of the machine can list them.
            settings: its variables ``RS_ORDER_…``; it inherits no other.
            ready_mark: the beginning of the line that it prints when it is ready.

        Raises:
            DemoError: it ended instead, or was not ready in time.
        """
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "rs_order", name, *arguments),
            env=_environment(settings),
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            limit=LONGEST_LINE,
            start_new_session=True,  # Ctrl-C in a terminal reaches the demo alone
            preexec_fn=_end_with_parent,
        )
        command = cls(name, process, ready_mark)
        try:
            await command._until_ready()
            yield command
        finally:
            await command._end()

    async def alive_during(self, work: Coroutine[Any, Any, T]) -> T:
        """Return the result of work that needs the command.

        Raises:
            DemoError: the command has ended, and the work was cancelled.
        """
        doing = asyncio.create_task(work)
        try:
            await asyncio.wait({doing, self._reading}, return_when=asyncio.FIRST_COMPLETED)
            if doing.done():
                return doing.result()
            raise DemoError(await self._end_description())
        finally:
            doing.cancel()
            await asyncio.wait({doing})

    @property
    def warnings(self) -> list[str]:
        """The last lines of its log that are warnings or errors."""
        marks = ('"level":"warning"', '"level":"error"', '"level":"critical"')
        return [line for line in self._lines if any(mark in line for mark in marks)][-SHOWN_LINES:]

    async def _read(self) -> None:
        """Read its output until it ends: a full pipe would block it."""
        if self._process.stdout is None:
            raise AssertionError("the command's output is a pipe")
        async for line in self._process.stdout:
            text = line.decode(errors="replace").rstrip()
            self._lines.append(text)
            if text.startswith(self._ready_mark):
                self._ready.set()

    async def _until_ready(self) -> None:
        ready = asyncio.create_task(self._ready.wait())
        try:
            await asyncio.wait(
                {ready, self._reading},
                timeout=START_SECONDS,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            ready.cancel()
        if self._ready.is_set():
            return
        if self._reading.done():
            raise DemoError(await self._end_description())
        raise DemoError(self._described(f"was not ready within {START_SECONDS:.0f} s"))

    async def _end_description(self) -> str:
        return self._described(f"ended with code {await self._process.wait()}")

    def _described(self, what: str) -> str:
        last = "\n".join([*self._lines][-SHOWN_LINES:])
        return f"rs-order {self._name} {what}; its last lines:\n{last}"

    async def _end(self) -> None:
        """End it in good order; kill it if that takes too long."""
        if self._process.returncode is None:
            self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), STOP_SECONDS)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await self._reading


def _environment(settings: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RS_ORDER_")}
    return kept | {f"RS_ORDER_{name}": value for name, value in settings.items()}


def _end_with_parent() -> None:
    """Make the child end when the demo is killed. Runs in the child before it executes the command."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
