"""Shows the progress of a run line by line where the output isn't a terminal.

On a terminal pytest's own display does it. In a file or a pipe that display writes only dots. With several
processes it names a failed test only after all of them ended.
"""

import time

import pytest

STEP_PERCENT = 5


class Progress:
    """Counts the finished tests of all processes."""

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self._terminal = terminal
        self._begun = time.monotonic()
        self._total = 0
        self._done = 0
        self._failed = 0
        self._shown_percent = 0

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._total = len(session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        self._total = len(ids)

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Leave out the dots of passed tests; failed tests stay in the summary."""
        if report.passed:
            return ("passed" if report.when == "call" else "", "", "")
        return None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._failed += 1
            self._line(f"failed: {report.nodeid} ({report.when})")
        if report.when == "teardown":
            self._done += 1
            self._show_next_step()

    def _show_next_step(self) -> None:
        percent = 100 * self._done // max(self._total, 1)
        if percent < self._shown_percent + STEP_PERCENT and self._done != self._total:
            return
        self._shown_percent = percent
        minutes, seconds = divmod(int(time.monotonic() - self._begun), 60)
        self._line(
            f"{percent:3d} %  {self._done} of {self._total} tests,"
            f" {self._failed} failed, {minutes}:{seconds:02d}"
        )

    def _line(self, text: str) -> None:
        self._terminal.ensure_newline()
        self._terminal.write_line(text)
        self._terminal.flush()


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None and not terminal.isatty and config.get_verbosity() == 0:
        config.pluginmanager.register(Progress(terminal), "progress")
