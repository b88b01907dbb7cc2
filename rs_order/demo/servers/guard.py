"""Runs one server for a parent process and cleans up when that parent is gone.

Started as a script of its own, with the standard library only. The parent holds the other end of
our standard input: however it dies, even by SIGKILL, we read the end of file, end the server and
remove its folder.

The parent writes one word per line and waits for the answer:

    start  ->  started PID   the server was launched (it may not answer yet)
    stop   ->  stopped       the server has ended in good order, its folder is kept

``ended STATUS`` comes unasked when the server ends by itself.
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
"""Of Linux' <sys/prctl.h>: the signal a process gets when its parent dies."""


@dataclass(frozen=True)
class Assignment:
    """What to run; crosses to this process as one JSON argument."""

    folder: str
    """Everything the server writes. Removed at the end."""
    command: list[str]
    helpers: list[list[str]]
    """Started before the server, ended after it."""
    environment: dict[str, str]
    account: str | None
    """Run as this user; None for the one we are."""
    stop_signal: int
    """Asks for an end in good order, data kept."""
    discard_signal: int
    """Ends at once; the data is thrown away."""
    stop_limit_seconds: float
    """A server that hasn't ended by then is killed."""

    @property
    def log(self) -> Path:
        return Path(self.folder, "server.log")


class Guard:
    def __init__(self, assignment: Assignment) -> None:
        self._assignment = assignment
        self._server: subprocess.Popen[bytes] | None = None
        self._helpers: list[subprocess.Popen[bytes]] = []

    def obey(self) -> None:
        """Follow the parent's words until it closes our standard input."""
        child_ended = _readable_on_child_end()
        while True:
            ready, _, _ = select.select([sys.stdin, child_ended], [], [])
            if child_ended in ready:
                os.read(child_ended, 64)
                self._tell_end()
                continue
            match os.read(sys.stdin.fileno(), 64):
                case b"start\n":
                    self._start()
                case b"stop\n":
                    self._end(self._assignment.stop_signal)
                    _say("stopped")
                case _:
                    return

    def discard(self) -> None:
        self._end(self._assignment.discard_signal)
        shutil.rmtree(self._assignment.folder, ignore_errors=True)

    def _start(self) -> None:
        self._helpers = [self._launch(helper) for helper in self._assignment.helpers]
        self._server = self._launch(self._assignment.command)
        _say(f"started {self._server.pid}")

    def _launch(self, command: list[str]) -> subprocess.Popen[bytes]:
        account = self._assignment.account
        on_our_death = partial(_signal_at_parents_death, self._assignment.discard_signal)
        with self._assignment.log.open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - the command was found by the parent
                command,
                cwd=self._assignment.folder,
                env=self._assignment.environment,
                user=account,
                group=account and _group_of(account),
                extra_groups=[] if account else None,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=on_our_death,  # noqa: PLW1509 - this process has one thread
            )

    def _tell_end(self) -> None:
        if self._server is not None and self._server.poll() is not None:
            _say(f"ended {self._server.returncode}")
            self._server = None

    def _end(self, how: int) -> None:
        if self._server is not None:
            _end_process(self._server, how, self._assignment.stop_limit_seconds)
            self._server = None
        for helper in self._helpers:
            _end_process(helper, signal.SIGKILL, self._assignment.stop_limit_seconds)
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
        return  # nobody is left in the group: what we want


def _group_of(account: str) -> int:
    import pwd  # noqa: PLC0415 - asked for only where accounts are changed

    return pwd.getpwnam(account).pw_gid


def _signal_at_parents_death(number: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)


def _readable_on_child_end() -> int:
    """Return a descriptor that becomes readable whenever a child process ends."""
    readable, writable = os.pipe()
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return readable


def _say(line: str) -> None:
    try:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        return  # the parent died; the end of our standard input tells us so next


def main() -> None:
    guard = Guard(Assignment(**json.loads(sys.argv[1])))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        guard.obey()
    finally:
        guard.discard()


if __name__ == "__main__":
    main()
