"""Watches from a thread whether the event loop of this process runs."""

import asyncio
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import structlog

CHECK_SECONDS: Final = 1.0
"""Pause between two checks."""
BLOCKED_SECONDS: Final = 5.0
"""The loop counts as blocked after this time. The broker gives its messages to others at the same time."""
LONGEST_BLOCK_SECONDS: Final = 60.0
"""After this time the process ends, so that its supervisor starts it again."""
SLICE_SECONDS: Final = 0.1
"""The thread waits in slices. A process that was stopped (SIGSTOP) or suspended counts one of them."""

log = structlog.get_logger(__name__)


@contextmanager
def watched_event_loop(
    end: Callable[[], None],
    *,
    check_seconds: float = CHECK_SECONDS,
    blocked_seconds: float = BLOCKED_SECONDS,
    longest_seconds: float = LONGEST_BLOCK_SECONDS,
) -> Iterator[None]:
    """Watch the running event loop until the end of the block.

    Args:
        end: called by the thread if the loop is blocked for too long; ends the process.
        check_seconds: pause between two checks.
        blocked_seconds: after this time without an answer, the stack of the loop's thread is logged.
        longest_seconds: after this time, ``end`` is called.
    """
    watchdog = _Watchdog(end, check_seconds, blocked_seconds, longest_seconds)
    thread = threading.Thread(target=watchdog.run, name="loop-watchdog", daemon=True)
    thread.start()
    try:
        yield
    finally:
        watchdog.stopped.set()


def end_process(write_log: Callable[[], None]) -> Callable[[], None]:
    """Return a function that writes the log and ends the process, whatever its event loop does.

    The broker and the database give its work to other instances, as after any sudden end.
    """

    def end() -> None:
        write_log()
        os._exit(1)

    return end


class _Watchdog:
    """Asks the loop to run a callback, again and again. A blocked loop doesn't."""

    def __init__(
        self,
        end: Callable[[], None],
        check_seconds: float,
        blocked_seconds: float,
        longest_seconds: float,
    ) -> None:
        self.stopped = threading.Event()
        self._end = end
        self._check_seconds = check_seconds
        self._blocked_seconds = blocked_seconds
        self._longest_seconds = longest_seconds
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()

    def run(self) -> None:
        while not self.stopped.wait(self._check_seconds):
            answered = threading.Event()
            try:
                self._loop.call_soon_threadsafe(answered.set)
            except RuntimeError:  # the loop is closed: the process ends
                return
            if not self._answered(answered, self._blocked_seconds):
                self._watch_blocked(answered)

    def _watch_blocked(self, answered: threading.Event) -> None:
        log.error("event-loop-blocked", seconds=self._blocked_seconds, stack=self._stack())
        if self._answered(answered, self._longest_seconds - self._blocked_seconds):
            log.info("event-loop-runs")
            return
        log.critical("event-loop-stuck", seconds=self._longest_seconds, stack=self._stack())
        self._end()

    def _answered(self, answered: threading.Event, seconds: float) -> bool:
        """True if the loop runs within this time, or needn't any more."""
        waited = 0.0
        while waited < seconds:
            began = time.monotonic()
            if answered.wait(SLICE_SECONDS) or self.stopped.is_set():
                return True
            waited += min(time.monotonic() - began, 2 * SLICE_SECONDS)
        return False

    def _stack(self) -> str:
        """Return the stack of the loop's thread: it shows what blocks the loop."""
        frame = sys._current_frames().get(self._thread)  # noqa: SLF001 - documented for this purpose
        return "".join(traceback.format_stack(frame)) if frame else ""
