"""Who keeps a server running: somebody else, or a guard process of ours."""

import asyncio
import json
import shutil
import sys
from asyncio.subprocess import PIPE, Process
from collections import deque
from dataclasses import asdict, dataclass
from typing import Protocol, Self

from rs_order.demo.servers import guard
from rs_order.demo.servers.errors import NotOursError, ServerStartError
from rs_order.demo.servers.guard import Assignment

_LOG_TAIL_LINES = 15


class Keeper(Protocol):
    async def start(self) -> None:
        """Launch the server. Returns before it answers."""

    async def stop(self) -> None:
        """End the server in good order. Ports and data are kept for the next start."""

    async def discard(self) -> None:
        """End the server for good and remove everything it wrote."""

    async def ended(self) -> str:
        """Wait until the server ends by itself; return the last lines of its log."""


class Lent:
    """A server somebody else runs, known by its URL."""

    def __init__(self, variable: str) -> None:
        self._variable = variable

    async def start(self) -> None:
        """Nothing to do: its owner started it."""

    async def stop(self) -> None:
        raise NotOursError(
            f"the server of {self._variable} is not ours to stop; unset the variable to let"
            " private servers be started"
        )

    async def discard(self) -> None:
        """Nothing to do: its owner keeps it."""

    async def ended(self) -> str:
        never: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        return await never


class Guarded:
    """A program of this machine, run by a guard process that outlives us by a moment."""

    def __init__(self, assignment: Assignment) -> None:
        self._assignment = assignment
        self._guard: _GuardProcess | None = None

    async def start(self) -> None:
        if self._guard is None:
            self._guard = await _GuardProcess.launch(self._assignment)
        await self._guard.ask("start", "started")

    async def stop(self) -> None:
        if self._guard is not None:
            await self._guard.ask("stop", "stopped")

    async def discard(self) -> None:
        if self._guard is not None:
            await self._guard.dismiss()
            self._guard = None
        await asyncio.to_thread(  # file system calls can't be awaited
            shutil.rmtree, self._assignment.folder, ignore_errors=True
        )

    async def ended(self) -> str:
        if self._guard is not None:
            await self._guard.hear("ended")
        return await asyncio.to_thread(self._log_tail)

    def _log_tail(self) -> str:
        with self._assignment.log.open(encoding="utf-8", errors="replace") as log:
            return "".join(deque(log, _LOG_TAIL_LINES))


@dataclass(frozen=True)
class _GuardProcess:
    """Our end of the conversation described in ``guard``."""

    process: Process
    words: asyncio.StreamWriter
    answers: asyncio.StreamReader

    @classmethod
    async def launch(cls, assignment: Assignment) -> Self:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",  # isolated: whatever the environment holds, only the standard library is loaded
            "-S",
            guard.__file__,
            json.dumps(asdict(assignment)),
            stdin=PIPE,
            stdout=PIPE,
            start_new_session=True,  # Ctrl-C in a terminal is for us; the guard follows our end
        )
        if process.stdin is None or process.stdout is None:
            raise ServerStartError("the guard process was started without its pipes")
        return cls(process, process.stdin, process.stdout)

    async def ask(self, word: str, answer: str) -> None:
        self.words.write(f"{word}\n".encode())
        await self.hear(answer)

    async def hear(self, answer: str) -> None:
        while line := await self.answers.readline():
            if line.decode().startswith(answer):
                return
        raise ServerStartError(f"the guard process {self.process.pid} died; start the server again")

    async def dismiss(self) -> None:
        self.words.close()
        await self.process.wait()
