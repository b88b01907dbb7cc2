"""Lines are JSON; an output that is closed or stalls doesn't fail the service (issue 11, section 3)."""

import json
import os
import queue
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from rs_order.logs import LogWriter

LINE = "x" * 1000 + "\n"
PIPE_BYTES = 65_536
"""Bytes that Linux keeps in a pipe that nobody reads."""
LINES = 1000
WAIT_SECONDS = 30.0


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe: the end to read from, and the end to write to."""
    reader, writer = os.pipe()
    yield reader, writer
    for end in (reader, writer):
        try:
            os.close(end)
        except OSError:
            continue  # the test closed it


def test_lines_are_written_in_order_before_the_process_ends(pipe: tuple[int, int]) -> None:
    reader, output = pipe
    writer = LogWriter(output)
    for number in range(50):
        writer.write(f"{number}\n")
    writer.close(WAIT_SECONDS)

    assert os.read(reader, PIPE_BYTES).decode().split() == [str(number) for number in range(50)]


def test_lines_that_nobody_reads_are_counted(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log's reader stalls: no caller waits, and a later line says how many are missing."""
    reader, output = pipe
    reports: queue.Queue[dict[str, Any]] = queue.Queue()

    def report(_logger: object, _method: str, event: Any) -> Any:
        reports.put(event)
        raise structlog.DropEvent

    logger = structlog.wrap_logger(structlog.PrintLogger(), processors=[report])
    monkeypatch.setattr("rs_order.logs.log", logger)
    writer = LogWriter(output, capacity=10)
    for _ in range(LINES):
        writer.write(LINE)
    received, lost, written = b"", 0, LINES
    while lost <= LINES // 2:  # a first report may have only those lost before the pipe was full
        received += os.read(reader, PIPE_BYTES)
        writer.write(LINE)
        written += 1
        while not reports.empty():
            event = reports.get()
            assert event["event"] == "log-lines-lost"
            lost += event["lines"]

    assert lost < written
    assert set(received.decode().splitlines(keepends=True)[:-1]) == {LINE}


@pytest.mark.parametrize("output", ["closed", "nobody", "none"])
def test_a_log_that_can_not_be_written_fails_nobody(pipe: tuple[int, int], output: str) -> None:
    """The descriptor is closed, the reader has ended, or the process has no standard output at all."""
    reader, descriptor = pipe
    os.close(descriptor if output == "closed" else reader)
    writer = LogWriter(None if output == "none" else descriptor)
    for _ in range(100):
        writer.write(LINE)
    writer.close(WAIT_SECONDS)

    assert writer.write(LINE) == len(LINE)


def test_a_full_disk_loses_lines_and_nothing_else() -> None:
    """``/dev/full`` refuses each write with ENOSPC."""
    output = os.open("/dev/full", os.O_WRONLY)
    try:
        writer = LogWriter(output)
        writer.write(LINE)
        writer.close(WAIT_SECONDS)
    finally:
        os.close(output)


@pytest.mark.parametrize("logger", ["structlog.get_logger()", "logging.getLogger('library')"])
def test_the_stack_trace_of_an_error_is_text(logger: str) -> None:
    """Those of libraries, too, which write log records and not events."""
    program = (
        "import logging, structlog; from rs_order.logs import configure_logs; configure_logs()\n"
        f"try: 1 / 0\nexcept ZeroDivisionError: {logger}.warning('failed', exc_info=True)"
    )
    output = subprocess.run(  # noqa: S603 - the program above
        [sys.executable, "-c", program], capture_output=True, check=True
    ).stdout
    line = json.loads(output)

    assert line["event"] == "failed"
    assert "ZeroDivisionError: division by zero" in line["exception"]
    assert "exc_info" not in line
