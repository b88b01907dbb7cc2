"""The rules of events that come with time: when an order is checked, and what is due then (faces.md E-1)."""

from datetime import timedelta

import pytest

from rs_order.domain.ids import OrderId
from rs_order.domain.order import Order
from rs_order.domain.reasons import ReasonCode, WaitingReason
from rs_order.domain.states import FileCounters, FileState, OrderStatus
from rs_order.domain.timed_events import Check, LastCheck, check
from tests.support.clock import NOW

WARNED = timedelta(hours=72)


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


def an_order(
    status: OrderStatus = OrderStatus.RUNNING,
    *,
    available: int = 0,
    errors: int = 0,
    expires_in: timedelta | None = None,
) -> Order:
    counters = FileCounters()
    counters.files[FileState.AVAILABLE] = available
    counters.files[FileState.ERROR] = errors
    return Order(
        id=OrderId(1),
        owner="jane@example.org",
        role="REGISTERED_USER",
        correlation_id="c-1",
        status=status,
        sub_order_hours=1,
        expires_at=None if expires_in is None else NOW + expires_in,
        counters=counters,
    )


def checked(order: Order, reason: WaitingReason | None, last: LastCheck) -> Check:
    return check(order, reason, last, NOW, WARNED)


RESTORING = ReasonCode.STORAGE_RESTORING
LATE = ReasonCode.STORAGE_LATE


@pytest.mark.parametrize(
    ("since", "seen", "told", "waits", "pause"),
    [
        (minutes(14), None, False, False, minutes(1)),
        (minutes(15), None, False, True, minutes(15)),
        (minutes(40), (RESTORING, minutes(25)), True, False, minutes(40)),
        (minutes(600), (RESTORING, minutes(60)), True, False, minutes(60)),
        (minutes(16), (LATE, minutes(300)), True, True, minutes(16)),
        (None, (LATE, minutes(300)), True, False, minutes(15)),
        (None, (RESTORING, minutes(15)), False, True, minutes(15)),
        (minutes(2), (RESTORING, minutes(20)), False, True, minutes(20)),
        (minutes(20), ("of-a-later-version", minutes(300)), True, True, minutes(20)),
    ],
    ids=[
        "it has stood for less than 15 minutes",
        "for 15 minutes",
        "it is told once",
        "at most an hour between two checks",
        "another one is told again",
        "another one, seen now for the first time",
        "it was seen 15 minutes ago",
        "its time moved, but it stands",
        "an unknown one was stored",
    ],
)
def test_a_reason_is_told_once_it_stands(
    since: timedelta | None,
    seen: tuple[str, timedelta] | None,
    told: bool,
    waits: bool,
    pause: timedelta,
) -> None:
    """``seen``: the reason of the last check, and how long ago that reason was first seen."""
    last = LastCheck(at=NOW - minutes(15))
    if seen is not None:
        last = LastCheck(at=last.at, reason=seen[0], since=NOW - seen[1], told=told)
    found = checked(
        an_order(), WaitingReason(RESTORING, None if since is None else NOW - since), last
    )

    assert (found.waits, found.due_at) == (waits, NOW + pause)
    assert found.last.told == (waits or (told and seen is not None and seen[0] == RESTORING))
    assert found.last.reason == RESTORING


def test_a_reason_that_could_not_be_read_changes_nothing() -> None:
    """The order changed just then: what was told isn't told again."""
    last = LastCheck(at=NOW - minutes(15), reason=RESTORING, since=NOW - minutes(20), told=True)
    found = checked(an_order(), None, last)

    assert (found.waits, found.due_at) == (False, NOW + minutes(20))
    assert (found.last.reason, found.last.since, found.last.told) == (
        RESTORING,
        NOW - minutes(20),
        True,
    )


def test_an_order_that_has_ended_waits_for_nothing() -> None:
    """If it is retried, the reason from before is told again."""
    last = LastCheck(at=NOW - minutes(15), reason=RESTORING, since=NOW - minutes(20), told=True)
    found = checked(an_order(OrderStatus.FAILED), None, last)

    assert (found.waits, found.due_at, found.last.reason) == (False, None, None)


@pytest.mark.parametrize(
    ("expires_in", "last_check", "expires", "due_in"),
    [
        (timedelta(hours=100), minutes(15), False, timedelta(hours=28)),
        (timedelta(hours=72), minutes(15), True, timedelta(hours=48)),
        (timedelta(hours=71), timedelta(hours=2), True, timedelta(hours=47)),
        (timedelta(hours=71), minutes(15), False, timedelta(hours=47)),
        (timedelta(hours=24), timedelta(hours=48), True, None),
        (timedelta(hours=20), timedelta(hours=60), True, None),
        (timedelta(hours=20), minutes(15), False, None),
        (None, minutes(15), False, None),
    ],
    ids=[
        "not yet",
        "the first warning",
        "an hour late",
        "the first one was before the order",
        "the last warning",
        "both at once are one event",
        "all was told",
        "no date",
    ],
)
def test_warnings_of_the_expiry(
    expires_in: timedelta | None,
    last_check: timedelta,
    expires: bool,
    due_in: timedelta | None,
) -> None:
    """72 and 24 hours before, each once. ``last_check``: how long ago."""
    order = an_order(OrderStatus.DONE, available=1, expires_in=expires_in)
    found = checked(order, None, LastCheck(at=NOW - last_check))

    assert found.expires == expires
    assert found.due_at == (None if due_in is None else NOW + due_in)


@pytest.mark.parametrize(
    ("status", "available"),
    [(OrderStatus.DONE, 0), (OrderStatus.DELETED, 1), (OrderStatus.EXPIRED, 1)],
)
def test_without_files_no_expiry_is_told(status: OrderStatus, available: int) -> None:
    order = an_order(status, available=available, expires_in=timedelta(hours=72))
    found = checked(order, None, LastCheck(at=NOW - minutes(15)))

    assert (found.expires, found.due_at) == (False, None)


def test_a_warning_of_an_order_at_work_is_in_time() -> None:
    """It has files already, and waits for others: the warning comes before the next check of its reason."""
    order = an_order(available=1, expires_in=timedelta(hours=72, minutes=5))
    found = checked(order, WaitingReason(RESTORING, NOW - timedelta(hours=9)), LastCheck(at=NOW))

    assert found.due_at == NOW + minutes(5)


@pytest.mark.parametrize(("errors", "told", "failed"), [(3, 0, 3), (3, 2, 1), (3, 3, 0), (0, 2, 0)])
def test_failed_files_are_counted_once(errors: int, told: int, failed: int) -> None:
    """A retry takes files out of error; those that fail again count again."""
    order = an_order(OrderStatus.FAILED, errors=errors)
    found = checked(order, None, LastCheck(at=NOW - minutes(10), failures=told))

    assert (found.failed, found.last.failures) == (failed, errors)
