"""Draws growth curves as SVG."""

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure as Canvas

from tests.benchmarks.report import Curve

mpl.rcParams["svg.hashsalt"] = "rs_order"  # the same curve gives the same file
mpl.rcParams["svg.fonttype"] = "none"


def draw(curve: Curve, path: Path) -> None:
    """Write a curve with logarithmic axes to an SVG file."""
    canvas = Canvas(figsize=(6, 3.6), layout="constrained")
    axes = canvas.add_subplot()
    axes.loglog(*zip(*curve.points, strict=True), marker="o", color="#1f5fa8")
    axes.set_title(curve.title)
    axes.set_xlabel(curve.x)
    axes.set_ylabel(curve.y)
    if curve.exponent is not None:
        axes.annotate(f"exponent {curve.exponent:.2f}", (0.05, 0.9), xycoords="axes fraction")
    axes.grid(visible=True, which="both", alpha=0.3)
    canvas.savefig(path, format="svg", metadata={"Date": None})
