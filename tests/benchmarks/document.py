"""Writes the results of benchmarks as text, and as ``docs/benchmarks.md`` with its plots."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import TypeAdapter

from tests.benchmarks.registry import BENCHMARKS
from tests.benchmarks.report import Curve, Figure, Run, Target

DOCUMENT = Path(__file__).parents[2] / "docs/benchmarks.md"
RESULTS = DOCUMENT.parent / "benchmarks"
"""Where the result of each benchmark is, as JSON, with its plots."""

_HEAD = """\
# Benchmarks

`python -m tests.benchmarks all` writes this page; don't edit it. Each benchmark measures the service and its
floor in the same run, on the same servers, in turn: A B A B …, at least five rounds. Figures are medians,
with the lowest and the highest round as spread. Absolute figures depend on the machine and on what else runs
on it; the ratios are what counts. A target that is missed is marked as missed.

PostgreSQL and RabbitMQ are real and durable: fsync, confirms, persistent messages, files on disk. The
platform's services are stubs at the ports ([`tests/benchmarks/stubs.py`](../tests/benchmarks/stubs.py)), so
that the service is what is measured.

    python -m tests.benchmarks NAME [--quick | --size N] [--json FILE]

runs one benchmark. `--quick` takes small sizes and ends within a minute: it shows that the benchmark works,
its figures mean nothing. `--size` sets the size of a round. With `--json docs/benchmarks/NAME.json` and then
`python -m tests.benchmarks document` a single benchmark of this page is renewed.
"""


def as_text(run: Run) -> str:
    """Return a run for the terminal."""
    report = run.report
    lines = [
        f"{run.name}{' (quick)' if run.quick else ''}: {run.seconds:.0f} s, peak {run.peak_mib:.0f} MiB",
        *(f"  {key}: {value}" for key, value in run.circumstances.items()),
        *(f"  {one.name}: {_value(one)} {one.unit} ({_spread(one)})" for one in report.figures),
        *(f"  target {one.name}: {_short(one.value)}, {_limit(one)}" for one in report.targets),
        *(f"  {one.title}: {_exponent(one)} {_points(one)}" for one in report.curves),
        *(f"  {note}" for note in report.notes),
    ]
    return "\n".join(lines)


def write_documents() -> None:
    """Write the page and the plots from the stored results."""
    runs = list(_stored_runs())
    DOCUMENT.write_text(_page(runs), encoding="utf-8")
    from tests.benchmarks.plots import draw  # noqa: PLC0415 - loads a large library

    for run in runs:
        for curve in run.report.curves:
            draw(curve, RESULTS / _plot_name(run, curve))


def _stored_runs() -> Iterator[Run]:
    for name in BENCHMARKS:
        path = RESULTS / f"{name}.json"
        if path.exists():
            yield TypeAdapter(Run).validate_json(path.read_bytes())


def _page(runs: Sequence[Run]) -> str:
    return "\n".join([_HEAD, *_overview(runs), *(_section(run) for run in runs)])


def _overview(runs: Sequence[Run]) -> Iterator[str]:
    targets = [(run, target) for run in runs for target in run.report.targets]
    met = sum(target.met for _, target in targets)
    yield f"## Targets\n\n{met} of {len(targets)} targets are met.\n"
    yield "| Benchmark | Target | Measured | Limit | Met |\n| --- | --- | ---: | ---: | --- |"
    for run, target in targets:
        yield (
            f"| [{run.name}](#{run.name}) | {target.name} | {_short(target.value)} |"
            f" {'≥' if target.at_least else '≤'} {_short(target.limit)} |"
            f" {'yes' if target.met else '**missed**'} |"
        )
    yield ""


def _section(run: Run) -> str:
    report = run.report
    lines = [f"## {run.name}\n", f"{run.purpose}\n"]
    lines += ["| Figure | Median | Spread | Unit | Rounds |", "| --- | ---: | ---: | --- | ---: |"]
    lines += [
        f"| {one.name} | {_value(one)} | {_spread(one)} | {one.unit} | {len(one.samples)} |"
        for one in report.figures
    ]
    lines.append("")
    for curve in report.curves:
        lines.append(f"![{curve.title}](benchmarks/{_plot_name(run, curve)})\n")
        lines.append(f"{curve.title}: {_exponent(curve)} {_points(curve)}.\n")
    lines += [f"- {note}" for note in report.notes]
    facts = "; ".join(f"{key} {value}" for key, value in run.circumstances.items())
    lines.append(
        f"\n{run.seconds:.0f} s, peak memory of the measuring process {run.peak_mib:.0f} MiB. {facts}.\n"
    )
    return "\n".join(lines)


def _plot_name(run: Run, curve: Curve) -> str:
    words = "".join(mark if mark.isalnum() else " " for mark in curve.title.lower()).split()
    return f"{run.name}-{'-'.join(words)}.svg"


def _value(figure: Figure) -> str:
    return _short(figure.median)


def _spread(figure: Figure) -> str:
    return " to ".join(map(_short, figure.spread))


def _limit(target: Target) -> str:
    sign = "at least" if target.at_least else "at most"
    return f"{sign} {_short(target.limit)}: {'met' if target.met else 'MISSED'}"


def _exponent(curve: Curve) -> str:
    return "no exponent" if curve.exponent is None else f"exponent {curve.exponent:.2f}"


def _points(curve: Curve) -> str:
    points = ", ".join(f"{_short(x)}: {_short(y)}" for x, y in curve.points)
    return f"({curve.x}: {curve.y}; {points})"


def _short(value: float) -> str:
    """Return a number with three significant digits, or all digits before the point."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
