"""Acts on all dead letters that a filter selects: steps carry them out, a slice in each commit."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import islice
from typing import Final

import structlog

from rs_order.contracts.dead_letter_bodies import DEFAULT_RATE, FASTEST_RATE
from rs_order.core.errors import InvalidInput, NotFound
from rs_order.core.steps import Step, StepScope
from rs_order.dead_letters.acts import (
    Handled,
    discard_letters,
    log_discards,
    log_replay,
    replay_letters,
    visible,
)
from rs_order.domain.dead_letters import (
    DeadLetterFilter,
    LetterAct,
    LetterRun,
    LetterState,
    Operator,
    RunState,
    StoredDeadLetter,
)
from rs_order.domain.identity import INSTANCE
from rs_order.domain.ids import Tenant
from rs_order.ports import Clock
from rs_order.store.dead_letters import DeadLetterStore, DeadLetterUnit
from rs_order.store.outbox import OutgoingMessage

LARGEST_SLICE: Final = 200
SLICE_SECONDS: Final = 1.0
"""A slice of a replay holds about what may be sent in this time."""
KEPT_REJECTIONS: Final = 100

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class LetterRunStep(Step, name="act-on-dead-letters", scope=StepScope.INSTANCE):
    """Handle the next slice of a run. ``after`` is the last dead letter that was handled."""

    run_id: int
    after: int


class LetterRuns:
    """Starts, carries out, shows and cancels runs. Each method raises StoreError."""

    def __init__(self, store: DeadLetterStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def start(
        self,
        act: LetterAct,
        wanted: DeadLetterFilter,
        operator: Operator,
        *,
        rate: float = DEFAULT_RATE,
        because: str | None = None,
    ) -> LetterRun:
        """Start a run over the open dead letters that match now.

        Raises:
            InvalidInput: the rate is none, or the reason of a discard is missing.
        """
        if not 0 < rate <= FASTEST_RATE:
            raise InvalidInput(f"rate: more than 0 and at most {FASTEST_RATE:g} per second")
        if act is LetterAct.DISCARD and not (because or "").strip():
            raise InvalidInput("because: a reason is needed to discard")
        async with self._store.unit() as unit:
            run = await unit.start_run(
                act, visible(wanted, operator), operator, rate=rate, because=because
            )
            await unit.send([LetterRunStep(run.id, 0).to(INSTANCE)])
        log.info(
            "dead-letter-run-started", run=run.id, act=act, total=run.total, user=operator.name
        )
        return run

    async def find(self, run_id: int, operator: Operator) -> LetterRun:
        """Return a run with its progress.

        Raises:
            NotFound: the operator can see no run with this id.
        """
        async with self._store.unit() as unit:
            return _visible_run(await unit.run(run_id), run_id, operator)

    async def cancel(self, run_id: int, operator: Operator) -> LetterRun:
        """Stop a run. What it has handled stays; a run that has ended isn't changed.

        Raises:
            NotFound: the operator can see no run with this id.
        """
        async with self._store.unit() as unit:
            run = _visible_run(await unit.run(run_id, lock=True), run_id, operator)
            if run.state is not RunState.RUNNING:
                return run
            cancelled = replace(run, state=RunState.CANCELLED, ended_at=self._clock.now())
            await unit.advance_run(run, cancelled)
        log.info("dead-letter-run-cancelled", run=run.id, user=operator.name)
        return cancelled

    async def handle(self, _: Tenant, step: LetterRunStep) -> None:
        """Handle a slice. A step that comes again finds that its slice was handled."""
        async with self._store.unit() as unit:
            run = await unit.run(step.run_id, lock=True)
            if run is None or run.state is not RunState.RUNNING or run.last_number != step.after:
                return
            found = await unit.page(
                run.filter, _slice_size(run), after=run.last_number, up_to=run.up_to
            )
            locked = await unit.find([letter.id for letter in found], lock=True)
            letters = [letter for letter in locked if letter.state is LetterState.OPEN]
            result = await self._act(unit, run, letters)
            advanced = self._advanced(run, result, found)
            await unit.advance_run(run, advanced)
            if advanced.state is RunState.RUNNING:
                await unit.send([self._following(advanced)])
        if run.act is LetterAct.REPLAY:
            log_replay(letters, result, run.operator)
        else:
            log_discards(letters, run.operator, run.because or "")

    async def _act(
        self, unit: DeadLetterUnit, run: LetterRun, letters: Sequence[StoredDeadLetter]
    ) -> Handled:
        now = self._clock.now()
        if run.act is LetterAct.REPLAY:
            return await replay_letters(unit, letters, run.operator, now, run.rate)
        return await discard_letters(unit, letters, run.operator, now, run.because or "")

    def _advanced(
        self, run: LetterRun, result: Handled, found: Sequence[StoredDeadLetter]
    ) -> LetterRun:
        """Return the run after a slice. It is done if the slice wasn't full."""
        is_done = len(found) < _slice_size(run)
        rejections = {**run.rejections, **result.rejected}
        return replace(
            run,
            done=run.done + len(result.done),
            rejected=run.rejected + len(result.rejected),
            rejections=dict(islice(rejections.items(), KEPT_REJECTIONS)),
            last_number=found[-1].number if found else run.last_number,
            state=RunState.DONE if is_done else RunState.RUNNING,
            ended_at=self._clock.now() if is_done else None,
        )

    def _following(self, run: LetterRun) -> OutgoingMessage:
        """Return the step of the next slice. It waits until the messages of this one may have been sent."""
        seconds = _slice_size(run) / run.rate if run.act is LetterAct.REPLAY else 0.0
        due_at = self._clock.now() + timedelta(seconds=seconds)
        return LetterRunStep(run.id, run.last_number).to(INSTANCE, due_at if seconds else None)


def _slice_size(run: LetterRun) -> int:
    if run.act is LetterAct.DISCARD:
        return LARGEST_SLICE
    return max(1, min(LARGEST_SLICE, round(run.rate * SLICE_SECONDS)))


def _visible_run(run: LetterRun | None, run_id: int, operator: Operator) -> LetterRun:
    if run is None or operator.tenant not in (None, run.operator.tenant):
        raise NotFound(f"There is no act on dead letters with the id {run_id}")
    return run
