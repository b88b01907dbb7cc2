"""Rank, slots and states of sub-orders: decisions.md "Which sub-order starts next", "Download gate"."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from rs_order.domain.errors import MoveNotAllowedError
from rs_order.domain.ids import OrderId, SubOrderId
from rs_order.domain.moves import SUB_ORDER_MOVES, Reason
from rs_order.domain.states import FileState, SubOrderKind, SubOrderState
from rs_order.domain.sub_order import StateMove, SubOrder, rank
from tests.unit.catalog import MEBIBYTE

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def a_sub_order(
    state: SubOrderState,
    kind: SubOrderKind = SubOrderKind.STORAGE,
    files: Mapping[str, int] | None = None,
    *,
    quota_exceeded: bool = False,
) -> SubOrder:
    sub_order = SubOrder(
        SubOrderId(1), OrderId(1), "jane", kind, state, quota_exceeded=quota_exceeded
    )
    for name, count in (files or {}).items():
        sub_order.counters.add(FileState(name), count, 100 * count)
    return sub_order


@pytest.mark.parametrize(
    ("size", "delay"),
    [
        (0, timedelta()),
        (MEBIBYTE, timedelta(minutes=15)),
        (100 * MEBIBYTE, timedelta(hours=25)),
        (192 * MEBIBYTE, timedelta(days=2)),
        (10**15, timedelta(days=2)),
        (2**63 - 1, timedelta(days=2)),
    ],
)
def test_each_mebibyte_delays_the_start_by_15_minutes(size: int, delay: timedelta) -> None:
    """The delay is at most two days, so that no sub-order starves."""
    assert rank(NOW, size) == NOW + delay


def test_w43_a_smaller_sub_order_starts_first_unless_the_larger_is_old_enough() -> None:
    """A small one overtakes a large one, but not after the delay of the large one."""
    large = rank(NOW, 100 * MEBIBYTE)

    assert rank(NOW, MEBIBYTE) < large
    assert rank(NOW + timedelta(hours=24), MEBIBYTE) < large
    assert rank(NOW + timedelta(hours=25), MEBIBYTE) > large
    assert rank(NOW, 0) < rank(NOW + timedelta(microseconds=1), 0)


@pytest.mark.parametrize(
    ("kind", "state", "quota_exceeded", "takes"),
    [
        (SubOrderKind.STORAGE, SubOrderState.BUILDING, False, False),
        (SubOrderKind.STORAGE, SubOrderState.READY, False, False),
        (SubOrderKind.STORAGE, SubOrderState.RUNNING, False, True),
        (SubOrderKind.STORAGE, SubOrderState.RUNNING, True, True),
        (SubOrderKind.STORAGE, SubOrderState.WAITING, False, True),
        (SubOrderKind.STORAGE, SubOrderState.WAITING, True, False),
        (SubOrderKind.STORAGE, SubOrderState.ENDED, False, False),
        (SubOrderKind.EXTERNAL, SubOrderState.WAITING, False, False),
    ],
)
def test_which_sub_orders_take_a_slot_of_their_owner(
    kind: SubOrderKind, state: SubOrderState, *, quota_exceeded: bool, takes: bool
) -> None:
    """domain.md 6.1 with the rulings on external files and quota."""
    assert a_sub_order(state, kind, quota_exceeded=quota_exceeded).takes_slot is takes


@pytest.mark.parametrize(
    ("kind", "files", "state"),
    [
        (SubOrderKind.STORAGE, {"PENDING": 1}, SubOrderState.READY),
        (SubOrderKind.STORAGE, {"PENDING": 1, "ERROR": 1}, SubOrderState.READY),
        (SubOrderKind.STORAGE, {"ERROR": 2}, SubOrderState.ENDED),
        (SubOrderKind.EXTERNAL, {"AVAILABLE": 2}, SubOrderState.WAITING),
    ],
)
@pytest.mark.parametrize("reason", [Reason.FILES_READ, Reason.RETRIED])
def test_the_state_of_a_sub_order_after_it_is_closed(
    kind: SubOrderKind, files: dict[str, int], state: SubOrderState, reason: Reason
) -> None:
    """It queues if a file is pending, whether a completion or a retry made it.

    Storage may settle the files of a retry before the last slice closes their sub-order.
    """
    sub_order = a_sub_order(SubOrderState.BUILDING, kind, files)
    sub_order.close(NOW, reason=reason)

    assert sub_order.state is state
    assert (sub_order.rank is not None) == (state is SubOrderState.READY)


@pytest.mark.parametrize(
    ("before", "files", "downloadable", "after"),
    [
        (SubOrderState.RUNNING, {"PENDING": 1, "AVAILABLE": 1}, False, SubOrderState.RUNNING),
        (SubOrderState.RUNNING, {"AVAILABLE": 2}, True, SubOrderState.WAITING),
        (SubOrderState.RUNNING, {"AVAILABLE": 1, "ERROR": 1}, True, SubOrderState.WAITING),
        (SubOrderState.RUNNING, {"ERROR": 2}, False, SubOrderState.ENDED),
        (SubOrderState.WAITING, {"AVAILABLE": 1, "DOWNLOADED": 1}, False, SubOrderState.WAITING),
        (SubOrderState.WAITING, {"DOWNLOADED": 2}, False, SubOrderState.ENDED),
        (SubOrderState.WAITING, {"DOWNLOAD_ERROR": 2}, False, SubOrderState.ENDED),
        (SubOrderState.ENDED, {"AVAILABLE": 1, "ERROR": 1}, True, SubOrderState.WAITING),
        (SubOrderState.READY, {"PENDING": 1, "AVAILABLE": 1}, False, SubOrderState.READY),
        (SubOrderState.READY, {"AVAILABLE": 1}, True, SubOrderState.WAITING),
        (SubOrderState.READY, {"ERROR": 1}, False, SubOrderState.ENDED),
        (SubOrderState.BUILDING, {"AVAILABLE": 1}, False, SubOrderState.BUILDING),
    ],
)
def test_a_sub_order_becomes_downloadable_once(
    before: SubOrderState, files: dict[str, int], *, downloadable: bool, after: SubOrderState
) -> None:
    """``settle`` is True only for the transition, which SUBORDER_DONE announces."""
    sub_order = a_sub_order(before, files=files)

    assert sub_order.settle(reason=Reason.RECOUNTED) is downloadable
    assert sub_order.state is after
    assert sub_order.settle(reason=Reason.RECOUNTED) is False


def test_a_sub_order_that_starts_again_has_another_number_of_requests() -> None:
    """So a reminder from before the pause does nothing. The timeout starts again."""
    sub_order = a_sub_order(SubOrderState.READY, files={"PENDING": 1})
    sub_order.start(NOW)
    sub_order.move(SubOrderState.READY, reason=Reason.ORDER_PAUSED)
    sub_order.start(NOW + timedelta(hours=1))

    assert (sub_order.asks, sub_order.asked_at) == (2, NOW + timedelta(hours=1))


@pytest.mark.parametrize("before", SubOrderState)
@pytest.mark.parametrize("after", SubOrderState)
def test_a_sub_order_makes_only_the_moves_of_the_table(
    before: SubOrderState, after: SubOrderState
) -> None:
    """Every reason is tried; an allowed move is recorded for the history, another one changes nothing."""
    for reason in Reason:
        sub_order = a_sub_order(before)
        if reason in SUB_ORDER_MOVES[before].get(after, ()):
            sub_order.move(after, reason=reason)

            assert sub_order.state is after
            assert sub_order.moves == [StateMove(before, after, reason)]
        else:
            with pytest.raises(MoveNotAllowedError) as rejected:
                sub_order.move(after, reason=reason)

            assert (sub_order.state, sub_order.moves) == (before, [])
            assert rejected.value.code == "move-not-allowed"
            assert (
                str(rejected.value)
                == f"sub-order 1 can't go from {before} to {after} for the reason {reason}"
            )


@pytest.mark.parametrize(
    ("method", "before", "reason"),
    [
        ("start", SubOrderState.WAITING, None),
        ("return_to_queue", SubOrderState.ENDED, None),
        ("begin_processing", SubOrderState.READY, Reason.STORAGE_ANSWERED),
        ("begin_processing", SubOrderState.RUNNING, Reason.NOTHING_TO_ASK),
        ("close", SubOrderState.RUNNING, Reason.FILES_READ),
        ("settle", SubOrderState.RUNNING, Reason.DOWNLOADED),
        ("settle", SubOrderState.PROCESSING, Reason.STORAGE_ANSWERED),
    ],
)
def test_no_method_bypasses_the_table(
    method: str, before: SubOrderState, reason: Reason | None
) -> None:
    """Each changes the state with ``move``."""
    sub_order = a_sub_order(before, files={"AVAILABLE": 1})
    at = [] if method in ("return_to_queue", "settle") else [NOW]
    with pytest.raises(MoveNotAllowedError):
        getattr(sub_order, method)(*at, **({"reason": reason} if reason else {}))

    assert sub_order.state is before
