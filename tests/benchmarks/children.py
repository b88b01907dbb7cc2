"""Child processes of a benchmark, which report when they are ready, and can be suspended."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import psutil


@dataclass(frozen=True)
class Child:
    """A running child process."""

    reported: str
    """Its report when it was ready."""
    process: psutil.Process
    _reports: TextIO

    async def counts(self) -> dict[str, int]:
        """Return what a child counts that reports its counts on SIGUSR1."""
        self.process.send_signal(signal.SIGUSR1)
        counts: dict[str, int] = json.loads(await asyncio.to_thread(self._reports.readline))
        return counts

    def cpu_seconds(self) -> float:
        """Return the CPU time since its start."""
        times = self.process.cpu_times()
        return times.user + times.system

    def peak_mib(self) -> float:
        """Return the most memory that it had resident."""
        peak = peak_mib_of(self.process.pid)
        if peak is None:
            raise RuntimeError("the kernel reports no peak of resident memory")
        return peak

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Suspend the process in the block, so that messages wait in its queue."""
        self.process.suspend()
        try:
            yield
        finally:
            self.process.resume()


def peak_mib_of(pid: int) -> float | None:
    """Return the most memory that a process had resident, or None if it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return None


@asynccontextmanager
async def child_process(module: str, options: Mapping[str, Any]) -> AsyncIterator[Child]:
    """Run a module in a process of its own until the end of the block. Its standard output is discarded.

    It is started with the options as JSON and a file descriptor for ``report``, and ends on SIGTERM. It keeps
    compiled modules, as an installation does, so that its next start doesn't compile them.
    """
    read, write = os.pipe()
    environment = {
        name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
    }
    started = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, json.dumps(options), str(write)),
        stdout=subprocess.DEVNULL,
        pass_fds=(write,),
        env=environment,
    )
    os.close(write)
    try:
        with os.fdopen(read) as reports:
            line = await asyncio.to_thread(reports.readline)
            if not line:
                raise RuntimeError(f"{module} ended before it was ready")
            yield Child(line.strip(), psutil.Process(started.pid), reports)
    finally:
        if started.returncode is None:
            started.terminate()
        await started.wait()


def options_of_child() -> tuple[dict[str, Any], int]:
    """Return the options of this child process, and the file descriptor for its report."""
    return json.loads(sys.argv[1]), int(sys.argv[2])


def report(descriptor: int, text: str = "ready") -> None:
    """Send a line to the parent process."""
    os.write(descriptor, f"{text}\n".encode())
