"""Log lines: JSON on standard output, one canonical line per message and request."""

import atexit
import json
import logging
import os
import sys
import threading
from collections import deque
from typing import Final, Literal

import orjson
import structlog

LARGEST_BACKLOG: Final = 10_000
"""Lines that wait for standard output. Further ones are lost."""
CLOSE_SECONDS: Final = 2.0
"""The longest time to write the lines that wait when the process ends."""
PAUSE_SECONDS: Final = 0.01
"""The pause between two writes: to wake the thread for each line costs more than the line."""

log = structlog.get_logger(__name__)


class LogWriter:
    """A text stream that neither fails nor blocks: a thread writes the lines to a file descriptor.

    Standard output may be closed, lie on a full disk, or lead to a process that doesn't read. Lines are lost
    then, and the service goes on. The next line that can be written reports how many were lost.
    """

    def __init__(self, output: int | None, *, capacity: int = LARGEST_BACKLOG) -> None:
        """Start the thread.

        Args:
            output: the file descriptor, or None if the process has no standard output.
            capacity: the most lines that wait.
        """
        self._output = output
        self._capacity = capacity
        self._lines: deque[str] = deque()
        self._lost = 0
        self._idle = False
        """True while the thread waits for a line, so that the next one wakes it."""
        self._writing = False
        self._closing = False
        self._cut_off = False
        self._changed = threading.Condition()
        threading.Thread(target=self._run, name="log-writer", daemon=True).start()

    def write(self, line: str) -> int:
        """Let the thread write a line, which ends with a line break."""
        with self._changed:
            if len(self._lines) < self._capacity:
                self._lines.append(line)
                if self._idle:
                    self._idle = False
                    self._changed.notify_all()
            else:
                self._lost += 1
        return len(line)

    def flush(self) -> None:
        """Do nothing, because the thread keeps nothing back."""

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Wait until all lines are written, but not for longer than this."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._lines and not self._writing, seconds)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._writing = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._closing, PAUSE_SECONDS)
                self._idle = not self._lines
                self._changed.wait_for(lambda: self._lines)
                lines, lost = list(self._lines), self._lost
                self._lines.clear()
                self._writing = True
            written = self._written("".join(lines))
            with self._changed:
                self._lost += -lost if written else len(lines)
            if written and lost:
                log.warning("log-lines-lost", lines=lost)

    def _written(self, text: str) -> bool:
        """True if standard output took the whole text."""
        if self._output is None:
            return False
        rest = text.encode("utf-8", "backslashreplace")
        try:
            if self._cut_off:
                os.write(self._output, b"\n")
            self._cut_off = False
            while rest:
                written = os.write(self._output, rest)
                self._cut_off = rest[written - 1 : written] != b"\n"
                rest = rest[written:]
        except OSError:  # closed, or its disk is full: there is nowhere to report it now
            return False
        return True


def event_as_json(event: object) -> str:
    """Return an event as JSON, with escapes if it has a text that isn't Unicode."""
    try:
        return orjson.dumps(event, default=str).decode()
    except orjson.JSONEncodeError:
        return json.dumps(event, default=str)


def configure_logs(
    level: str = "info", form: Literal["json", "console"] = "json", output: LogWriter | None = None
) -> LogWriter:
    """Set up structlog for this process. The log records of libraries get the same format.

    Returns:
        The writer of the lines, which by default writes to standard output.
    """
    writer = output or LogWriter(sys.stdout.fileno() if sys.stdout else None)
    atexit.register(writer.close)
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(lambda event, **_: event_as_json(event))
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stdout is not None and sys.stdout.isatty())
    )
    rendering = [structlog.processors.format_exc_info, renderer] if form == "json" else [renderer]
    structlog.configure(
        processors=[*shared, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.WriteLoggerFactory(
            file=writer  # type: ignore[arg-type] # it only writes and flushes
        ),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(writer)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
            foreign_pre_chain=shared,
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    return writer
