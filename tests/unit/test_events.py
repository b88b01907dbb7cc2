"""The rules of events: their ids, their types, who did something, and thresholds (faces.md 4.1)."""

from datetime import UTC, datetime, timedelta
from uuid import RFC_4122

import pytest

from rs_order.domain.events import (
    MOST_MESSAGE,
    By,
    EventType,
    event_id,
    event_message,
    passed_thresholds,
    types_of,
)
from rs_order.domain.identity import PEER, SERVICE

AT = datetime(2026, 11, 28, 19, 2, 11, 123000, tzinfo=UTC)


def test_ids_are_of_version_7_and_sort_by_time() -> None:
    """RFC 9562: the first 48 bits are the milliseconds since 1970."""
    ids = [event_id(AT + timedelta(milliseconds=number)) for number in range(50)]

    assert {(one.version, one.variant) for one in ids} == {(7, RFC_4122)}
    assert ids == sorted(ids)
    assert len({event_id(AT) for _ in range(1000)}) == 1000
    assert ids[0].int >> 80 == int(AT.timestamp() * 1000)


@pytest.mark.parametrize(
    ("patterns", "types"),
    [
        (["order.done"], {EventType.ORDER_DONE}),
        (["suborder.*"], {EventType.SUB_ORDER_STARTED, EventType.SUB_ORDER_READY}),
        (["order.done*"], {EventType.ORDER_DONE, EventType.ORDER_DONE_WITH_WARNING}),
        (["*"], set(EventType)),
        (["order.paused", "order.p*"], {EventType.ORDER_PAUSED, EventType.ORDER_PROGRESS}),
    ],
)
def test_types_are_chosen_by_name_or_beginning(patterns: list[str], types: set[EventType]) -> None:
    assert types_of(patterns) == types


@pytest.mark.parametrize("pattern", ["order", "order.*.done", "x*", "", "ORDER.DONE"])
def test_a_pattern_without_a_type_is_rejected(pattern: str) -> None:
    """Else its reader would wait for ever."""
    with pytest.raises(ValueError, match="no event has the type"):
        types_of(["order.*", pattern])


@pytest.mark.parametrize(
    ("before", "after", "passed"),
    [
        (0, 24, []),
        (0, 25, [25]),
        (25, 49, []),
        (20, 80, [25, 50, 75]),
        (74, 99, [75]),
        (0, 100, []),
        (80, 20, []),
    ],
)
def test_thresholds_are_passed_upwards(before: int, after: int, passed: list[int]) -> None:
    """At 100 the end of the order says more."""
    assert list(passed_thresholds(before, after)) == passed


@pytest.mark.parametrize(
    ("actor", "by"),
    [
        ("jane@example.org", By.OWNER),
        ("alan@example.org", By.ADMINISTRATOR),
        (PEER, By.SERVICE),
        (SERVICE, By.SERVICE),
    ],
)
def test_who_did_it(actor: str, by: By) -> None:
    assert By.of(actor, "jane@example.org") is by


def test_a_long_message_is_cut() -> None:
    """So that an event has 20 KiB at most."""
    assert event_message("x" * MOST_MESSAGE) == "x" * MOST_MESSAGE
    cut = event_message("x" * (MOST_MESSAGE + 1))
    assert (len(cut), cut[-1]) == (MOST_MESSAGE, "…")
