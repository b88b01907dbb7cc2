"""The progress documents of orders and sub-orders."""

from collections.abc import Mapping

from rs_order.contracts.progress_bodies import (
    AheadDto,
    Assumption,
    AttemptsDto,
    ExpectedDto,
    FurtherReasonDto,
    ProgressDto,
    ReasonDto,
    SubOrderCountsDto,
    SubOrderProgressDto,
    TurnDto,
)
from rs_order.core.reason_texts import Language, text_of
from rs_order.core.waiting_orders import reason_document
from rs_order.domain.estimates import Silence
from rs_order.domain.expectations import Answer, Expectations, Expected, pause_until_next_check
from rs_order.domain.ids import OrderId
from rs_order.domain.reasons import (
    OrderFacts,
    WaitingReason,
    reason_of_sub_order,
    reasons_of,
)
from rs_order.domain.states import SubOrderState
from rs_order.store.progress import OrderProgress, SubOrderProgress


def progress_document(
    order_id: OrderId, progress: OrderProgress, expectations: Expectations, language: Language
) -> ProgressDto:
    facts, ahead = progress.facts, progress.ahead
    reasons = reasons_of(facts, expectations.slots_per_user)
    answer = expectations.of_order(facts, progress.place)
    return ProgressDto(
        order_id=order_id,
        status=facts.status,
        percent=facts.percent,
        computed_at=expectations.now,
        reason=_reason(facts, reasons.reason, answer, expectations, language),
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
        turn=_turn(progress),
        expected=_expected(answer),
        why=answer if isinstance(answer, Silence) else None,
        sub_orders=_counts(progress.by_state),
        attempts=AttemptsDto(asks=progress.asks, first_asked=progress.asked_at),
    )


def _turn(progress: OrderProgress) -> TurnDto | None:
    turn, scope = progress.turn, progress.facts.others_first
    if turn is None or scope is None:
        return None
    return TurnDto(
        scope=scope,
        sub_orders=turn.users,
        files=turn.files,
        bytes=turn.bytes,
        weight=turn.weight,
        used_bytes=turn.used_bytes,
    )


def _expected(answer: Answer) -> ExpectedDto | None:
    if not isinstance(answer, Expected):
        return None
    return ExpectedDto(
        earliest=answer.earliest,
        latest=answer.latest,
        level=answer.level,
        samples=answer.samples,
        assumes=[Assumption.YOUR_DOWNLOADS] if answer.assumes_downloads else [],
    )


def _reason(
    facts: OrderFacts,
    reason: WaitingReason,
    answer: Answer,
    expectations: Expectations,
    language: Language,
) -> ReasonDto:
    pause = pause_until_next_check(reason, answer, expectations)
    next_check = expectations.now + pause if facts.unfinished else None
    return reason_document(reason, next_check, language)


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
    expectations: Expectations,
    language: Language,
) -> SubOrderProgressDto:
    reason = reason_of_sub_order(facts, sub_order.group, expectations.slots_per_user)
    answer = expectations.of_sub_order(facts, sub_order.group)
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
        reason=_reason(facts, reason, answer, expectations, language) if reason else None,
        expected=_expected(answer),
        why=answer if isinstance(answer, Silence) else None,
        attempts=AttemptsDto(asks=sub_order.asks, first_asked=sub_order.asked_at),
    )
