"""Where the bars of a timeline stand."""

from datetime import UTC, datetime, timedelta

import pytest

from rs_order.console.texts import Texts
from rs_order.console.timeline import (
    MOST_LANES,
    Span,
    groups_of,
    merged,
    position,
    spans_of,
    ticks_of,
    timeline_of,
)
from rs_order.core.reason_texts import Language
from rs_order.domain.ids import SubOrderId
from rs_order.domain.states import OrderStatus
from rs_order.store.order_pages import Move

BEGIN = datetime(2026, 3, 1, 12, tzinfo=UTC)
TEXTS = Texts(Language.ENGLISH)


def at(hours: float) -> datetime:
    return BEGIN + timedelta(hours=hours)


def move(hours: float, after: str, sub_order: int | None = None, before: str | None = None) -> Move:
    id_ = None if sub_order is None else SubOrderId(sub_order)
    return Move(at(hours), id_, before, after, "files-read", "rs-order")


def test_a_state_lasts_until_the_next_move() -> None:
    moves = [move(0, "PENDING"), move(1, "RUNNING"), move(3, "DONE")]

    assert spans_of(moves, at(4)) == [
        Span("PENDING", at(0), at(1)),
        Span("RUNNING", at(1), at(3)),
        Span("DONE", at(3), at(4)),
    ]


def test_bars_fill_the_axis_of_an_order_that_runs() -> None:
    found = timeline_of([move(0, "PENDING"), move(1, "RUNNING")], OrderStatus.RUNNING, at(4), TEXTS)

    assert found is not None
    (lane,) = found.lanes
    assert [(bar.x, bar.width, bar.word) for bar in lane.bars] == [
        (0.0, 25.0, "Being read"),
        (25.0, 75.0, "Running"),
    ]
    assert lane.bars[1].title == "Running from 2026-03-01 13:00 UTC for 3 h"


def test_the_axis_of_a_finished_order_ends_soon_after_its_last_move() -> None:
    moves = [move(0, "PENDING"), move(10, "DONE")]
    found = timeline_of(moves, OrderStatus.DONE, at(10_000), TEXTS)

    assert found is not None
    pending, done = found.lanes[0].bars
    assert pending.width == pytest.approx(94.3, abs=0.1)
    assert done.width == pytest.approx(5.7, abs=0.1)


def test_an_order_whose_moves_are_at_one_instant_is_drawn() -> None:
    moves = [move(0, "PENDING"), move(0, "DONE")]
    found = timeline_of(moves, OrderStatus.DONE, at(0), TEXTS)

    assert found is not None
    assert all(bar.width > 0 for bar in found.lanes[0].bars)
    assert all(bar.x + bar.width <= 101 for bar in found.lanes[0].bars)


def test_without_history_there_is_no_timeline() -> None:
    assert timeline_of([], OrderStatus.PENDING, at(0), TEXTS) is None


def test_each_sub_order_has_a_lane_up_to_forty() -> None:
    assert groups_of([3, 5]) == [[3], [5]]
    assert len(groups_of(range(MOST_LANES))) == MOST_LANES
    assert groups_of([]) == []


def test_more_sub_orders_are_grouped() -> None:
    groups = groups_of(range(1, 201))

    assert len(groups) == MOST_LANES
    assert groups[0] == [1, 2, 3, 4, 5]
    assert sum(groups, []) == list(range(1, 201))  # noqa: RUF017 - short lists


def test_a_group_shows_the_state_of_most_of_its_members() -> None:
    first = [Span("RUNNING", at(0), at(2)), Span("ENDED", at(2), at(4))]
    second = [Span("RUNNING", at(0), at(3)), Span("ENDED", at(3), at(4))]
    third = [Span("ENDED", at(1), at(4))]

    assert merged([first, second, third]) == [
        Span("RUNNING", at(0), at(2)),
        Span("ENDED", at(2), at(4)),
    ]


def test_of_equally_many_the_state_furthest_back_is_shown() -> None:
    assert merged([[Span("ENDED", at(0), at(1))], [Span("READY", at(0), at(1))]]) == [
        Span("READY", at(0), at(1))
    ]


def test_lanes_of_many_sub_orders_are_dense_and_have_their_words() -> None:
    moves = [move(0, "RUNNING"), *(move(0.1, "RUNNING", number) for number in range(1, 101))]
    found = timeline_of(moves, OrderStatus.RUNNING, at(2), TEXTS)

    assert found is not None
    assert len(found.lanes) == 1 + 34
    assert found.lanes[1].name == "#1\u20133"
    assert {bar.word for lane in found.lanes[1:] for bar in lane.bars} == {"At storage"}
    assert found.height < 700


@pytest.mark.parametrize(
    ("until", "word", "on_phone"),
    [
        (1, "", ""),
        (6, "Ready", ""),
        (15, "Ready to download", "Ready"),
        (60, "Ready to download", "Ready to download"),
    ],
)
def test_a_bar_has_the_longest_word_that_fits(until: float, word: str, on_phone: str) -> None:
    """The axis is 100 hours long, so an hour is a percent of it."""
    moves = [
        move(0, "RUNNING"),
        move(0, "WAITING", 1),
        move(until, "ENDED", 1, "WAITING"),
    ]
    found = timeline_of(moves, OrderStatus.RUNNING, at(100), TEXTS)

    assert found is not None
    bar = found.lanes[1].bars[0]
    assert (bar.word, bar.on_phone) == (word, on_phone)


@pytest.mark.parametrize(
    ("hours", "form", "first"),
    [(0.005, "seconds", at(0)), (5, "time", at(0)), (24 * 20, "date", at(84))],
)
def test_ticks_stand_at_round_times(hours: float, form: str, first: datetime) -> None:
    ticks = ticks_of(at(0), at(hours))

    assert 2 <= len(ticks) <= 7
    assert {tick.form for tick in ticks} == {form}
    assert ticks[0].at == first
    assert all(0 <= tick.x <= 100 for tick in ticks)


def test_years_have_few_ticks_too() -> None:
    assert 2 <= len(ticks_of(at(0), at(24 * 3650))) <= 7


def test_positions_are_percents() -> None:
    assert position(at(1), at(0), at(4)) == 25.0


def test_sub_orders_are_drawn_without_a_history_of_their_order() -> None:
    found = timeline_of([move(0, "READY", 1)], OrderStatus.RUNNING, at(2), TEXTS)

    assert found is not None
    assert [len(lane.bars) for lane in found.lanes] == [0, 1]
