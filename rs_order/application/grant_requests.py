"""Judges the requests of the inbox and turns them into orders (amqp.md 2.4)."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from rs_order.application import responses, steps
from rs_order.application.estimate import Estimate, Estimator
from rs_order.application.policies import RemotePatience
from rs_order.application.refusal import Refusal
from rs_order.application.responses import Response
from rs_order.contracts.order_request import OrderRequest
from rs_order.contracts.order_response import ErrorType, ResponseStatus
from rs_order.domain.ids import OrderId, RequestId, Tenant
from rs_order.domain.labels import generated_label, unique_label
from rs_order.ports.clock import Clock
from rs_order.ports.errors import RemoteNonsense, RemoteTrouble
from rs_order.ports.outbox import MessageKind, OutgoingMessage
from rs_order.ports.store import NewOrder, RecordedRequest, RequestState, Store, UnitOfWork

_AT_ONCE = 32
"""Requests judged at the same time."""
_COMMIT_EVERY = timedelta(seconds=2)
"""A slow request never holds back the answers of the others for longer."""


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A remote service gave no answer for this request."""

    trouble: RemoteTrouble


Verdict = Estimate | Refusal | Unanswered


@dataclass(slots=True)
class _Judged:
    """Verdicts that wait for their commit, sorted by kind."""

    granted: dict[RequestId, Estimate] = field(default_factory=dict)
    refused: dict[RequestId, Refusal] = field(default_factory=dict)
    unanswered: dict[RequestId, Unanswered] = field(default_factory=dict)

    def add(self, request: RecordedRequest, verdict: Verdict) -> None:
        match verdict:
            case Estimate():
                self.granted[request.id] = verdict
            case Refusal():
                self.refused[request.id] = verdict
            case Unanswered():
                self.unanswered[request.id] = verdict

    @property
    def ids(self) -> list[RequestId]:
        return [*self.granted, *self.refused, *self.unanswered]


class GrantRequests:
    """Remote calls first, then one commit per wave with everything that was decided in it."""

    def __init__(
        self,
        store: Store,
        estimator: Estimator,
        clock: Clock,
        patience: RemotePatience,
        *,
        attempt_seconds: float = 60,
    ) -> None:
        """``attempt_seconds``: how long one attempt may take; longer is trouble of the remote service."""
        self._store = store
        self._estimator = estimator
        self._clock = clock
        self._patience = patience
        self._attempt_seconds = attempt_seconds

    async def handle(self, tenant: Tenant, ids: Sequence[RequestId]) -> None:
        """Answer what can be answered now; the rest waits in delayed steps."""
        async with self._store.unit_of_work(tenant) as uow:
            requests = {request.id: request for request in await uow.requests.received(ids)}
        room = asyncio.Semaphore(_AT_ONCE)
        tasks = {
            asyncio.create_task(self._judge(tenant, request, room)): request
            for request in requests.values()
        }
        pending = set(tasks)
        try:
            while pending:
                done, pending = await asyncio.wait(pending, timeout=_COMMIT_EVERY.total_seconds())
                judged = _Judged()
                for task in sorted(done, key=lambda task: tasks[task].id):
                    judged.add(tasks[task], task.result())
                await self._commit(tenant, requests, judged)
        finally:
            for task in pending:
                task.cancel()

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

    async def _commit(
        self, tenant: Tenant, requests: dict[RequestId, RecordedRequest], judged: _Judged
    ) -> None:
        if not judged.ids:
            return
        async with self._store.unit_of_work(tenant) as uow:
            open_ids = await uow.requests.lock_received(judged.ids)
            await self._grant(
                uow,
                [(requests[id_], judged.granted[id_]) for id_ in judged.granted if id_ in open_ids],
            )
            await self._refuse(
                uow,
                [(requests[id_], judged.refused[id_]) for id_ in judged.refused if id_ in open_ids],
            )
            await self._wait(
                uow,
                [
                    (requests[id_], judged.unanswered[id_])
                    for id_ in judged.unanswered
                    if id_ in open_ids
                ],
            )

    async def _grant(
        self, uow: UnitOfWork, granted: Sequence[tuple[RecordedRequest, Estimate]]
    ) -> None:
        if not granted:
            return
        settings = await uow.settings()
        orders = await self._new_orders(uow, granted, settings.app_sub_order_hours)
        ids = await uow.orders.create(orders)
        answers: list[Response] = []
        decisions: dict[RequestId, OrderId | None] = {}
        for order_id, (request, _) in zip(ids, granted, strict=True):
            decisions[request.id] = order_id
            answers.append(
                responses.granted(uow.tenant, order_id, request.id, request.correlation_id)
            )
        await uow.requests.decide(RequestState.GRANTED, decisions)
        await uow.messages.respond(answers)
        await uow.messages.send([steps.complete_order(uow.tenant, id_, 0, 0) for id_ in ids])

    async def _new_orders(
        self,
        uow: UnitOfWork,
        granted: Sequence[tuple[RecordedRequest, Estimate]],
        sub_order_hours: int,
    ) -> list[NewOrder]:
        now = self._clock.now()
        wanted = generated_label(now)
        owners = sorted({estimate.user.email for _, estimate in granted})
        pairs = await uow.orders.labels_taken(owners, [wanted] * len(owners))
        taken: dict[str, set[str]] = defaultdict(set)
        for owner, label in pairs:
            taken[owner].add(label)
        orders = []
        for request, estimate in granted:
            label = unique_label(wanted, taken[estimate.user.email])
            taken[estimate.user.email].add(label)
            orders.append(
                NewOrder(
                    owner=estimate.user.email,
                    role=estimate.user.role,
                    label=label,
                    correlation_id=request.correlation_id,
                    request_id=request.id,
                    sub_order_hours=sub_order_hours,
                    created_at=now,
                    selections=estimate.selections,
                )
            )
        return orders

    @staticmethod
    async def _refuse(uow: UnitOfWork, refused: Sequence[tuple[RecordedRequest, Refusal]]) -> None:
        for status in (ResponseStatus.DENIED, ResponseStatus.FAILED):
            of_status = [
                (request, refusal) for request, refusal in refused if refusal.status is status
            ]
            await uow.requests.decide(
                RequestState(status), {request.id: None for request, _ in of_status}
            )
            await uow.messages.respond(
                [
                    responses.refused(uow.tenant, request.id, request.correlation_id, refusal)
                    for request, refusal in of_status
                ]
            )

    async def _wait(
        self, uow: UnitOfWork, unanswered: Sequence[tuple[RecordedRequest, Unanswered]]
    ) -> None:
        """Ask again later, or tell the sender that it took too long."""
        now = self._clock.now()
        again: dict[int, list[RequestId]] = defaultdict(list)
        for request, verdict in unanswered:
            since = request.trouble_since or now
            if self._patience.exhausted(since, now):
                await self._give_up(uow, request, verdict.trouble)
            else:
                again[request.attempts].append(request.id)
        for attempts, ids in again.items():
            await uow.requests.note_trouble(ids, now)
            due = now + self._patience.pause(attempts)
            await uow.messages.send([steps.grant_requests(uow.tenant, ids, due)])

    async def _give_up(
        self, uow: UnitOfWork, request: RecordedRequest, trouble: RemoteTrouble
    ) -> None:
        """FAILED; and where a service answered nonsense, a dead letter for whoever mends the service."""
        seconds = self._patience.deadline.total_seconds()
        message = (
            f"RemoteServiceException: {trouble.service} gave no usable answer for {seconds:g} s. "
            "Please send the request again later."
        )
        refusal = Refusal.failed(ErrorType.INTERNAL_ERROR, message)
        await self._refuse(uow, [(request, refusal)])
        if isinstance(trouble, RemoteNonsense):
            body = {"request": request.body, "reason": trouble.code, "detail": str(trouble)}
            await uow.messages.send([OutgoingMessage(MessageKind.DEAD_REQUEST, uow.tenant, body)])
