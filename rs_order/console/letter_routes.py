"""The pages of dead letters: see why they died, correct, compare, replay, discard (console.md 4)."""

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import Form, Path, Query, Response

from rs_order.broker.delivery import DeadLetterReason
from rs_order.console.letters import (
    body_text,
    difference,
    faults_of,
    letter_row,
    pairs,
    reason_of,
    same_body,
    unix_lines,
    with_faults,
)
from rs_order.console.paging import Neighbours
from rs_order.console.visits import Pages, Tone, Visit, Visiting
from rs_order.contracts.dead_letter_bodies import DEFAULT_RATE
from rs_order.contracts.platform_names import INSTANCE_ADMIN
from rs_order.contracts.wire import INT64
from rs_order.core.errors import DeadLetterRejected, InvalidInput, NotFound
from rs_order.correlation_ids import correlation_id
from rs_order.dead_letters.acts import DeadLetterActs
from rs_order.dead_letters.routes import DeadLetterServices
from rs_order.domain.dead_letters import (
    DeadLetterFilter,
    LetterAct,
    LetterState,
    Operator,
    RunState,
    StoredDeadLetter,
)
from rs_order.rest.resources import (
    CANCEL_DEAD_LETTER_RUN,
    DISCARD_DEAD_LETTERS,
    GET_DEAD_LETTER,
    GET_DEAD_LETTER_RUN,
    LIST_DEAD_LETTERS,
    READ_AUDIT,
    REPLAY_DEAD_LETTER,
    REPLAY_DEAD_LETTERS,
    START_DEAD_LETTER_RUN,
)
from rs_order.store.audit import Audit, AuditSearch

PAGE_SIZE: Final = 50
LONGEST_REASON: Final = 500
_AGES: Final = (1, 24, 168)
"""Hours of the filter by age."""
Text = Annotated[str, Query(max_length=255)]
Letter = Annotated[str, Path(alias="letterId", max_length=255)]
Ids = Annotated[list[str], Form()]
_HANDLED: Final = ("dead-letter.replayed", "dead-letter.corrected", "dead-letter.discarded")


@dataclass(frozen=True, slots=True)
class LetterReads:
    """The use cases of dead letters, and the audit behind them."""

    letters: DeadLetterServices
    audit: Audit


@dataclass(frozen=True, slots=True)
class Wanted:
    """The filter in the address of the list."""

    queue: str = ""
    reason: str = ""
    project: str = ""
    age: int = 0
    """Hours since they died, at least; 0: any."""

    def filter(self, visit: Visit) -> DeadLetterFilter:
        return DeadLetterFilter(
            tenant=self.project or None,
            queue=self.queue or None,
            reason=self.reason or None,
            died_before=visit.now - timedelta(hours=self.age) if self.age else None,
        )

    def query(self, **more: object) -> str:
        values = {"queue": self.queue, "reason": self.reason, "project": self.project}
        kept = {**values, "age": self.age, **more}
        return urlencode({name: value for name, value in kept.items() if value})


def operator_of(visit: Visit) -> Operator:
    caller = visit.caller
    tenant = None if caller.role == INSTANCE_ADMIN else caller.tenant
    return Operator(caller.email, "rest", tenant, caller.role, correlation_id())


def serve_letters(pages: Pages, reads: LetterReads) -> None:
    _serve_list(pages, reads.letters.acts)
    _serve_runs(pages, reads.letters)
    _serve_several(pages, reads.letters.acts)
    _serve_letter(pages, reads)


def _serve_list(pages: Pages, acts: DeadLetterActs) -> None:
    @pages.page("/dead-letters", LIST_DEAD_LETTERS)
    async def list_letters(  # noqa: PLR0917 - FastAPI passes them by name
        visit: Visiting,
        queue: Text = "",
        reason: Text = "",
        project: Text = "",
        age: Annotated[int, Query(ge=0, le=100_000)] = 0,
        after: Text = "",
    ) -> Response:
        operator, wanted = operator_of(visit), Wanted(queue, reason, project, age)
        found = await acts.list(wanted.filter(visit), operator, PAGE_SIZE, after or None)
        root = f"{visit.root}/dead-letters"
        last = found.letters[-1].id if found.more else None
        return visit.page(
            "letters.html",
            current="dead-letters",
            wanted=wanted,
            query=wanted.query(),
            filtered=wanted != Wanted(),
            ages=_AGES,
            reasons=tuple(DeadLetterReason),
            every_project=operator.tenant is None,
            rows=[letter_row(letter, visit.texts) for letter in found.letters],
            pages=Neighbours(
                f"{root}?{wanted.query()}" if after else None,
                f"{root}?{wanted.query(after=last)}" if last else None,
            ),
            may_replay=visit.may(REPLAY_DEAD_LETTERS),
            may_discard=visit.may(DISCARD_DEAD_LETTERS),
            may_run=visit.may(START_DEAD_LETTER_RUN),
        )


def _serve_letter(pages: Pages, reads: LetterReads) -> None:
    acts = reads.letters.acts

    @pages.page("/dead-letters/{letterId}", GET_DEAD_LETTER)
    async def show_letter(visit: Visiting, letter_id: Letter) -> Response:
        letter = await acts.find(letter_id, operator_of(visit))
        return await _letter_page(visit, reads, letter)

    @pages.act("/dead-letters/{letterId}/check", REPLAY_DEAD_LETTER)
    async def check_letter(
        visit: Visiting, letter_id: Letter, body: Annotated[str, Form()] = ""
    ) -> Response:
        """Show what a correction changes, and what the contract of the queue says of it."""
        letter, text = await acts.find(letter_id, operator_of(visit)), unix_lines(body)
        try:
            acts.check(letter, _encoded(text))
        except InvalidInput as error:
            faults = faults_of(error.messages)
            return await _letter_page(visit, reads, letter, text, faults=with_faults(text, faults))
        return await _letter_page(visit, reads, letter, text, checked=True)

    @pages.act("/dead-letters/{letterId}/replay", REPLAY_DEAD_LETTER)
    async def replay_letter(
        visit: Visiting, letter_id: Letter, body: Annotated[str | None, Form()] = None
    ) -> Response:
        operator, place = operator_of(visit), f"dead-letters/{letter_id}"
        letter = await acts.find(letter_id, operator)
        try:
            if body is None or same_body(body, letter.body):
                handled = await acts.replay([letter_id], operator)
                if handled.rejected:
                    return visit.back(
                        place,
                        "did.letter.rejected",
                        tone=Tone.BAD,
                        text=handled.rejected[letter_id],
                    )
            else:
                await acts.replay_corrected(letter_id, _encoded(unix_lines(body)), operator)
        except (DeadLetterRejected, InvalidInput) as error:
            return visit.back(place, "did.letter.rejected", tone=Tone.BAD, text=str(error))
        return visit.back(place, "did.letter.replay")

    @pages.act("/dead-letters/{letterId}/discard", DISCARD_DEAD_LETTERS)
    async def discard_letter(
        visit: Visiting,
        letter_id: Letter,
        because: Annotated[str, Form(min_length=1, max_length=LONGEST_REASON)],
    ) -> Response:
        place = f"dead-letters/{letter_id}"
        try:
            await acts.discard([letter_id], operator_of(visit), because)
        except DeadLetterRejected as error:
            return visit.back(place, "did.letter.rejected", tone=Tone.BAD, text=str(error))
        return visit.back(place, "did.letter.discard")


def _encoded(text: str) -> bytes:
    """Return an edited body as it is sent: JSON without the line breaks of the page."""
    try:
        return json.dumps(json.loads(text), ensure_ascii=False, separators=(",", ":")).encode()
    except (ValueError, RecursionError):
        return text.encode(errors="replace")


async def _letter_page(
    visit: Visit,
    reads: LetterReads,
    letter: StoredDeadLetter,
    text: str | None = None,
    *,
    faults: Any = None,
    checked: bool = False,
) -> Response:
    """Return the page of a dead letter.

    Args:
        visit: who sees it.
        reads: has the audit.
        letter: as it is stored.
        text: the body as the visitor edited it; None: they didn't.
        faults: its lines with what is wrong; None: nothing, or it wasn't checked.
        checked: it keeps the contract.
    """
    shown, edited = body_text(letter.body), text is not None
    return visit.page(
        "letter.html",
        422 if faults else 200,
        current="dead-letters",
        letter=letter,
        row=letter_row(letter, visit.texts),
        reason=reason_of(letter, visit.texts),
        open=letter.state is LetterState.OPEN,
        headers=pairs(letter.headers),
        properties=pairs(letter.properties),
        body=text if text is not None else shown,
        edited=edited,
        checked=checked,
        faults=faults,
        changes=difference(shown, text) if text is not None else None,
        unchanged=text is not None and text == shown,
        acts=await _earlier_acts(visit, reads.audit, letter),
        may_replay=visit.may(REPLAY_DEAD_LETTER),
        may_discard=visit.may(DISCARD_DEAD_LETTERS),
    )


async def _earlier_acts(visit: Visit, audit: Audit, letter: StoredDeadLetter) -> Any:
    if not visit.may(READ_AUDIT):
        return []
    tenant = None if visit.caller.role == INSTANCE_ADMIN else visit.caller.tenant
    search = AuditSearch(tenant=tenant, object_kind="dead-letter", object_id=letter.id)
    return [one for one in await audit.page(search, limit=20) if one.action in _HANDLED]


def _serve_several(pages: Pages, acts: DeadLetterActs) -> None:
    @pages.act("/dead-letters/replay", REPLAY_DEAD_LETTERS)
    async def replay_letters(
        visit: Visiting,
        ids: Annotated[list[str], Form(max_length=PAGE_SIZE)] = [],  # noqa: B006 - FastAPI copies it
        query: Annotated[str, Form(max_length=2000)] = "",
    ) -> Response:
        place = _list_of(query)
        if not ids:
            return visit.back(place, "did.letters.none", tone=Tone.BAD)
        try:
            handled = await acts.replay(ids, operator_of(visit))
        except NotFound as error:
            return visit.back(place, "did.letter.rejected", tone=Tone.BAD, text=str(error))
        return _replayed(visit, place, len(handled.done), list(handled.rejected.values()))

    @pages.act("/dead-letters/ask-discard", DISCARD_DEAD_LETTERS)
    async def ask_discard(
        visit: Visiting,
        ids: Annotated[list[str], Form(max_length=PAGE_SIZE)] = [],  # noqa: B006 - FastAPI copies it
        query: Annotated[str, Form(max_length=2000)] = "",
    ) -> Response:
        if not ids:
            return visit.back(_list_of(query), "did.letters.none", tone=Tone.BAD)
        return _run_question(
            visit, LetterAct.DISCARD, Wanted(), len(ids), ids=ids, back=_list_of(query)
        )

    @pages.act("/dead-letters/discard", DISCARD_DEAD_LETTERS)
    async def discard_letters(
        visit: Visiting,
        ids: Annotated[list[str], Form(max_length=PAGE_SIZE)],
        because: Annotated[str, Form(min_length=1, max_length=LONGEST_REASON)],
        back: Annotated[str, Form(max_length=2000)] = "",
    ) -> Response:
        place = back if back.startswith("dead-letters") else "dead-letters"
        try:
            letters = await acts.discard(ids, operator_of(visit), because)
        except (NotFound, DeadLetterRejected) as error:
            return visit.back(place, "did.letter.rejected", tone=Tone.BAD, text=str(error))
        return visit.back(
            place, "did.letters.discard", letters=visit.texts.count("letter", len(letters))
        )


def _replayed(visit: Visit, place: str, done: int, rejected: list[str]) -> Response:
    letters = visit.texts.count("letter", done)
    if not rejected:
        return visit.back(place, "did.letters.replay", letters=letters)
    return visit.back(
        place,
        "did.letters.replay-some",
        tone=Tone.BAD,
        letters=letters,
        text=" ".join(rejected[:5]),
    )


def _list_of(query: str) -> str:
    return f"dead-letters?{query}" if query else "dead-letters"


def _serve_runs(pages: Pages, services: DeadLetterServices) -> None:
    runs, acts = services.runs, services.acts

    @pages.page("/dead-letters/all/{act}", START_DEAD_LETTER_RUN)
    async def ask_run(  # noqa: PLR0917 - FastAPI passes them by name
        visit: Visiting,
        act: LetterAct,
        queue: Text = "",
        reason: Text = "",
        project: Text = "",
        age: Annotated[int, Query(ge=0, le=100_000)] = 0,
    ) -> Response:
        wanted = Wanted(queue, reason, project, age)
        letters = await acts.count(wanted.filter(visit), operator_of(visit))
        return _run_question(visit, act, wanted, letters, ids=[], back=_list_of(wanted.query()))

    @pages.act("/dead-letters/all/{act}", START_DEAD_LETTER_RUN)
    async def start_run(  # noqa: PLR0917 - FastAPI passes them by name
        visit: Visiting,
        act: LetterAct,
        queue: Annotated[str, Form(max_length=255)] = "",
        reason: Annotated[str, Form(max_length=255)] = "",
        project: Annotated[str, Form(max_length=255)] = "",
        age: Annotated[int, Form(ge=0, le=100_000)] = 0,
        rate: Annotated[float, Form(gt=0, le=10_000)] = DEFAULT_RATE,
        because: Annotated[str, Form(max_length=LONGEST_REASON)] = "",
    ) -> Response:
        wanted = Wanted(queue, reason, project, age)
        run = await runs.start(
            act, wanted.filter(visit), operator_of(visit), rate=rate, because=because or None
        )
        return visit.back(f"dead-letters/runs/{run.id}", f"did.run.{act}")

    @pages.page("/dead-letters/runs/{runId}", GET_DEAD_LETTER_RUN)
    async def show_run(
        visit: Visiting, run_id: Annotated[int, Path(alias="runId", ge=1, le=INT64)]
    ) -> Response:
        run = await runs.find(run_id, operator_of(visit))
        handled = run.done + run.rejected
        return visit.page(
            "run.html",
            current="dead-letters",
            run=run,
            percent=100 * handled // run.total if run.total else 100,
            running=run.state is RunState.RUNNING,
            rejections=list(run.rejections.items())[:PAGE_SIZE],
            may_cancel=visit.may(CANCEL_DEAD_LETTER_RUN),
        )

    @pages.act("/dead-letters/runs/{runId}/cancel", CANCEL_DEAD_LETTER_RUN)
    async def cancel_run(
        visit: Visiting, run_id: Annotated[int, Path(alias="runId", ge=1, le=INT64)]
    ) -> Response:
        await runs.cancel(run_id, operator_of(visit))
        return visit.back(f"dead-letters/runs/{run_id}", "did.run.cancel")


def _run_question(
    visit: Visit, act: LetterAct, wanted: Wanted, letters: int, *, ids: list[str], back: str
) -> Response:
    return visit.page(
        "letters_question.html",
        current="dead-letters",
        act=act,
        wanted=wanted,
        letters=visit.texts.count("letter", letters),
        ids=ids,
        rate=int(DEFAULT_RATE),
        longest=LONGEST_REASON,
        back=back,
    )
