"""Percent, outcome, and what the counters of an order decide: domain.md 9.1 to 9.3."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rs_order.domain.counters import FileCounters, FileMove
from rs_order.domain.errors import MoveNotAllowedError
from rs_order.domain.ids import OrderId, SubOrderId
from rs_order.domain.moves import ORDER_MOVES, Reason
from rs_order.domain.order import Order, StatusMove
from rs_order.domain.states import FileState, OrderStatus

Counts = dict[FileState, tuple[int, int]]
P, A, D, DE, E, PE = FileState


def some_counters(counts: Counts) -> FileCounters:
    counters = FileCounters()
    for state, (files, size) in counts.items():
        counters.add(state, files, size)
    return counters


def an_order(status: OrderStatus = OrderStatus.RUNNING, counts: Counts | None = None) -> Order:
    return Order(
        id=OrderId(1),
        owner="jane@example.org",
        role="REGISTERED_USER",
        correlation_id="c",
        status=status,
        sub_order_hours=2,
        counters=some_counters(counts or {}),
    )


@pytest.mark.parametrize(
    ("counts", "percent"),
    [
        ({P: (4, 400)}, 0),
        ({P: (3, 300), A: (1, 100)}, 25),
        ({P: (1, 1), A: (1, 2)}, 66),
        ({P: (1, 1), A: (999, 99_999)}, 99),
        ({A: (4, 400)}, 100),
        ({E: (4, 400)}, 100),
        ({P: (1, 100), E: (1, 100)}, 50),
        ({P: (1, 100), D: (1, 100), DE: (1, 100), PE: (1, 100)}, 75),
        ({}, 100),
    ],
)
def test_percent_is_the_share_of_bytes_that_are_settled(counts: Counts, percent: int) -> None:
    """Errors count as settled; fractions are cut off, never rounded up."""
    assert some_counters(counts).percent == percent


@pytest.mark.parametrize(
    ("counts", "percent"),
    [
        ({P: (4, 0)}, 0),
        ({P: (3, 0), A: (1, 0)}, 25),
        ({P: (1, 0), A: (3, 0)}, 75),
        ({A: (4, 0)}, 100),
        ({P: (1, 0), A: (3, 300)}, 99),
    ],
    ids=["none", "one of four", "three of four", "all", "a pending file of unknown size"],
)
def test_w28_files_without_bytes_are_not_forgotten(counts: Counts, percent: int) -> None:
    """By files where no size is known; never 100 while one is pending."""
    assert some_counters(counts).percent == percent


@given(
    st.dictionaries(
        st.sampled_from(FileState), st.tuples(st.integers(1, 10**6), st.integers(0, 10**15))
    )
)
def test_percent_is_100_only_when_nothing_is_pending(counts: Counts) -> None:
    """Promise 1, whatever the numbers."""
    counters = some_counters(counts)

    assert 0 <= counters.percent <= 100
    assert (counters.percent == 100) == (counters.pending == 0)


@given(st.lists(st.tuples(st.sampled_from(FileState), st.sampled_from(FileState)), max_size=30))
def test_moves_never_change_the_totals(pairs: list[tuple[FileState, FileState]]) -> None:
    """A file that moves leaves one state and takes another."""
    counters = some_counters(dict.fromkeys(FileState, (100, 1000)))
    counters.apply(
        FileMove(OrderId(1), SubOrderId(1), before, after, 1, 10) for before, after in pairs
    )

    assert (counters.total_files, counters.total_bytes) == (600, 6000)


@pytest.mark.parametrize(
    ("counts", "outcome"),
    [
        ({A: (3, 3)}, OrderStatus.DONE),
        ({D: (3, 3)}, OrderStatus.DONE),
        ({A: (2, 2), E: (1, 1)}, OrderStatus.DONE_WITH_WARNING),
        ({D: (2, 2), PE: (1, 1)}, OrderStatus.DONE_WITH_WARNING),
        ({E: (3, 3)}, OrderStatus.FAILED),
        ({E: (2, 2), PE: (1, 1)}, OrderStatus.FAILED),
        ({DE: (3, 3)}, OrderStatus.DONE),
        ({A: (1, 1), DE: (2, 2)}, OrderStatus.DONE),
        ({}, OrderStatus.DONE_WITH_WARNING),
        ({DE: (2, 2), E: (1, 1)}, OrderStatus.DONE_WITH_WARNING),
    ],
)
def test_k2_the_outcome_follows_the_errors(counts: Counts, outcome: OrderStatus) -> None:
    """None: DONE; all: FAILED; some, or no file at all: a warning. Download errors don't count."""
    assert an_order(counts=counts).outcome() is outcome


@pytest.mark.parametrize(
    ("status", "counts", "told", "after"),
    [
        (OrderStatus.RUNNING, {P: (1, 1), A: (9, 9)}, False, OrderStatus.RUNNING),
        (OrderStatus.RUNNING, {A: (9, 9)}, True, OrderStatus.DONE),
        (OrderStatus.PAUSED, {E: (9, 9)}, True, OrderStatus.FAILED),
        (OrderStatus.PENDING, {A: (9, 9)}, False, OrderStatus.PENDING),
        (OrderStatus.DONE, {A: (9, 9)}, False, OrderStatus.DONE),
        (OrderStatus.DELETED, {A: (9, 9)}, False, OrderStatus.DELETED),
        (OrderStatus.EXPIRED, {A: (9, 9)}, False, OrderStatus.EXPIRED),
    ],
)
def test_an_order_ends_once_when_no_file_is_pending(
    status: OrderStatus, counts: Counts, *, told: bool, after: OrderStatus
) -> None:
    """Only one that runs or is paused ends here (K4); its own creation ends it otherwise."""
    order = an_order(status, counts)

    assert order.settle(reason=Reason.STORAGE_ANSWERED, actor="a") is told
    assert order.status is after
    assert order.settle(reason=Reason.STORAGE_ANSWERED, actor="a") is False


@pytest.mark.parametrize("status", [OrderStatus.RUNNING, OrderStatus.PAUSED])
@pytest.mark.parametrize("filling", ["completing", "retrying"])
def test_w9_w18_an_order_does_not_end_while_files_still_come(
    status: OrderStatus, filling: str
) -> None:
    """Between two slices of a retry, or in a pause of its completion, nothing may be pending (W9, W18)."""
    order = an_order(status, {A: (9, 9)})
    setattr(order, filling, True)

    assert order.settle(reason=Reason.STORAGE_ANSWERED, actor="a") is False
    assert order.status is status


@pytest.mark.parametrize(
    ("counts", "told", "after"),
    [
        ({P: (1, 1), A: (9, 9)}, False, OrderStatus.RUNNING),
        ({A: (9, 9)}, True, OrderStatus.DONE),
        ({E: (9, 9)}, True, OrderStatus.FAILED),
        ({}, True, OrderStatus.FAILED),
    ],
)
def test_w18_a_retry_ends_an_order_that_has_nothing_pending(
    counts: Counts, *, told: bool, after: OrderStatus
) -> None:
    """By its files; without any it is again what it was before: FAILED here."""
    order = an_order(OrderStatus.RUNNING, counts)
    order.retrying = True

    assert order.end_retry(OrderStatus.FAILED) is told
    assert order.status is after


@pytest.mark.parametrize(
    ("status", "counts", "told", "after"),
    [
        (OrderStatus.FAILED, {A: (3, 3)}, True, OrderStatus.DONE),
        (OrderStatus.FAILED, {A: (1, 1), E: (2, 2)}, True, OrderStatus.DONE_WITH_WARNING),
        (OrderStatus.FAILED, {E: (3, 3)}, False, OrderStatus.FAILED),
        (OrderStatus.DONE_WITH_WARNING, {A: (3, 3)}, True, OrderStatus.DONE),
        (
            OrderStatus.DONE_WITH_WARNING,
            {A: (2, 2), E: (1, 1)},
            False,
            OrderStatus.DONE_WITH_WARNING,
        ),
        (OrderStatus.DONE, {A: (3, 3)}, False, OrderStatus.DONE),
        (OrderStatus.EXPIRED, {A: (3, 3)}, False, OrderStatus.EXPIRED),
        (OrderStatus.DELETED, {A: (3, 3)}, False, OrderStatus.DELETED),
    ],
)
def test_a_late_answer_lifts_an_order_that_ended_with_errors(
    status: OrderStatus, counts: Counts, *, told: bool, after: OrderStatus
) -> None:
    """Peers hear only of a status that changed (decisions.md, Storage silence)."""
    order = an_order(status, counts)

    assert order.improve(reason=Reason.STORAGE_ANSWERED, actor="a") is told
    assert order.status is after


@pytest.mark.parametrize(
    ("counts", "after"),
    [
        ({DE: (1, 1)}, OrderStatus.DONE_WITH_WARNING),
        ({DE: (1, 1), D: (5, 5)}, OrderStatus.DONE_WITH_WARNING),
        ({DE: (1, 1), A: (1, 1)}, OrderStatus.DONE),
        ({D: (6, 6)}, OrderStatus.DONE),
    ],
)
def test_failed_downloads_are_a_warning_once_nothing_is_left(
    counts: Counts, after: OrderStatus
) -> None:
    """domain.md 9.3."""
    order = an_order(OrderStatus.DONE, counts)
    order.apply_download_errors()

    assert order.status is after


@pytest.mark.parametrize("before", OrderStatus)
@pytest.mark.parametrize("after", OrderStatus)
def test_an_order_makes_the_moves_of_the_table_and_no_other(
    before: OrderStatus, after: OrderStatus
) -> None:
    """Every reason is tried; a refused move changes nothing, one that is made goes to the history."""
    for reason in Reason:
        order = an_order(before)
        if reason in ORDER_MOVES[before].get(after, ()):
            order.move(after, reason=reason, actor="jane")

            assert order.status is after
            assert order.moves == [StatusMove(before, after, reason, "jane")]
        else:
            with pytest.raises(MoveNotAllowedError) as refused:
                order.move(after, reason=reason)

            assert (order.status, order.moves) == (before, [])
            assert refused.value.code == "move-not-allowed"
            assert (
                str(refused.value)
                == f"order 1 can't go from {before} to {after} for the reason {reason}"
            )


def test_w35_every_status_has_a_way_out() -> None:
    """Whatever happens to an order, it can be deleted in the end (decisions.md, ERROR orders)."""

    def reachable(status: OrderStatus, seen: frozenset[OrderStatus]) -> frozenset[OrderStatus]:
        for after in ORDER_MOVES[status].keys() - seen:
            seen = reachable(after, seen | {after})
        return seen

    stuck = {
        status
        for status in OrderStatus
        if OrderStatus.DELETED not in reachable(status, frozenset({status}))
    }

    assert stuck == set()
    assert not ORDER_MOVES[OrderStatus.DELETED]
