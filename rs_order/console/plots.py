"""Plots of figures per hour: where their bars stand, computed here. The template draws them.

Horizontal positions are percents of the plot, so that it fits any width; vertical ones are pixels.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from rs_order.console.texts import Texts
from rs_order.console.timeline import Tick, position, ticks_of
from rs_order.domain.throughput import hour_of

HOURS: Final = 48
HEIGHT: Final = 96
"""Of the highest bar."""
_TOP: Final = 16
_GAP: Final = 0.25
"""The share of an hour between two bars."""
_LEAST: Final = 2.0
"""A bar that is lower could not be seen."""


@dataclass(frozen=True, slots=True)
class HourBar:
    x: float
    y: float
    height: float
    title: str


@dataclass(frozen=True, slots=True)
class Plot:
    """A figure of the last two days, hour by hour."""

    title: str
    total: str
    most: str
    """The value of the line at the top."""
    summary: str
    bars: Sequence[HourBar]
    ticks: Sequence[Tick]
    width: float
    """Of a bar."""
    top: int = _TOP
    axis: int = _TOP + HEIGHT
    height: int = _TOP + HEIGHT + 24


def first_hour(now: datetime) -> datetime:
    """Return the first hour of the plots."""
    return hour_of(now) - timedelta(hours=HOURS - 1)


def plot_of(
    name: str,
    values: Mapping[datetime, int],
    now: datetime,
    texts: Texts,
    written: Callable[[int], str],
) -> Plot:
    """Return the plot of a figure.

    Args:
        name: of its texts.
        values: by hour; an hour without one has 0.
        now: the time; the last bar is the present hour.
        texts: the language of the visitor.
        written: how a value is written.
    """
    begin = first_hour(now)
    end = begin + timedelta(hours=HOURS)
    shown = {at: value for at, value in sorted(values.items()) if value > 0 and begin <= at < end}
    most, total = max(shown.values(), default=0), sum(shown.values())
    hour = 100 / HOURS
    bars = [
        _bar(
            x=position(at, begin, end) + hour * _GAP / 2,
            share=value / most,
            title=texts("plot.bar", at=texts.instant(at), value=written(value)),
        )
        for at, value in shown.items()
    ]
    return Plot(
        title=texts(f"plot.{name}"),
        total=written(total),
        most=written(most),
        summary=texts(
            "plot.summary", name=texts(f"plot.{name}"), total=written(total), most=written(most)
        ),
        bars=bars,
        ticks=ticks_of(begin, end),
        width=round(hour * (1 - _GAP), 2),
    )


def _bar(*, x: float, share: float, title: str) -> HourBar:
    height = max(_LEAST, HEIGHT * share)
    return HourBar(round(x, 2), round(_TOP + HEIGHT - height, 1), round(height, 1), title)
