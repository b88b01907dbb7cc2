"""Decides about the requests of the inbox (amqp.md 2.4): the only part that calls remote services."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import islice

import structlog

from rs_order.concurrency import as_they_end
from rs_order.contracts.order_messages import OrderRequest
from rs_order.core.shared_steps import GrantRequestsStep
from rs_order.domain.ids import RequestId, Tenant
from rs_order.ports import RemoteUnavailable
from rs_order.requests.answer import AnswerRequests, Decision, Decisions, Unavailable, Unexpected
from rs_order.requests.estimate import Estimator
from rs_order.store.errors import StoreError
from rs_order.store.requests import WaitingRequest
from rs_order.store.unit_of_work import Store

_CONCURRENT_REQUESTS = 32
"""Requests that are decided at the same time."""
_ANSWERED_TOGETHER = 1000
"""Requests that are answered in one commit."""
_COMMIT_EVERY = timedelta(seconds=2)
"""The longest time that a slow request delays the responses to others."""
_LONGEST_RUN = timedelta(seconds=120)
"""The longest time of one step: the broker expects its acknowledgement within half an hour."""

log = structlog.get_logger(__name__)


class GrantRequests:
    """Decides about each request, calling the remote services, and answers decisions as they come."""

    def __init__(
        self,
        store: Store,
        estimator: Estimator,
        answers: AnswerRequests,
        *,
        attempt_seconds: float = 60,
    ) -> None:
        """``attempt_seconds``: how long one attempt may take before the service counts as unavailable."""
        self._store = store
        self._estimator = estimator
        self._answers = answers
        self._attempt_seconds = attempt_seconds

    async def handle(self, tenant: Tenant, steps: Sequence[GrantRequestsStep]) -> None:
        """Answer the requests that can be decided now; further steps decide the others."""
        ids = [id_ for step in steps for id_ in step.requests]
        waiting = await self._store.received_requests(tenant, ids)
        requests = {request.id: request for request in waiting}
        slots = asyncio.Semaphore(_CONCURRENT_REQUESTS)
        deciding = {
            asyncio.create_task(self._decide(tenant, request, slots)): request
            for request in requests.values()
        }
        try:
            pending = await self._commit_as_decided(tenant, requests, deciding)
        finally:
            for task in deciding:
                task.cancel()
        if pending:
            left = sorted(deciding[task].id for task in pending)
            async with self._store.unit_of_work(tenant) as uow:
                await uow.messages.send(
                    [step.to(tenant) for step in GrantRequestsStep.for_all(left)]
                )

    async def _commit_as_decided(
        self,
        tenant: Tenant,
        requests: dict[RequestId, WaitingRequest],
        deciding: Mapping[asyncio.Task[Decision], WaitingRequest],
    ) -> set[asyncio.Task[Decision]]:
        """Commit decisions as they come, until the run ends; return the tasks still undecided."""
        pending = set(deciding)
        every, longest = _COMMIT_EVERY.total_seconds(), _LONGEST_RUN.total_seconds()
        async for done in as_they_end(deciding, every=every, longest=longest):
            pending -= done
            in_order = iter(sorted(done, key=lambda task: deciding[task].id))
            while some := list(islice(in_order, _ANSWERED_TOGETHER)):
                decided = Decisions()
                for task in some:
                    decided.add(deciding[task], task.result())
                await self._answers.handle(tenant, requests, decided)
        return pending

    async def _decide(
        self, tenant: Tenant, request: WaitingRequest, slots: asyncio.Semaphore
    ) -> Decision:
        async with slots:
            try:
                async with asyncio.timeout(self._attempt_seconds):
                    return await self._estimator.estimate(
                        tenant, OrderRequest.model_validate(request.body)
                    )
            except RemoteUnavailable as error:
                return Unavailable(error)
            except TimeoutError:
                detail = f"no answer within {self._attempt_seconds:g} s"
                return Unavailable(RemoteUnavailable("catalog or rs-admin", detail))
            except StoreError:
                raise
            except Exception as error:  # a failed request must not fail the others
                log.exception("request-not-decided", request=request.id)
                return Unexpected(type(error).__name__)
