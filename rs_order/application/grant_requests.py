"""Judges the requests of the inbox (amqp.md 2.4). Remote calls happen here, and nothing else."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta

import structlog

from rs_order.application.answer_requests import AnswerRequests
from rs_order.application.estimate import Estimator
from rs_order.application.steps import GrantRequestsStep
from rs_order.application.verdicts import Broken, Unanswered, Verdict, Verdicts
from rs_order.contracts.order_request import OrderRequest
from rs_order.domain.ids import RequestId, Tenant
from rs_order.ports.errors import RemoteTrouble
from rs_order.store.errors import StoreError
from rs_order.store.requests import RecordedRequest
from rs_order.store.unit_of_work import Store

_AT_ONCE = 32
"""Requests judged at the same time."""
_COMMIT_EVERY = timedelta(seconds=2)
"""A slow request never holds back the answers of the others for longer."""
_TURN = timedelta(seconds=120)
"""A step ends after this, far from the half hour in which the broker expects its acknowledgement."""

log = structlog.get_logger(__name__)


class GrantRequests:
    """Asks the remote services about each request, and has the verdicts answered as they come."""

    def __init__(
        self,
        store: Store,
        estimator: Estimator,
        answers: AnswerRequests,
        *,
        attempt_seconds: float = 60,
    ) -> None:
        """``attempt_seconds``: how long one attempt may take; longer is trouble of the remote service."""
        self._store = store
        self._estimator = estimator
        self._answers = answers
        self._attempt_seconds = attempt_seconds

    async def handle(self, tenant: Tenant, step: GrantRequestsStep) -> None:
        """Answer what can be answered now; the rest waits in further steps."""
        async with self._store.unit_of_work(tenant) as uow:
            requests = {
                request.id: request for request in await uow.requests.received(step.requests)
            }
        room = asyncio.Semaphore(_AT_ONCE)
        judging = {
            asyncio.create_task(self._judge(tenant, request, room)): request
            for request in requests.values()
        }
        try:
            pending = await self._commit_as_judged(tenant, requests, judging)
        finally:
            for task in judging:
                task.cancel()
        if pending:
            left = tuple(sorted(judging[task].id for task in pending))
            async with self._store.unit_of_work(tenant) as uow:
                await uow.messages.send([GrantRequestsStep(left).to(tenant)])

    async def _commit_as_judged(
        self,
        tenant: Tenant,
        requests: dict[RequestId, RecordedRequest],
        judging: Mapping[asyncio.Task[Verdict], RecordedRequest],
    ) -> set[asyncio.Task[Verdict]]:
        """Commit verdicts as they come, until the turn is over; what is not judged by then."""
        clock = asyncio.get_running_loop().time
        turn_ends = clock() + _TURN.total_seconds()
        pending = set(judging)
        while pending and clock() < turn_ends:
            done, pending = await asyncio.wait(pending, timeout=_COMMIT_EVERY.total_seconds())
            judged = Verdicts()
            for task in sorted(done, key=lambda task: judging[task].id):
                judged.add(judging[task], task.result())
            await self._answers.handle(tenant, requests, judged)
        return pending

    async def _judge(
        self, tenant: Tenant, request: RecordedRequest, room: asyncio.Semaphore
    ) -> Verdict:
        async with room:
            try:
                async with asyncio.timeout(self._attempt_seconds):
                    return await self._estimator.estimate(
                        tenant, OrderRequest.model_validate(request.body)
                    )
            except RemoteTrouble as trouble:
                return Unanswered(trouble)
            except TimeoutError:
                detail = f"no answer within {self._attempt_seconds:g} s"
                return Unanswered(RemoteTrouble("catalog or rs-admin", detail))
            except StoreError:
                raise
            except Exception as error:  # one request must not take the others with it
                log.exception("request-not-judged", request=request.id)
                return Broken(type(error).__name__)
