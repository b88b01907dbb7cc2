"""Does what the reasons of orders say, until all have ended: what they say will move an order must move it.

First all but the owners act, until nothing moves any more. Then it must be the turn of the owner of each
unfinished order. When the owners have resumed and downloaded, each of these orders must have moved.
"""

from collections.abc import Iterable, Mapping
from typing import Final, get_args

from rs_order.domain.ids import OrderId
from rs_order.domain.reasons import OrderFacts, ReasonCode, WaitingReason, reasons_of
from rs_order.domain.states import OrderStatus
from rs_order.ports import FetchResult
from tests.stateful.fakes import ADMIN, Ending
from tests.stateful.order_harness import OrderHarness

MOST_ROUNDS: Final = 60
"""More are never needed: each round starts a sub-order, or ends an order."""
_STEPS: Final = 500
_RETRIED: Final = frozenset(
    {
        "complete-order",
        "delete-files",
        "grant-requests",
        "retry-order",
        "schedule",
        "start-processing",
        "stop-sub-orders",
    }
)
"""Steps that are tried again after a pause, or continue a work of several slices."""

Reasons = Mapping[OrderId, tuple[OrderFacts, WaitingReason]]


async def follow(harness: OrderHarness, checksums: Iterable[str]) -> None:
    """Do what the reasons say, until no order is unfinished.

    Raises:
        AssertionError: a reason names somebody who can't move the order.
    """
    names = tuple(checksums)
    for _ in range(MOST_ROUNDS):
        await _others_act(harness, names)
        blocked = await reasons_of_unfinished(harness)
        if not blocked:
            return
        for order, (_, reason) in blocked.items():
            assert reason.meaning.your_turn, f"nobody moves order {order}: {reason.code}"
        await _owners_act(harness, blocked)
        await _others_act(harness, names)
        after = await reasons_of_unfinished(harness)
        for owner in {facts.owner for facts, _ in blocked.values()}:
            assert _left(after, owner) < _left(blocked, owner), (
                f"what {owner} was told to do moved nothing: {_codes(blocked)} became {_codes(after)}"
            )
    raise AssertionError(f"orders don't end: {_codes(await reasons_of_unfinished(harness))}")


async def reasons_of_unfinished(harness: OrderHarness) -> Reasons:
    """Return the facts and the reason of each unfinished order."""
    slots = harness.waiting.progress.slots_per_user
    return {
        order: (facts, reasons_of(facts, slots).reason)
        for order, facts in (await harness.facts()).items()
        if facts.unfinished
    }


async def _others_act(harness: OrderHarness, checksums: tuple[str, ...]) -> None:
    """Let all but the owners act until nothing moves: steps, storage, processes, operators."""
    await harness.run_steps(_STEPS)
    told = {
        order: facts.pending_files
        for order, (facts, reason) in (await reasons_of_unfinished(harness)).items()
        if reason.meaning.your_turn
    }
    for _ in range(MOST_ROUNDS):
        before = await reasons_of_unfinished(harness)
        await _act_once(harness, checksums)
        if await reasons_of_unfinished(harness) == before and not harness.wait_for_step(_RETRIED):
            break
    else:
        raise AssertionError(f"others act for ever: {_codes(await reasons_of_unfinished(harness))}")
    for order, (facts, reason) in (await reasons_of_unfinished(harness)).items():
        if order in told:
            same = reason.meaning.your_turn and facts.pending_files == told[order]
            assert same, f"it was the owner's turn, but others moved order {order}: {reason.code}"


async def _act_once(harness: OrderHarness, checksums: tuple[str, ...]) -> None:
    for order, (_, reason) in (await reasons_of_unfinished(harness)).items():
        match reason.code:
            case ReasonCode.PAUSED_BY_ADMINISTRATOR | ReasonCode.PAUSED_BY_SERVICE:
                await harness.resume(order, ADMIN)
            case ReasonCode.HELD:
                while await harness.end_hold():
                    pass
            case _:
                continue
    await harness.storage_reports(checksums, ())
    await harness.check()
    for number in range(len(harness.executions)):
        await harness.process_ends(number, get_args(Ending)[0])
    await harness.check()
    await harness.run_steps(_STEPS)


async def _owners_act(harness: OrderHarness, blocked: Reasons) -> None:
    for order, (facts, reason) in blocked.items():
        if reason.code is ReasonCode.PAUSED_BY_YOU:
            await harness.resume(order, facts.owner)
        else:
            await harness.download_all(facts.owner, FetchResult.DOWNLOADED)
    await harness.check()


def _left(reasons: Reasons, owner: str) -> tuple[int, int]:
    """Return how many orders of an owner are paused, and how much is left of all. A process may add files."""
    own = [facts for facts, _ in reasons.values() if facts.owner == owner]
    paused = sum(facts.status is OrderStatus.PAUSED for facts in own)
    return paused, sum(1 + facts.pending_files for facts in own)


def _codes(reasons: Reasons) -> str:
    return ", ".join(f"{order}: {reason.code}" for order, (_, reason) in reasons.items()) or "none"
