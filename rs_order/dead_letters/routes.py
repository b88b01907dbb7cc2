"""The endpoints for dead letters: INSTANCE_ADMIN acts on all, others on those of their project."""

from dataclasses import dataclass
from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Path, Query, Request, Response

from rs_order.contracts.dead_letter_bodies import (
    CorrectedBody,
    DeadLetterDto,
    DeadLetterPage,
    DiscardRequest,
    FullDeadLetterDto,
    HandledDto,
    ReplayRequest,
    RunDto,
    RunRequest,
)
from rs_order.contracts.platform_names import INSTANCE_ADMIN
from rs_order.contracts.wire import INT64, Entity, Instant, Long, Text
from rs_order.core.errors import DeadLetterRejected
from rs_order.correlation_ids import correlation_id
from rs_order.dead_letters.acts import DeadLetterActs, Handled
from rs_order.dead_letters.runs import LetterRuns
from rs_order.domain.dead_letters import DeadLetterFilter, Operator
from rs_order.domain.identity import Caller
from rs_order.rest.access import Access
from rs_order.rest.addresses import base_address, expand, own_address
from rs_order.rest.answers import entity, json_answer
from rs_order.rest.problems import RETRY_SECONDS
from rs_order.rest.resources import (
    CANCEL_DEAD_LETTER_RUN,
    DISCARD_DEAD_LETTERS,
    GET_DEAD_LETTER,
    GET_DEAD_LETTER_RUN,
    LIST_DEAD_LETTERS,
    REPLAY_DEAD_LETTER,
    REPLAY_DEAD_LETTERS,
    START_DEAD_LETTER_RUN,
)
from rs_order.rest.routing import BAD_BODY, AuthorisedCaller, Endpoints

LARGEST_PAGE = 2000

LetterId = Annotated[Text, Path(alias="letterId", examples=["5c2c51842fdb8a3d"])]
RunId = Annotated[int, Path(alias="runId", ge=1, le=INT64, examples=[7])]

_UNKNOWN = {404: "The caller can see no dead letter with this id; nothing was changed"}
_TOO_MANY = {422: "Too many dead letters are named; a filter may select more"}
_UNKNOWN_RUN = {404: "The caller can see no act with this id"}
_OTHER_TENANT = {422: "The filter names another project than the caller's"}


@dataclass(frozen=True, slots=True)
class DeadLetterServices:
    """The acts on single dead letters, and on all that a filter selects."""

    acts: DeadLetterActs
    runs: LetterRuns


@dataclass(frozen=True, slots=True)
class LetterQuery:
    """The filter of a list, from the parameters of its address."""

    tenant: Annotated[Text | None, Query()] = None
    queue: Annotated[
        Text | None, Query(description="The queue that holds it, or that it came from.")
    ] = None
    reason: Annotated[Text | None, Query(examples=["unknown-tenant"])] = None
    order_id: Annotated[Long | None, Query(alias="orderId")] = None
    step: Annotated[Text | None, Query()] = None
    died_before: Annotated[Instant | None, Query(alias="diedBefore")] = None

    @property
    def filter(self) -> DeadLetterFilter:
        return DeadLetterFilter(
            self.tenant, self.queue, self.reason, self.order_id, self.step, self.died_before
        )


def dead_letters_router(access: Access, services: DeadLetterServices) -> APIRouter:
    """Return the endpoints for dead letters, and for acts on all that a filter selects."""
    endpoints = Endpoints(access, tag="dead letters")
    _serve_lists(endpoints, services.acts)
    _serve_acts(endpoints, services.acts)
    _serve_acts_on_several(endpoints, services.acts)
    _serve_runs(endpoints, services.runs)
    return endpoints.router


def _serve_lists(endpoints: Endpoints, acts: DeadLetterActs) -> None:
    @endpoints.serve(
        LIST_DEAD_LETTERS, model=DeadLetterPage, responses={**_UNKNOWN, **_OTHER_TENANT}
    )
    async def list_dead_letters(
        request: Request,
        caller: AuthorisedCaller,
        wanted: Annotated[LetterQuery, Depends()],
        size: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = 20,
        after: Annotated[
            Text | None, Query(description="Id of the last one on the page before.")
        ] = None,
    ) -> Response:
        """List open dead letters, the oldest first, page by page."""
        found = await acts.list(wanted.filter, _operator(caller), size, after)
        links = []
        if found.more:
            following = own_address(request).include_query_params(after=found.letters[-1].id)
            links = [{"rel": "next", "href": str(following.remove_query_params("token"))}]
        content = [DeadLetterDto.of(letter).to_wire() for letter in found.letters]
        return json_answer(request, {"content": content, "links": links})

    @endpoints.serve(GET_DEAD_LETTER, model=Entity[FullDeadLetterDto], responses=_UNKNOWN)
    async def get_dead_letter(
        request: Request, caller: AuthorisedCaller, letter_id: LetterId
    ) -> Response:
        """Get a dead letter in any state, with its headers and body."""
        letter = await acts.find(letter_id, _operator(caller))
        return json_answer(request, entity(FullDeadLetterDto.of(letter)))


def _serve_acts(endpoints: Endpoints, acts: DeadLetterActs) -> None:
    @endpoints.serve(
        REPLAY_DEAD_LETTER,
        model=HandledDto,
        responses={
            **_UNKNOWN,
            **BAD_BODY,
            409: "It was replayed or discarded before, or its queue doesn't exist",
            422: "The corrected body breaks the contract of the queue; each message names a member",
        },
    )
    async def replay_dead_letter(
        request: Request,
        caller: AuthorisedCaller,
        letter_id: LetterId,
        corrected: CorrectedBody | None = None,
    ) -> Response:
        """Send a dead letter back to the queue that it came from, with a corrected body if there is one."""
        operator = _operator(caller)
        if corrected is None or corrected.body is None:
            handled = await acts.replay([letter_id], operator)
            if handled.rejected:
                raise DeadLetterRejected(handled.rejected[letter_id])
        else:
            body = orjson.dumps(corrected.body)
            handled = await acts.replay_corrected(letter_id, body, operator)
        return _handled(request, handled)


def _serve_acts_on_several(endpoints: Endpoints, acts: DeadLetterActs) -> None:
    @endpoints.serve(
        REPLAY_DEAD_LETTERS, model=HandledDto, responses={**_UNKNOWN, **_TOO_MANY, **BAD_BODY}
    )
    async def replay_dead_letters(
        request: Request, caller: AuthorisedCaller, wanted: ReplayRequest
    ) -> Response:
        """Send named dead letters back to the queues that they came from."""
        return _handled(request, await acts.replay(wanted.ids, _operator(caller), wanted.rate))

    @endpoints.serve(
        DISCARD_DEAD_LETTERS,
        model=HandledDto,
        responses={
            **_UNKNOWN,
            **_TOO_MANY,
            **BAD_BODY,
            409: "One of them was replayed or discarded before; nothing was changed",
        },
    )
    async def discard_dead_letters(
        request: Request, caller: AuthorisedCaller, wanted: DiscardRequest
    ) -> Response:
        """Discard named dead letters for a reason."""
        letters = await acts.discard(wanted.ids, _operator(caller), wanted.because)
        return _handled(request, Handled([letter.id for letter in letters]))


def _serve_runs(endpoints: Endpoints, runs: LetterRuns) -> None:
    @endpoints.serve(
        START_DEAD_LETTER_RUN,
        success=202,
        model=Entity[RunDto],
        responses={**BAD_BODY, 422: "The reason is missing, or the filter names another project"},
    )
    async def start_dead_letter_run(
        request: Request, caller: AuthorisedCaller, wanted: RunRequest
    ) -> Response:
        """Replay or discard all open dead letters that match now; the service does it in slices."""
        run = await runs.start(
            wanted.act,
            wanted.filter.filter,
            _operator(caller),
            rate=wanted.rate,
            because=wanted.because,
        )
        answer = json_answer(request, entity(RunDto.of(run)), status=202)
        path = expand(GET_DEAD_LETTER_RUN.template, {"runId": run.id})
        answer.headers["Location"] = base_address(request) + path
        answer.headers["Retry-After"] = str(RETRY_SECONDS)
        return answer

    @endpoints.serve(GET_DEAD_LETTER_RUN, model=Entity[RunDto], responses=_UNKNOWN_RUN)
    async def get_dead_letter_run(
        request: Request, caller: AuthorisedCaller, run_id: RunId
    ) -> Response:
        """Get the progress of an act on many dead letters."""
        run = await runs.find(run_id, _operator(caller))
        return json_answer(request, entity(RunDto.of(run)))

    @endpoints.serve(CANCEL_DEAD_LETTER_RUN, model=Entity[RunDto], responses=_UNKNOWN_RUN)
    async def cancel_dead_letter_run(
        request: Request, caller: AuthorisedCaller, run_id: RunId
    ) -> Response:
        """Stop an act on many dead letters. What was done stays."""
        run = await runs.cancel(run_id, _operator(caller))
        return json_answer(request, entity(RunDto.of(run)))


def _operator(caller: Caller) -> Operator:
    tenant = None if caller.role == INSTANCE_ADMIN else caller.tenant
    return Operator(caller.email, "rest", tenant, caller.role, correlation_id())


def _handled(request: Request, handled: Handled) -> Response:
    body = HandledDto(done=handled.done, rejected=handled.rejected)
    return json_answer(request, body.to_wire())
