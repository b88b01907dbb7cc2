"""What the person in front of the demo sees: lines everywhere, bars on a terminal."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Self

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from rs_order.demo.cases import Case, Skipped
from rs_order.demo.outcome import Outcome
from rs_order.demo.peer import Heard
from rs_order.demo.wording import counted_files, response_line, size_of


class Report:
    """Writes lines to a console; waits are shown below them while they last."""

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

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a part of the set-up, and show that it is under way."""
        began = time.monotonic()
        with self.waiting(name):
            yield
        seconds = time.monotonic() - began
        self._stages.append((name, seconds))
        self.line(f"{name}: {seconds:.1f} s")

    @contextmanager
    def waiting(self, text: str, total: float | None = None) -> Iterator[Callable[[float], None]]:
        """A bar for as long as the block lasts.

        Args:
            text: what is waited for.
            total: where the bar ends; None when nobody knows.

        Yields:
            What moves the bar on.
        """
        task = self._bars.add_task(text, total=total)
        try:
            yield lambda amount: self._bars.advance(task, amount)
        finally:
            self._bars.remove_task(task)

    def begin(self, case: Case) -> None:
        self.line(f"\n{case.name}: {case.story}", "bold")

    def skipped(self, case: Skipped) -> None:
        self.line(f"\n{case.name}: skipped, {case.because}", "dim")

    def response(self, heard: Heard) -> None:
        self.line(f"  {response_line(heard)}")

    def downloaded(self, files: int, size: int, seconds: float) -> None:
        self.line(
            f"  zip with {counted_files(files)}, {size_of(size)}, "
            f"received and read in {seconds:.2f} s"
        )

    def end(self, outcome: Outcome) -> None:
        for problem in outcome.problems:
            self.line(f"  ✗ {problem}", "red")
        if not outcome.problems:
            self.line(f"  ✓ {_held(outcome)}", "green")

    def summary(self, outcomes: Sequence[Outcome], skipped: int) -> None:
        """How long each stage took, and whether everything held."""
        self.line("")
        self._console.print(self._table(outcomes))
        failed = [outcome.case.name for outcome in outcomes if outcome.problems]
        stages = ", ".join(f"{name.lower()} {seconds:.1f} s" for name, seconds in self._stages)
        self.line(f"Set-up: {stages}")
        also = f", {skipped} skipped" if skipped else ""
        total = time.monotonic() - self._began
        if failed:
            self.line(
                f"{len(failed)} of {len(outcomes)} cases did not hold ({', '.join(failed)}){also}; "
                f"{total:.1f} s in all",
                "bold red",
            )
        else:
            self.line(f"All {len(outcomes)} cases held{also}; {total:.1f} s in all", "bold green")

    def _table(self, outcomes: Sequence[Outcome]) -> Table:
        table = Table(
            box=box.SIMPLE,
            padding=(0, 1, 0, 0),
            caption="Seconds since the request",
            caption_justify="left",
        )
        table.add_column("")
        table.add_column("Case", no_wrap=True)
        for heading in ("Answered", "Ready", "Final", "Fetched", "Files", "Size"):
            table.add_column(heading, justify="right", no_wrap=True)
        for outcome in outcomes:
            table.add_row(*_cells(outcome))
        return table


def _held(outcome: Outcome) -> str:
    if outcome.files == 0:
        return "refused as it must be"
    return f"{counted_files(outcome.files)}, exactly those of the manifest, every MD5 right"


def _cells(outcome: Outcome) -> tuple[str, ...]:
    times = (outcome.first_answer, outcome.first_ready, outcome.final, outcome.downloading or None)
    return (
        "✗" if outcome.problems else "✓",
        outcome.case.name,
        *("" if seconds is None else f"{seconds:.2f}" for seconds in times),
        str(outcome.files or ""),
        size_of(outcome.size) if outcome.size else "",
    )
