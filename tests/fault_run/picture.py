"""Draws a run: a bar for each injection, and the number of orders that are done as a curve."""

from collections.abc import Callable
from html import escape
from typing import Final

from tests.fault_run.report import Report

_WIDTH: Final = 960
_LEFT: Final = 250
_RIGHT: Final = 20
_ROW: Final = 15
_CURVE: Final = 170
_TOP: Final = 34

_Scale = Callable[[float], float]


def picture(report: Report) -> str:
    """Return an SVG."""
    kinds = sorted(report.kinds, key=lambda kind: min(_begins(report, kind)))
    seconds = max(report.seconds, 1.0)
    bottom = _TOP + _CURVE + 26 + _ROW * len(kinds)

    def x(second: float) -> float:
        return round(_LEFT + second / seconds * (_WIDTH - _LEFT - _RIGHT), 1)

    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {bottom + 26}"'
            ' font-family="sans-serif" font-size="11">'
        ),
        f'<rect width="{_WIDTH}" height="{bottom + 26}" fill="#ffffff"/>',
        f'<text x="8" y="18" font-size="14">{_title(report)}</text>',
        *_axis(x, seconds, bottom),
        *_curve(report, x),
        *(part for row, kind in enumerate(kinds) for part in _bars(report, kind, row, x)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _title(report: Report) -> str:
    plan = report.plan
    return (
        f"Fault run of seed {plan.seed}: {len(plan.orders)} orders of {plan.orders[0].files} files,"
        f" {len(report.injected)} injections, {plan.instances} instances"
    )


def _begins(report: Report, kind: str) -> list[float]:
    return [one.began for one in report.injected if one.kind == kind]


def _axis(x: _Scale, seconds: float, bottom: int) -> list[str]:
    step = next(one for one in (10, 20, 30, 60, 120, 300, 600, 1200) if seconds / one <= 15)
    parts = []
    for second in range(0, int(seconds) + 1, step):
        parts += [
            f'<line x1="{x(second)}" y1="{_TOP}" x2="{x(second)}" y2="{bottom}" stroke="#dddddd"/>',
            f'<text x="{x(second)}" y="{bottom + 14}" text-anchor="middle">{second} s</text>',
        ]
    return parts


def _curve(report: Report, x: _Scale) -> list[str]:
    orders = len(report.plan.orders)

    def y(done: int) -> float:
        return round(_TOP + _CURVE - done / orders * _CURVE, 1)

    points = " ".join(f"{x(second)},{y(done)}" for second, done in report.done)
    return [
        f'<text x="{_LEFT - 8}" y="{_TOP + 10}" text-anchor="end">{orders} orders done</text>',
        f'<text x="{_LEFT - 8}" y="{_TOP + _CURVE}" text-anchor="end">0</text>',
        f'<polyline points="{points}" fill="none" stroke="#1b6e3c" stroke-width="2"/>',
    ]


def _bars(report: Report, kind: str, row: int, x: _Scale) -> list[str]:
    top = _TOP + _CURVE + 20 + row * _ROW
    bars = [
        f'<rect x="{x(one.began)}" y="{top}" width="{max(2, x(one.ended) - x(one.began)):.1f}"'
        f' height="{_ROW - 4}" fill="#b3392f"/>'
        for one in report.injected
        if one.kind == kind
    ]
    return [
        f'<text x="{_LEFT - 8}" y="{top + 10}" text-anchor="end">{escape(kind)}</text>',
        *bars,
    ]
