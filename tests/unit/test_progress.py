"""Percent, outcome and status of an order by its counters: domain.md 9.1 to 9.3."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rs_order.domain.errors import MoveNotAllowedError
from rs_order.domain.ids import OrderId, SubOrderId
from rs_order.domain.moves import ORDER_MOVES, Reason
from rs_order.domain.order import Order, StatusMove
from rs_order.domain.states import FileCounters, FileMove, FileState, OrderStatus

Counts = dict[FileState, tuple[int, int]]
P, A, D, DE, E, PE = FileState


def some_counters(counts: Counts) -> FileCounters:
    counters = FileCounters()
    for state, (files, size) in counts.items():
        counters.add(state, files, size)
    return counters


def an_order(
    status: OrderStatus = OrderStatus.RUNNING,
    counts: Counts | None = None,
    *,
    completing: bool = False,
    retrying: bool = False,
) -> Order:
    return Order(
        id=OrderId(1),
        owner="jane@example.org",
        role="REGISTERED_USER",
        correlation_id="c",
        status=status,
        sub_order_hours=2,
        counters=some_counters(counts or {}),
        completing=completing,
        retrying=retrying,
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
    """Errors count as settled; the number is rounded down."""
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
def test_w28_files_of_unknown_size_count(counts: Counts, percent: int) -> None:
    """If no size is known, files are counted; never 100 while a file is pending."""
    assert some_counters(counts).percent == percent


@given(
    st.dictionaries(
        st.sampled_from(FileState), st.tuples(st.integers(1, 10**6), st.integers(0, 10**15))
    )
)
def test_percent_is_100_only_when_nothing_is_pending(counts: Counts) -> None:
    """This is promise 1, for all numbers."""
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
    """No error: DONE; all files: FAILED; some, or no file at all: a warning. Download errors don't count."""
    assert an_order(counts=counts).outcome() is outcome


@pytest.mark.parametrize(
    ("status", "counts", "changed", "after"),
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
    status: OrderStatus, counts: Counts, *, changed: bool, after: OrderStatus
) -> None:
    """Only a running or paused order ends here (K4); a pending one ends with its completion."""
    order = an_order(status, counts)

    assert order.settle(reason=Reason.STORAGE_ANSWERED, actor="a") is changed
    assert order.status is after
    assert order.settle(reason=Reason.STORAGE_ANSWERED, actor="a") is False


@pytest.mark.parametrize("status", [OrderStatus.RUNNING, OrderStatus.PAUSED])
@pytest.mark.parametrize("completing", [True, False], ids=["completing", "retrying"])
def test_w9_w18_an_order_does_not_end_before_its_last_file(
    status: OrderStatus, *, completing: bool
) -> None:
    """No file may be pending between two slices of a retry, or in a pause of the completion (W9, W18)."""
    order = an_order(status, {A: (9, 9)}, completing=completing, retrying=not completing)

    assert order.settle(reason=Reason.STORAGE_ANSWERED, actor="a") is False
    assert order.status is status


@pytest.mark.parametrize(
    ("counts", "changed", "after"),
    [
        ({P: (1, 1), A: (9, 9)}, False, OrderStatus.RUNNING),
        ({A: (9, 9)}, True, OrderStatus.DONE),
        ({E: (9, 9)}, True, OrderStatus.FAILED),
        ({}, True, OrderStatus.FAILED),
    ],
)
def test_w18_a_retry_ends_an_order_that_has_nothing_pending(
    counts: Counts, *, changed: bool, after: OrderStatus
) -> None:
    """Its files decide the status; without any it returns to its last one, here FAILED."""
    order = an_order(OrderStatus.RUNNING, counts, retrying=True)

    assert order.end_retry(OrderStatus.FAILED) is changed
    assert order.status is after


@pytest.mark.parametrize(
    ("status", "counts", "changed", "after"),
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
def test_a_late_answer_improves_an_order_that_ended_with_errors(
    status: OrderStatus, counts: Counts, *, changed: bool, after: OrderStatus
) -> None:
    """A response is sent only if the status changed (decisions.md, Storage silence)."""
    order = an_order(status, counts)

    assert order.improve(reason=Reason.STORAGE_ANSWERED, actor="a") is changed
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
    """This is the rule of domain.md 9.3."""
    order = an_order(OrderStatus.DONE, counts)
    order.apply_download_errors()

    assert order.status is after


@pytest.mark.parametrize("before", OrderStatus)
@pytest.mark.parametrize("after", OrderStatus)
def test_an_order_makes_only_the_moves_of_the_table(
    before: OrderStatus, after: OrderStatus
) -> None:
    """Every reason is tried; an allowed move is recorded for the history, another one changes nothing."""
    for reason in Reason:
        order = an_order(before)
        if reason in ORDER_MOVES[before].get(after, ()):
            order.move(after, reason=reason, actor="jane")

            assert order.status is after
            assert order.moves == [StatusMove(before, after, reason, "jane")]
        else:
            with pytest.raises(MoveNotAllowedError) as rejected:
                order.move(after, reason=reason)

            assert (order.status, order.moves) == (before, [])
            assert rejected.value.code == "move-not-allowed"
            assert (
                str(rejected.value)
                == f"order 1 can't go from {before} to {after} for the reason {reason}"
            )


def test_w35_every_status_has_a_way_out() -> None:
    """From each status an order can reach DELETED (decisions.md, ERROR orders)."""

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
