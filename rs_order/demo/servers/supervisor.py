"""Supervise one server for a parent process, and clean up when the parent ends.

This is a script that needs the standard library only. The parent holds the other end of its standard
input. When the parent ends, even by SIGKILL, the supervisor reads the end of file, ends the server and
removes its folder.

The parent writes one command per line and waits for the reply:

    start  ->  started PID   the server was launched (it may not serve yet)
    stop   ->  stopped       the server has ended in good order, its folder is kept

When the server ends by itself, the supervisor writes ``ended STATUS``.
"""

import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

_PR_SET_PDEATHSIG = 1
"""An option of Linux' prctl: the signal that a process gets when its parent ends."""


@dataclass(frozen=True)
class ServerSpec:
    """How to run a server. The parent passes it as one JSON argument."""

    folder: str
    """Holds everything that the server writes. Removed at the end."""
    command: list[str]
    helpers: list[list[str]]
    """Started before the server, ended after it."""
    environment: dict[str, str]
    account: str | None
    """The user to run as; None for that of the supervisor."""
    stop_signal: int
    """Ends the server in good order; its data is kept."""
    discard_signal: int
    """Ends the server at once; its data is removed."""
    stop_limit_seconds: float
    """The server is killed if it needs longer to end."""

    @property
    def log(self) -> Path:
        return Path(self.folder, "server.log")


class Supervisor:
    def __init__(self, spec: ServerSpec) -> None:
        self._spec = spec
        self._server: subprocess.Popen[bytes] | None = None
        self._helpers: list[subprocess.Popen[bytes]] = []

    def run(self) -> None:
        """Carry out the commands of the parent until it closes the standard input."""
        child_ended = _readable_on_child_end()
        while True:
            ready, _, _ = select.select([sys.stdin, child_ended], [], [])
            if child_ended in ready:
                os.read(child_ended, 64)
                self._report_end()
                continue
            match os.read(sys.stdin.fileno(), 64):
                case b"start\n":
                    self._start()
                case b"stop\n":
                    self._end(self._spec.stop_signal)
                    _reply("stopped")
                case _:
                    return

    def discard(self) -> None:
        self._end(self._spec.discard_signal)
        shutil.rmtree(self._spec.folder, ignore_errors=True)

    def _start(self) -> None:
        self._helpers = [self._launch(helper) for helper in self._spec.helpers]
        self._server = self._launch(self._spec.command)
        _reply(f"started {self._server.pid}")

    def _launch(self, command: list[str]) -> subprocess.Popen[bytes]:
        account = self._spec.account
        on_end_of_supervisor = partial(_signal_at_end_of_parent, self._spec.discard_signal)
        with self._spec.log.open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - the command was found by the parent
                command,
                cwd=self._spec.folder,
                env=self._spec.environment,
                user=account,
                group=account and _group_of(account),
                extra_groups=[] if account else None,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=on_end_of_supervisor,  # noqa: PLW1509 - this process has one thread
            )

    def _report_end(self) -> None:
        if self._server is not None and self._server.poll() is not None:
            _reply(f"ended {self._server.returncode}")
            self._server = None

    def _end(self, how: int) -> None:
        if self._server is not None:
            _end_process(self._server, how, self._spec.stop_limit_seconds)
            self._server = None
        for helper in self._helpers:
            _end_process(helper, signal.SIGKILL, self._spec.stop_limit_seconds)
        self._helpers = []


def _end_process(process: subprocess.Popen[bytes], how: int, limit_seconds: float) -> None:
    process.send_signal(how)
    try:
        process.wait(limit_seconds)
    except subprocess.TimeoutExpired:
        process.kill()
    _kill_group(process.pid)
    process.wait()


def _kill_group(leader: int) -> None:
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return  # no process is left in the group


def _group_of(account: str) -> int:
    import pwd  # noqa: PLC0415 - needed only where accounts are changed

    return pwd.getpwnam(account).pw_gid


def _signal_at_end_of_parent(number: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)


def _readable_on_child_end() -> int:
    """Return a descriptor that becomes readable whenever a child process ends."""
    readable, writable = os.pipe()
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return readable


def _reply(line: str) -> None:
    try:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        return  # the parent has ended: the next read of the standard input shows it


def main() -> None:
    supervisor = Supervisor(ServerSpec(**json.loads(sys.argv[1])))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        supervisor.run()
    finally:
        supervisor.discard()


if __name__ == "__main__":
    main()
