"""The timeline of an order: where its bars stand, computed from its history. The template draws them.

Horizontal positions are percents of the plot, so that it fits any width; vertical ones are pixels.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from rs_order.console import looks
from rs_order.console.texts import Texts
from rs_order.domain.states import OrderStatus, SubOrderState
from rs_order.store.order_pages import Move

MOST_LANES: Final = 40
"""More sub-orders are drawn in groups."""
LEFT: Final = 14
WIDTH: Final = 86
_LANE: Final = 26
_BAR: Final = 20
_DENSE_LANE: Final = 17
_DENSE_BAR: Final = 14
_DENSE_FROM: Final = 12
_AXIS: Final = 26
_LEAST_WIDTH: Final = 0.4
"""A bar that is shorter could not be seen."""
_LETTER: Final = 0.75
_LETTER_ON_PHONE: Final = 2.7
"""The width of a letter of a word in a bar, in percent of the plot."""
_MARGIN: Final = 1.5
_TAIL: Final = 0.06
"""The share of the axis after the last move of a finished order."""
_TICKS: Final = 5
_STEPS: Final = tuple(
    timedelta(seconds=seconds)
    for seconds in (
        1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14_400, 21_600, 43_200,
        86_400, 172_800, 345_600, 604_800, 1_209_600, 2_592_000, 7_776_000,
    )
)  # fmt: skip
_WRITTEN: Final = {"date": "%Y-%m-%d", "time": "%H:%M", "seconds": "%H:%M:%S"}
_DAY: Final = timedelta(days=1)
_MINUTE: Final = timedelta(minutes=1)
_AHEAD: Final = tuple(SubOrderState)
_LEFT_EDGE, _RIGHT_EDGE = 5.0, 95.0


@dataclass(frozen=True, slots=True)
class Bar:
    x: float
    width: float
    tone: str
    word: str
    """Written into the bar, a short one if there is no room for the usual one; empty if neither fits."""
    on_phone: str
    """The same on a phone."""
    title: str


@dataclass(frozen=True, slots=True)
class Lane:
    """A row: the order, a sub-order, or a group of sub-orders."""

    name: str
    y: int
    height: int
    bars: Sequence[Bar]


@dataclass(frozen=True, slots=True)
class Tick:
    at: datetime
    x: float
    text: str
    form: str
    """What the browser writes: the ``date`` or the ``time``, with ``seconds`` for short axes."""
    anchor: str


@dataclass(frozen=True, slots=True)
class Timeline:
    lanes: Sequence[Lane]
    ticks: Sequence[Tick]
    axis: int
    height: int
    summary: str
    left: int = LEFT
    width: int = WIDTH


@dataclass(frozen=True, slots=True)
class Span:
    """A state from one instant to another."""

    state: str
    begin: datetime
    end: datetime


def timeline_of(
    moves: Sequence[Move], status: OrderStatus, now: datetime, texts: Texts
) -> Timeline | None:
    """Return the timeline of an order, or None if its history is empty.

    Args:
        moves: of the order and its sub-orders, in their order.
        status: its present one.
        now: the end of the axis, while the order isn't finished.
        texts: the language of the visitor.
    """
    if not moves:
        return None
    begin, last = min(move.at for move in moves), max(move.at for move in moves)
    end = max(now, last) if status.unfinished else last + max((last - begin) * _TAIL, _MINUTE / 60)
    if end <= begin:
        end = begin + _MINUTE / 60
    by_owner: dict[int | None, list[Move]] = defaultdict(list)
    for move in moves:
        by_owner[move.sub_order_id].append(move)
    whole = spans_of(by_owner.pop(None, []), end)
    parts = {id_: spans_of(own, end) for id_, own in sorted(by_owner.items()) if id_ is not None}
    drawing = _Drawing(begin, end, texts)
    lanes = drawing.lanes(whole, parts)
    axis = lanes[-1].y + lanes[-1].height + 4
    summary = texts(
        "timeline.summary",
        status=texts(f"status.{status}"),
        sub_orders=texts.count("sub-order", len(parts)),
        time=texts.duration(last - begin),
    )
    return Timeline(lanes, ticks_of(begin, end), axis, axis + _AXIS, summary)


def spans_of(moves: Sequence[Move], end: datetime) -> list[Span]:
    """Return the states that moves led to, each until the next move, the last one until ``end``."""
    if not moves:
        return []
    ends = [*(move.at for move in moves[1:]), end]
    return [Span(move.after, move.at, until) for move, until in zip(moves, ends, strict=True)]


def groups_of(ids: Sequence[int]) -> list[list[int]]:
    """Return sub-orders that stand together in a lane: each alone if there are few."""
    size = -(-len(ids) // MOST_LANES)
    return [list(ids[start : start + size]) for start in range(0, len(ids), max(1, size))]


def merged(parts: Sequence[Sequence[Span]]) -> list[Span]:
    """Return the state of most members of a group at each time; of equally many, the one furthest back."""
    times = sorted(
        {instant for spans in parts for one in spans for instant in (one.begin, one.end)}
    )
    found: list[Span] = []
    for begin, end in pairwise(times):
        states = Counter(
            one.state for spans in parts for one in spans if one.begin <= begin < one.end
        )
        if not states:
            continue
        state = min(states, key=lambda name: (-states[name], _rank(name)))
        if found and found[-1].state == state and found[-1].end == begin:
            found[-1] = Span(state, found[-1].begin, end)
        else:
            found.append(Span(state, begin, end))
    return found


def _rank(state: str) -> int:
    return _AHEAD.index(SubOrderState(state))


@dataclass(frozen=True, slots=True)
class _Drawing:
    begin: datetime
    end: datetime
    texts: Texts

    def lanes(self, whole: Sequence[Span], parts: dict[int, list[Span]]) -> list[Lane]:
        groups = groups_of(list(parts))
        dense = len(groups) > _DENSE_FROM
        step, height = (_DENSE_LANE, _DENSE_BAR) if dense else (_LANE, _BAR)
        first = Lane(self.texts("timeline.order"), 4, _BAR, self._bars(whole, "status"))
        lanes = [first]
        for number, group in enumerate(groups):
            spans = parts[group[0]] if len(group) == 1 else merged([parts[id_] for id_ in group])
            lanes.append(
                Lane(
                    _name(group),
                    4 + _LANE + 6 + number * step,
                    height,
                    self._bars(spans, "sub-order"),
                )
            )
        return lanes

    def _bars(self, spans: Iterable[Span], kind: str) -> list[Bar]:
        return [self._bar(span, kind) for span in spans]

    def _bar(self, span: Span, kind: str) -> Bar:
        look = looks.order(span.state) if kind == "status" else looks.sub_order(span.state)
        x = position(span.begin, self.begin, self.end)
        width = max(_LEAST_WIDTH, position(span.end, self.begin, self.end) - x)
        word, short = self.texts(f"{kind}.{span.state}"), self.texts(f"short.{kind}.{span.state}")
        title = self.texts(
            "timeline.bar",
            state=word,
            begin=self.texts.instant(span.begin),
            time=self.texts.duration(span.end - span.begin),
        )
        return Bar(
            round(min(x, 100 - _LEAST_WIDTH), 2),
            round(width, 2),
            look.tone,
            _fitting(width, _LETTER, word, short),
            _fitting(width, _LETTER_ON_PHONE, word, short),
            title,
        )


def _fitting(width: float, letter: float, *words: str) -> str:
    """Return the first word that fits into a bar, or none. ``letter``: the width of a letter."""
    return next((one for one in words if width >= len(one) * letter + _MARGIN), "")


def _name(group: Sequence[int]) -> str:
    return f"#{group[0]}" if len(group) == 1 else f"#{group[0]}\u2013{group[-1]}"


def position(at: datetime, begin: datetime, end: datetime) -> float:
    """Return where an instant stands on the axis, in percent."""
    return 100 * ((at - begin) / (end - begin))


def ticks_of(begin: datetime, end: datetime) -> list[Tick]:
    """Return round instants on the axis, six at most."""
    length = end - begin
    step = next((one for one in _STEPS if one * _TICKS >= length), _STEPS[-1])
    while step * (_TICKS + 1) < length:
        step *= 2
    midnight = begin.replace(hour=0, minute=0, second=0, microsecond=0)
    at = midnight + step * -(-(begin - midnight) // step)
    form = "date" if step >= _DAY else "seconds" if step < _MINUTE else "time"
    found = []
    while at <= end:
        x = round(position(at, begin, end), 2)
        anchor = "start" if x < _LEFT_EDGE else "end" if x > _RIGHT_EDGE else "middle"
        found.append(Tick(at, x, at.strftime(_WRITTEN[form]), form, anchor))
        at += step
    return found
