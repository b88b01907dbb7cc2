"""Handles that start and stop a server: an external one, or one that a supervisor process runs."""

import asyncio
import json
import shutil
import sys
from asyncio.subprocess import PIPE, Process
from collections import deque
from dataclasses import asdict, dataclass
from typing import Protocol, Self

from rs_order.demo.servers import supervisor
from rs_order.demo.servers.errors import NotOursError, ServerStartError
from rs_order.demo.servers.supervisor import ServerSpec

_LOG_TAIL_LINES = 15


class ServerHandle(Protocol):
    async def start(self) -> None:
        """Launch the server, and return before it serves."""

    async def stop(self) -> None:
        """End the server in good order. It keeps its ports and data for the next start."""

    async def discard(self) -> None:
        """End the server for good, and remove everything that it wrote."""

    async def ended(self) -> str:
        """Wait until the server ends by itself, and return the last lines of its log."""


class ExternalServer:
    """A server that is known by its URL. Its owner runs it."""

    def __init__(self, variable: str) -> None:
        self._variable = variable

    async def start(self) -> None:
        """Do nothing: the server runs already."""

    async def stop(self) -> None:
        raise NotOursError(
            f"the server of {self._variable} is not ours to stop; unset the variable to let"
            " private servers be started"
        )

    async def discard(self) -> None:
        """Do nothing: the server stays with its owner."""

    async def ended(self) -> str:
        never: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        return await never


class SupervisedServer:
    """A program of this machine, run by a supervisor process that cleans up after this process."""

    def __init__(self, spec: ServerSpec) -> None:
        self._spec = spec
        self._supervisor: _SupervisorProcess | None = None

    async def start(self) -> None:
        if self._supervisor is None:
            self._supervisor = await _SupervisorProcess.launch(self._spec)
        await self._supervisor.command("start", "started")

    async def stop(self) -> None:
        if self._supervisor is not None:
            await self._supervisor.command("stop", "stopped")

    async def discard(self) -> None:
        if self._supervisor is not None:
            await self._supervisor.dismiss()
            self._supervisor = None
        await asyncio.to_thread(  # file system calls can't be awaited
            shutil.rmtree, self._spec.folder, ignore_errors=True
        )

    async def ended(self) -> str:
        if self._supervisor is not None:
            await self._supervisor.wait_for("ended")
        return await asyncio.to_thread(self._log_tail)

    def _log_tail(self) -> str:
        with self._spec.log.open(encoding="utf-8", errors="replace") as log:
            return "".join(deque(log, _LOG_TAIL_LINES))


@dataclass(frozen=True)
class _SupervisorProcess:
    """The parent's side of the protocol that the module ``supervisor`` describes."""

    process: Process
    commands: asyncio.StreamWriter
    replies: asyncio.StreamReader

    @classmethod
    async def launch(cls, spec: ServerSpec) -> Self:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",  # isolated: whatever the environment holds, only the standard library is loaded
            "-S",
            supervisor.__file__,
            json.dumps(asdict(spec)),
            stdin=PIPE,
            stdout=PIPE,
            start_new_session=True,  # Ctrl-C in a terminal reaches the parent alone
        )
        if process.stdin is None or process.stdout is None:
            raise ServerStartError("the supervisor process was started without its pipes")
        return cls(process, process.stdin, process.stdout)

    async def command(self, command: str, reply: str) -> None:
        self.commands.write(f"{command}\n".encode())
        await self.wait_for(reply)

    async def wait_for(self, reply: str) -> None:
        while line := await self.replies.readline():
            if line.decode().startswith(reply):
                return
        raise ServerStartError(
            f"the supervisor process {self.process.pid} died; start the server again"
        )

    async def dismiss(self) -> None:
        self.commands.close()
        await self.process.wait()
