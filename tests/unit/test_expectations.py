"""When an order is expected: the latest of its parts, rounded outward, or why nothing is known (Y-6 to 9)."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from rs_order.core.reason_texts import Language
from rs_order.domain.estimates import Experience, Silence
from rs_order.domain.expectations import (
    Expectations,
    Expected,
    Outlook,
    QueuePlace,
    pause_until_next_check,
)
from rs_order.domain.ids import OrderId
from rs_order.domain.reasons import OrderFacts, Request, Slots, SubOrderGroup, reasons_of
from rs_order.domain.states import OrderStatus, SubOrderState
from rs_order.progress.document import progress_document
from rs_order.store.progress import OrderProgress
from tests.support.clock import NOW

SLOTS = 2
GUESS = 3600.0
KNOWN = Experience(
    rate=1000.0,
    ratios=tuple(0.5 + number / 100 for number in range(101)),
    tail=0.0,
    outcomes=100,
    level=0.85,
)
"""Sub-orders took between half of their guess and one and a half of it."""
OUTLOOK = Outlook(KNOWN, awaited_bytes=0, late=False)


def running(minutes: float = 0, guess: float | None = GUESS, **members: Any) -> SubOrderGroup:
    """Return sub-orders that storage was asked for so many minutes ago."""
    asked = NOW - timedelta(minutes=minutes)
    group = SubOrderGroup(SubOrderState.RUNNING, 1, 10, requests=[Request(asked, guess)])
    return replace(group, **members)


READY = SubOrderGroup(SubOrderState.READY, 1, 10)
FACTS = OrderFacts(
    owner="jane@example.org",
    status=OrderStatus.RUNNING,
    status_at=NOW,
    created_at=NOW,
    pending_files=1,
    available_files=0,
    failed_files=0,
    last_actor="jane@example.org",
    groups=[running()],
)


def expectations(outlook: Outlook = OUTLOOK) -> Expectations:
    return Expectations(outlook, SLOTS, NOW)


def ends(answer: object) -> tuple[float, float]:
    """Return the minutes from now to the ends of a range."""
    assert isinstance(answer, Expected)
    minute = timedelta(minutes=1)
    return (answer.earliest - NOW) / minute, (answer.latest - NOW) / minute


@pytest.mark.parametrize(
    ("groups", "minutes"),
    [
        pytest.param([running()], (30, 90), id="just asked"),
        pytest.param([running(minutes=10)], (20, 80), id="asked before"),
        pytest.param(
            [running(minutes=61)], (0, 30), id="what is shorter than the wait counts no more"
        ),
        pytest.param(
            [running(), running(minutes=20, guess=60 * 90)], (30, 115), id="the latest part"
        ),
        pytest.param([running(guess=8 * 3600.0)], (240, 720), id="half hours below a day"),
        pytest.param([running(guess=48 * 3600.0)], (24 * 60, 72 * 60), id="six hours beyond"),
        pytest.param([running(minutes=7)], (20, 85), id="rounded outward"),
    ],
)
def test_the_range_of_an_order(groups: list[SubOrderGroup], minutes: tuple[float, float]) -> None:
    answer = expectations().of_order(replace(FACTS, groups=groups))

    assert ends(answer) == minutes
    assert isinstance(answer, Expected)
    assert (answer.level, answer.samples, answer.assumes_downloads) == (0.85, 100, False)


def test_the_place_in_the_queue() -> None:
    """What isn't asked yet comes after all that is awaited; without its place there is no answer."""
    facts = replace(FACTS, groups=[running(), READY])
    awaited = expectations(replace(OUTLOOK, awaited_bytes=3_600_000))
    answer = awaited.of_order(facts, QueuePlace(3_600_000, processed=False))

    assert ends(answer) == (60, 180)
    assert isinstance(answer, Expected)
    assert answer.assumes_downloads
    assert awaited.of_order(facts) is None
    assert awaited.of_sub_order(facts, READY) is None
    assert ends(awaited.of_sub_order(facts, running())) == (30, 90)


FULL = Slots(taken=SLOTS)
PLACE = QueuePlace(10, processed=False)


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"status": OrderStatus.PAUSED}, Silence.PAUSED),
        ({"maintenance_since": NOW}, Silence.MAINTENANCE),
        ({"completing": True}, Silence.READING_CATALOG),
        ({"completing": True, "catalog_silent_since": NOW}, Silence.READING_CATALOG),
        ({"retrying": True}, Silence.RETRY_RUNNING),
        ({"groups": [running(), READY], "held_since": NOW}, Silence.HELD),
        (
            {"groups": [READY], "slots": replace(FULL, waiting=1)},
            Silence.DOWNLOAD_NEEDED,
        ),
        ({"groups": [READY], "service_is_full": True}, Silence.SERVICE_LIMIT),
        ({"groups": [running(processed=True)]}, Silence.PROCESS_RUNNING),
        ({"groups": [SubOrderGroup(SubOrderState.PROCESSING, 1, 1)]}, Silence.PROCESS_RUNNING),
        ({"groups": [replace(READY, needs_slot=False)]}, Silence.PROCESS_RUNNING),
        ({"groups": [running(), running(late_since=NOW)]}, Silence.STORAGE_LATE),
        ({"groups": [running(), running(guess=None)]}, Silence.NO_HISTORY),
        ({"groups": [running(minutes=91)]}, Silence.BEYOND_EXPERIENCE),
        ({"groups": [running(guess=1e15)]}, Silence.BEYOND_EXPERIENCE),
        ({"groups": []}, Silence.READING_CATALOG),
    ],
)
def test_why_there_is_no_time(facts: dict[str, Any], why: Silence) -> None:
    assert expectations().of_order(replace(FACTS, **facts), PLACE) is why


@pytest.mark.parametrize(
    ("outlook", "why"),
    [
        (replace(OUTLOOK, late=True), Silence.STORAGE_LATE),
        (replace(OUTLOOK, experience=replace(KNOWN, level=None)), Silence.UNRELIABLE),
        (replace(OUTLOOK, experience=replace(KNOWN, level=None, outcomes=49)), Silence.NO_HISTORY),
        (replace(OUTLOOK, experience=Experience()), Silence.NO_HISTORY),
    ],
)
def test_what_storage_must_allow(outlook: Outlook, why: Silence) -> None:
    """For what was asked, and for what is in the queue."""
    for groups in ([running()], [READY]):
        assert expectations(outlook).of_order(replace(FACTS, groups=groups), PLACE) is why


def test_nothing_is_expected_of_an_order_that_has_ended() -> None:
    assert expectations().of_order(replace(FACTS, status=OrderStatus.DONE)) is None


def test_a_process_in_the_queue() -> None:
    place = replace(PLACE, processed=True)

    assert expectations().of_order(replace(FACTS, groups=[READY]), place) is Silence.PROCESS_RUNNING


AT = NOW + timedelta(minutes=4)


@pytest.mark.parametrize(
    ("group", "seconds"),
    [
        pytest.param(running(), 300, id="five minutes at most"),
        pytest.param(running(due_at=AT + timedelta(seconds=100)), 100, id="the next step is due"),
        pytest.param(running(guess=600.0), 60, id="the earliest time"),
        pytest.param(running(guess=60.0), 300, id="the earliest time has come"),
        pytest.param(running(due_at=AT), 5, id="five seconds at least"),
        pytest.param(READY, 10, id="the request leaves soon"),
    ],
)
def test_the_next_check(group: SubOrderGroup, seconds: int) -> None:
    facts, known = replace(FACTS, groups=[group]), replace(expectations(), now=AT)
    reason, answer = reasons_of(facts, SLOTS).reason, known.of_order(facts, PLACE)

    assert pause_until_next_check(reason, answer, known) == timedelta(seconds=seconds)


def test_the_document() -> None:
    """It has a range with its level, or null and why."""
    told = progress_document(OrderId(1), OrderProgress(FACTS), expectations(), Language.ENGLISH)
    late = replace(OUTLOOK, late=True)
    silent = progress_document(
        OrderId(1), OrderProgress(FACTS), expectations(late), Language.ENGLISH
    )

    assert told.to_wire()["expected"] == {
        "earliest": "2026-01-01T00:30:00Z",
        "latest": "2026-01-01T01:30:00Z",
        "level": 0.85,
        "samples": 100,
        "basis": "observed-restores",
        "assumes": [],
    }
    assert told.why is None
    assert (silent.expected, silent.why) == (None, Silence.STORAGE_LATE)
