"""The progress documents of orders and sub-orders."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from rs_order.contracts.progress_bodies import (
    AheadDto,
    AttemptsDto,
    FurtherReasonDto,
    ProgressDto,
    ReasonDto,
    SubOrderCountsDto,
    SubOrderProgressDto,
)
from rs_order.core.reason_texts import Language, text_of
from rs_order.domain.reasons import (
    OrderFacts,
    ReasonCode,
    WaitingReason,
    reason_of_sub_order,
    reasons_of,
)
from rs_order.domain.states import SubOrderState
from rs_order.store.progress import OrderProgress, SubOrderProgress

LONGEST_PAUSE: Final = timedelta(minutes=5)
SHORTEST_PAUSE: Final = timedelta(seconds=5)
_SOON: Final = timedelta(seconds=10)
_SHORT: Final = frozenset(
    {ReasonCode.READING_CATALOG, ReasonCode.RETRY_RUNNING, ReasonCode.REQUEST_QUEUED}
)
"""Reasons that pass within seconds."""


def pause_until_next_check(reason: WaitingReason, now: datetime) -> timedelta:
    """Return how long a client should wait before it asks again, 5 s to 5 minutes (faces.md Y-9)."""
    longest = _SOON if reason.code in _SHORT else LONGEST_PAUSE
    due = reason.due_at - now if reason.due_at else longest
    return max(SHORTEST_PAUSE, min(due, longest))


def progress_document(
    progress: OrderProgress, slots_per_user: int, language: Language, now: datetime
) -> ProgressDto:
    reasons = reasons_of(progress.facts, slots_per_user)
    ahead = progress.ahead
    return ProgressDto(
        order_id=progress.id,
        status=progress.facts.status,
        percent=progress.percent,
        computed_at=now,
        reason=_reason(progress.facts, reasons.reason, language, now),
        also=[
            FurtherReasonDto(
                code=one.code,
                text=text_of(one, language),
                since=one.since,
                sub_orders=one.sub_orders,
            )
            for one in reasons.also
        ],
        ahead=AheadDto(sub_orders=ahead.sub_orders, files=ahead.files, bytes=ahead.bytes)
        if ahead
        else None,
        why="no-history" if progress.facts.unfinished else None,
        sub_orders=_counts(progress.by_state),
        attempts=AttemptsDto(asks=progress.asks, first_asked=progress.asked_at),
    )


def _reason(
    facts: OrderFacts, reason: WaitingReason, language: Language, now: datetime
) -> ReasonDto:
    meaning = reason.meaning
    next_check = now + pause_until_next_check(reason, now) if facts.unfinished else None
    return ReasonDto(
        code=reason.code,
        text=text_of(reason, language),
        since=reason.since,
        sub_orders=reason.sub_orders,
        actor=meaning.actor,
        your_turn=meaning.your_turn,
        next_check=next_check,
    )


def _counts(by_state: Mapping[SubOrderState, int]) -> SubOrderCountsDto:
    def number(*states: SubOrderState) -> int:
        return sum(by_state.get(state, 0) for state in states)

    return SubOrderCountsDto(
        total=number(*SubOrderState),
        ready=number(SubOrderState.BUILDING, SubOrderState.READY),
        running=number(SubOrderState.RUNNING),
        processing=number(SubOrderState.PROCESSING),
        waiting=number(SubOrderState.WAITING),
        ended=number(SubOrderState.ENDED),
    )


def sub_order_document(
    facts: OrderFacts,
    sub_order: SubOrderProgress,
    slots_per_user: int,
    language: Language,
    now: datetime,
) -> SubOrderProgressDto:
    reason = reason_of_sub_order(facts, sub_order.group, slots_per_user)
    counters = sub_order.counters
    return SubOrderProgressDto(
        sub_order_id=sub_order.id,
        kind=sub_order.kind,
        state=sub_order.state,
        files=counters.total_files,
        pending_files=counters.pending,
        available_files=counters.available,
        failed_files=counters.to_retry,
        percent=counters.percent,
        reason=_reason(facts, reason, language, now) if reason else None,
        attempts=AttemptsDto(asks=sub_order.asks, first_asked=sub_order.asked_at),
    )
