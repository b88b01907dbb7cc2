"""Draws ranges and true times of a simulation: ``python -m tests.benchmarks.estimates_picture``."""

from pathlib import Path

from matplotlib.figure import Figure

from rs_order.domain.estimates import Outcome, Sample
from tests.benchmarks import plots  # noqa: F401 - sets the style of the pictures
from tests.benchmarks.estimates import LEARNING, MANNERS, observe

PICTURE = Path(__file__).parents[2] / "docs/pictures/expected-times.svg"
_SHOWN = 90
"""Sub-orders side by side."""


def draw(samples: list[Sample], path: Path) -> None:
    """Draw a bar for each range, and a dot for the true time."""
    canvas = Figure(figsize=(8, 3.6), layout="constrained")
    axes = canvas.add_subplot()
    for outcome, color, label in (
        (Outcome.INSIDE, "#1f5fa8", "inside its range"),
        (Outcome.EARLY, "#c77d00", "earlier"),
        (Outcome.LATE, "#b3261e", "later"),
    ):
        chosen = [(n, one) for n, one in enumerate(samples) if one.outcome is outcome]
        for number, one in chosen:
            if one.expected:
                ends = (one.expected.earliest / 3600, one.expected.latest / 3600)
                axes.vlines(number, *ends, color="#9db8d6", linewidth=3)
        hours = [one.took / 3600 for _, one in chosen]
        axes.scatter([n for n, _ in chosen], hours, color=color, s=12, zorder=3, label=label)
    axes.set_yscale("log")
    axes.set_xlabel("sub-orders, one after another")
    axes.set_ylabel("hours after the request")
    axes.set_title("Bars: range given at the request. Dots: true time.")
    axes.legend()
    canvas.savefig(path, format="svg", metadata={"Date": None})


if __name__ == "__main__":
    shared = next(manner for manner in MANNERS if manner.name == "shared drives")
    settled = observe(shared, LEARNING + 500, seed=1).settled[LEARNING:]
    given = [sample for sample, _ in settled if sample.expected]
    draw(given[-_SHOWN:], PICTURE)
