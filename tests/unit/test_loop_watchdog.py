"""A blocked event loop is logged with its stack, and ends the process in the end (issue 11, section 3)."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
import structlog
from structlog.testing import LogCapture

from rs_order.app.loop_watchdog import watched_event_loop

WAIT_SECONDS = 30.0
BLOCKED_SECONDS = 0.3


class Signals(LogCapture):
    """Collects events, and sets a signal for each kind."""

    def __init__(self) -> None:
        super().__init__()
        self._logged: dict[str, threading.Event] = {}

    def __call__(self, logger: Any, method: str, event: Any) -> Any:
        self.logged(event["event"]).set()
        return super().__call__(logger, method, event)

    def logged(self, event: str) -> threading.Event:
        return self._logged.setdefault(event, threading.Event())


@pytest.fixture
def signals(monkeypatch: pytest.MonkeyPatch) -> Signals:
    signals = Signals()
    logger = structlog.wrap_logger(structlog.PrintLogger(), processors=[signals])
    monkeypatch.setattr("rs_order.app.loop_watchdog.log", logger)
    return signals


async def blocked_loop(
    block: Callable[[], object],
    until: threading.Event,
    end: Callable[[], None],
    longest_seconds: float = WAIT_SECONDS,
) -> None:
    """Watch a loop that ``block`` blocks, and that then runs until an event is set."""
    with watched_event_loop(
        end,
        check_seconds=0.01,
        blocked_seconds=BLOCKED_SECONDS,
        longest_seconds=longest_seconds,
    ):
        block()
        assert await asyncio.to_thread(until.wait, WAIT_SECONDS)


def test_a_blocked_loop_is_logged_with_what_blocks_it(signals: Signals) -> None:
    """The process continues once the loop runs again."""

    def wait_for_the_report() -> None:
        assert signals.logged("event-loop-blocked").wait(WAIT_SECONDS)

    runs = signals.logged("event-loop-runs")
    asyncio.run(blocked_loop(wait_for_the_report, runs, lambda: pytest.fail("ended")))

    events = [entry["event"] for entry in signals.entries]
    assert events[:2] == ["event-loop-blocked", "event-loop-runs"]
    assert "wait_for_the_report" in signals.entries[0]["stack"]


def test_a_loop_that_stays_blocked_ends_the_process(signals: Signals) -> None:
    """Its supervisor starts it again; a process without a running loop can do nothing by itself."""
    ended = threading.Event()

    def wait_for_the_end() -> None:
        assert ended.wait(WAIT_SECONDS)

    asyncio.run(blocked_loop(wait_for_the_end, ended, ended.set, 2 * BLOCKED_SECONDS))

    assert [entry["event"] for entry in signals.entries][:2] == [
        "event-loop-blocked",
        "event-loop-stuck",
    ]
