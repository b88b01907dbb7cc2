"""Which sub-orders start in one pass: decisions.md "Which sub-order starts next"."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rs_order.domain.ids import SubOrderId
from rs_order.domain.scheduling import Candidate, Decision, PassLimits, decide, slots_of_pass

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LIMITS = PassLimits(sub_orders=4, files=10)


@dataclass(frozen=True)
class Case:
    """The queue and limits of an owner, and what one pass has to do."""

    name: str
    queue: tuple[int, ...] = ()
    """Number of files of each sub-order that needs a slot, by rank; -1: it has changed and may not start."""
    without_slot: int = 0
    """Number of sub-orders that need no slot."""
    slots: int | None = None
    capacity: int | None = None
    starts: tuple[int, ...] = ()
    """Positions in the queue of the sub-orders that start."""
    starts_without_slot: int = field(default=0)
    waits: int | None = None
    """Position in the queue of the first sub-order that waits for capacity."""
    again: bool = False


CASES = [
    Case("nothing is ready", slots=2),
    Case("no slot is free", slots=0),
    Case("more slots are taken than the owner has", slots=-1),
    Case("one is ready", (1,), slots=2, starts=(0,)),
    Case("as many as slots", (1, 1), slots=2, starts=(0, 1)),
    Case("the rest waits for a slot, which needs no pass now", (1, 1, 1), slots=2, starts=(0, 1)),
    Case("no limit of the owner", (1, 1, 1), starts=(0, 1, 2)),
    Case("no limit, but the pass has one", (1,) * 5, starts=(0, 1, 2, 3), again=True),
    Case("more slots than the pass starts", (1,) * 5, slots=9, starts=(0, 1, 2, 3), again=True),
    Case("as many slots as the pass starts", (1,) * 5, slots=4, starts=(0, 1, 2, 3)),
    Case("files of the pass, reached exactly", (5, 5, 1), slots=3, starts=(0, 1), again=True),
    Case("files of the pass, exceeded", (9, 9, 1), slots=3, starts=(0, 1), again=True),
    Case("one larger than the pass starts alone", (99, 1), slots=2, starts=(0,), again=True),
    Case("the last one reaches the files", (9, 9), slots=2, starts=(0, 1)),
    Case("capacity for all", (1, 1), slots=2, capacity=2, starts=(0, 1)),
    Case("capacity for one", (1, 1), slots=2, capacity=1, starts=(0,), waits=1),
    Case("no capacity", (1, 1), slots=2, capacity=0, waits=0),
    Case("no capacity and nothing ready", slots=2, capacity=0),
    Case("more capacity than slots", (1, 1, 1), slots=2, capacity=9, starts=(0, 1)),
    Case("no limit of the owner, capacity for one", (1, 1), capacity=1, starts=(0,), waits=1),
    Case("files end the pass before the capacity", (10, 1, 1), capacity=2, starts=(0,), again=True),
    Case("the first has changed", (-1, 1, 1), slots=2, starts=(1, 2), again=True),
    Case("all have changed", (-1, -1), slots=1, again=True),
    Case("one has changed, no capacity", (-1, 1), slots=1, capacity=0, again=True),
    Case("a process that begins at once leaves its slot", (0, 1), slots=1, starts=(0,), again=True),
    Case("processes without a slot", without_slot=2, slots=0, starts_without_slot=2),
    Case(
        "as many processes without a slot as a pass starts",
        without_slot=4,
        slots=0,
        starts_without_slot=4,
        again=True,
    ),
    Case(
        "both kinds",
        (1, 1),
        without_slot=1,
        slots=1,
        capacity=1,
        starts=(0,),
        starts_without_slot=1,
    ),
    Case(
        "processes without a slot need no capacity",
        (1,),
        without_slot=1,
        slots=1,
        capacity=0,
        starts_without_slot=1,
        waits=0,
    ),
]


def queue_of(files: tuple[int, ...]) -> list[Candidate]:
    """Return the owner's queue, in which ids and ranks follow from the position."""
    return [
        Candidate(
            SubOrderId(position), NOW + timedelta(hours=position), max(0, number), number >= 0
        )
        for position, number in enumerate(files)
    ]


def without_slot(number: int) -> list[Candidate]:
    return [Candidate(SubOrderId(100 + position), NOW, files=0) for position in range(number)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_one_pass_starts(case: Case) -> None:
    """Sub-orders without a slot start first, then by rank, within the limits of owner, service and pass."""
    queue = queue_of(case.queue)[: slots_of_pass(case.slots, LIMITS) + 1]
    decision = decide(
        queue,
        without_slot(case.without_slot),
        slots=case.slots,
        capacity=case.capacity,
        limits=LIMITS,
    )

    first = [100 + number for number in range(case.starts_without_slot)]
    assert decision == Decision(
        start=tuple(SubOrderId(number) for number in (*first, *case.starts)),
        waits=None if case.waits is None else queue[case.waits],
        again=case.again,
    )


@given(
    files=st.lists(st.integers(0, 12), max_size=12),
    slots=st.none() | st.integers(0, 6),
    capacity=st.none() | st.integers(0, 6),
)
def test_passes_exceed_no_limit_and_skip_no_sub_order(
    files: list[int], slots: int | None, capacity: int | None
) -> None:
    """After the passes that they ask for, each sub-order runs, or waits for a slot or for capacity."""
    queue = queue_of(tuple(files))
    running, passes = 0, 0
    decision = Decision((), again=True)
    while decision.again:
        free = None if slots is None else slots - running
        left = None if capacity is None else capacity - running
        decision = decide(
            queue[: slots_of_pass(free, LIMITS) + 1],
            [],
            slots=free,
            capacity=left,
            limits=LIMITS,
        )
        started = [one for one in queue if one.id in decision.start]
        assert [one.id for one in started] == [one.id for one in queue[: len(started)]]
        queue = queue[len(started) :]
        running += sum(one.files > 0 for one in started)
        passes += 1

        assert slots is None or running <= slots
        assert capacity is None or running <= capacity
        assert passes <= len(files) + 1

    assert not queue or (slots is not None and running == slots) or decision.waits is not None
