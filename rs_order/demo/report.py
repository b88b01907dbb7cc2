"""Show the progress of the demo: lines everywhere, and progress bars on a terminal."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Self

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from rs_order.demo.cases import Case, Outcome, Skipped
from rs_order.demo.order_client import TimedResponse, response_line
from rs_order.demo.progress_client import OrderProgress
from rs_order.demo.resumed_download import Resumed
from rs_order.demo.webhook_receiver import HeardEvent

KIBI = 1024

INTRODUCTION = """\
The demo starts servers, a simulated platform (the sandbox) and rs_order. Then it places orders over AMQP,
downloads their zips, and compares the files with the manifest of the archive. A line with + is a response
of rs_order, with the seconds since the request. A line that begins with webhook is an event that a receiver
of the demo got by HTTP.
"""
LEGEND = """\
First, Ready, Final: seconds from the request to the first response, to the first files that are ready to
download, and to the final response. Download: seconds of all downloads of the case.
"""


class Report:
    """Writes lines to a console, and shows below them what the demo waits for."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()
        self._stages: list[tuple[str, float]] = []
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def line(self, text: str, style: str = "") -> None:
        self._console.print(Text(text, style=style), soft_wrap=True)

    def introduction(self, archive: Path) -> None:
        self.line(INTRODUCTION)
        self.line(f"Archive: {archive}")

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Show that a part of the set-up is under way, and print the time that it took."""
        began = time.monotonic()
        with self.waiting(name):
            yield
        seconds = time.monotonic() - began
        self._stages.append((name, seconds))
        self.line(f"{name} ready after {seconds:.1f} s")

    @contextmanager
    def waiting(self, text: str, total: float | None = None) -> Iterator[Callable[[float], None]]:
        """Show a progress bar until the block is left.

        Args:
            text: describes what the demo waits for.
            total: the value at the end of the bar; None if it is unknown.

        Yields:
            A function that advances the bar by an amount.
        """
        task = self._bars.add_task(text, total=total)
        try:
            yield lambda amount: self._bars.advance(task, amount)
        finally:
            self._bars.remove_task(task)

    def begin(self, case: Case) -> None:
        self.line(f"\n{case.name}: {case.story}", "bold")

    def skipped(self, case: Skipped) -> None:
        self.line(f"\n{case.name}: skipped, because {case.because}", "dim")

    def response(self, timed: TimedResponse) -> None:
        self.line(f"  {response_line(timed)}")

    def progress(self, user: str, progress: OrderProgress) -> None:
        """Print why an order isn't further, and when its last file is expected."""
        self.line(f"  {user} waits: {progress.code}  “{progress.text}”  {_expectation(progress)}")

    def came_true(self, user: str, progress: OrderProgress, ended_at: datetime) -> None:
        """Print when an order ended, beside the times that were shown."""
        self.line(f"  {user}: {_expectation(progress)}, ended at {ended_at:%H:%M:%S}")

    def downloaded(self, files: int, size: int, seconds: float) -> None:
        self.line(
            f"  downloaded and read a zip with {_counted_files(files)}, {_size_of(size)}, "
            f"in {seconds:.2f} s"
        )

    def resumed(self, download: Resumed) -> None:
        """Print where a download was cut, and the checksums with and without the cut."""
        self.line(
            f"  cut after {_size_of(download.cut_at)} of {_size_of(download.length)}, and resumed with curl"
        )
        self.line(f"  SHA-256 of the resumed archive  {download.sha256}")
        self.line(f"  SHA-256 of an uncut download    {download.sha256_uncut}")

    def receives(self, address: str) -> None:
        """Print where the events of the following order go."""
        self.line(f"  rs_order has asked {address}, which agreed to get events")

    def heard(self, event: HeardEvent) -> None:
        """Print an event that came to a webhook, below the responses."""
        signature = "signature verified" if event.is_verified else "SIGNATURE WRONG"
        self.line(
            f"  webhook    {event.name:<16}  order {event.order_id}  {event.status:<8}"
            f"{event.percent:>3} %  {signature}"
        )

    def end(self, outcome: Outcome) -> None:
        for problem in outcome.problems:
            self.line(f"  ✗ {problem}", "red")
        if not outcome.problems:
            self.line(f"  ✓ {_success(outcome)}", "green")

    def warnings(self, lines: Sequence[str]) -> None:
        """Print the last warnings of the service, if there are any."""
        if lines:
            self.line("\nThe last warnings of the service:")
        for line in lines:
            self.line(f"  {line}", "dim")

    def summary(self, outcomes: Sequence[Outcome], skipped: int) -> None:
        """Print the times of the cases and of the set-up, and the names of the cases that failed."""
        self.line("")
        self._console.print(self._table(outcomes))
        self.line(LEGEND)
        failed = [outcome.case.name for outcome in outcomes if outcome.problems]
        stages = ", ".join(f"{name.lower()} {seconds:.1f} s" for name, seconds in self._stages)
        self.line(f"Set-up: {stages}")
        also = f", {skipped} skipped" if skipped else ""
        total = time.monotonic() - self._began
        if failed:
            self.line(
                f"{len(failed)} of {len(outcomes)} cases failed ({', '.join(failed)}){also}, "
                f"in {total:.1f} s",
                "bold red",
            )
        else:
            self.line(f"All {len(outcomes)} cases passed{also}, in {total:.1f} s", "bold green")

    def _table(self, outcomes: Sequence[Outcome]) -> Table:
        table = Table(box=box.SIMPLE, padding=(0, 1, 0, 0))
        table.add_column("")
        table.add_column("Case", no_wrap=True)
        for heading in ("First", "Ready", "Final", "Download", "Files", "Size"):
            table.add_column(heading, justify="right", no_wrap=True)
        for outcome in outcomes:
            table.add_row(*_cells(outcome))
        return table


def _expectation(progress: OrderProgress) -> str:
    if progress.earliest is None or progress.latest is None:
        return f"no time is expected: {progress.why}"
    return f"expected from {progress.earliest:%H:%M} to {progress.latest:%H:%M}"


def _success(outcome: Outcome) -> str:
    if outcome.files == 0:
        return "rejected, as it must be"
    return f"{_counted_files(outcome.files)}, exactly as in the manifest, with the right MD5"


def _cells(outcome: Outcome) -> tuple[str, ...]:
    times = (
        outcome.first_response,
        outcome.first_ready,
        outcome.final,
        outcome.downloading or None,
    )
    return (
        "✗" if outcome.problems else "✓",
        outcome.case.name,
        *("" if seconds is None else f"{seconds:.2f}" for seconds in times),
        str(outcome.files or ""),
        _size_of(outcome.size) if outcome.size else "",
    )


def _size_of(count: float) -> str:
    """Return a number of bytes in the unit that suits it."""
    for unit in ("B", "KiB", "MiB"):
        if count < KIBI:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= KIBI
    return f"{count:.1f} GiB"


def _counted_files(count: int) -> str:
    return f"{count} file" if count == 1 else f"{count} files"
