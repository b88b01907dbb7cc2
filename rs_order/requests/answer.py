"""Answers decided requests and creates the granted orders, all in one commit (amqp.md 2.4)."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import structlog

from rs_order.contracts.order_messages import ErrorType, ResponseStatus
from rs_order.core import responses
from rs_order.core.measurements import Measurements
from rs_order.core.responses import Rejection, Response
from rs_order.core.shared_steps import CompleteOrderStep, GrantRequestsStep
from rs_order.domain.events import OrderDoor
from rs_order.domain.ids import OrderId, RequestId, Tenant
from rs_order.domain.order import generated_label, unique_label
from rs_order.domain.retry import RetryPolicy
from rs_order.ports import BadResponse, Clock, MessageKind, RemoteUnavailable
from rs_order.requests.estimate import Estimate
from rs_order.store.errors import StoreError
from rs_order.store.orders import NewOrder
from rs_order.store.outbox import OutgoingMessage
from rs_order.store.requests import RequestState, WaitingRequest
from rs_order.store.unit_of_work import Store, UnitOfWork

Kind = TypeVar("Kind")


@dataclass(frozen=True, slots=True)
class Unavailable:
    """A remote service was unavailable for this request."""

    cause: RemoteUnavailable


@dataclass(frozen=True, slots=True)
class Unexpected:
    """Deciding about this request failed with an unexpected error."""

    error: str
    """The name of the exception's class."""


Decision = Estimate | Rejection | Unavailable | Unexpected


@dataclass(slots=True)
class Decisions:
    """Decisions that wait for their commit, by kind."""

    granted: dict[RequestId, Estimate] = field(default_factory=dict)
    rejected: dict[RequestId, Rejection] = field(default_factory=dict)
    unavailable: dict[RequestId, Unavailable] = field(default_factory=dict)
    unexpected: dict[RequestId, Unexpected] = field(default_factory=dict)

    def add(self, request: WaitingRequest, decision: Decision) -> None:
        match decision:
            case Estimate():
                self.granted[request.id] = decision
            case Rejection():
                self.rejected[request.id] = decision
            case Unavailable():
                self.unavailable[request.id] = decision
            case Unexpected():
                self.unexpected[request.id] = decision

    def halves(self) -> tuple["Decisions", "Decisions"]:
        """Return the decisions in two parts of about the same size."""
        first = set(self.ids[: len(self.ids) // 2])

        def some(*, in_first: bool) -> "Decisions":
            def of(decisions: dict[RequestId, Kind]) -> dict[RequestId, Kind]:
                return {id_: one for id_, one in decisions.items() if (id_ in first) is in_first}

            return Decisions(
                of(self.granted), of(self.rejected), of(self.unavailable), of(self.unexpected)
            )

        return some(in_first=True), some(in_first=False)

    @property
    def ids(self) -> list[RequestId]:
        return [*self.granted, *self.rejected, *self.unavailable, *self.unexpected]


UNEXPECTED_FAILURE = Rejection.failed(
    ErrorType.INTERNAL_ERROR, "UnexpectedException: the request could not be judged."
)
"""The sender gets no details; the dead letter holds the cause for the operator."""

log = structlog.get_logger(__name__)


class AnswerRequests:
    """Commits many decisions at once. A delayed step retries requests whose remote service is unavailable."""

    def __init__(
        self, store: Store, clock: Clock, retries: RetryPolicy, measurements: Measurements
    ) -> None:
        self._store = store
        self._clock = clock
        self._retries = retries
        self._measurements = measurements

    async def handle(
        self, tenant: Tenant, requests: dict[RequestId, WaitingRequest], decided: Decisions
    ) -> None:
        """Commit decisions together; if that fails, commit halves, down to the one that can't be stored."""
        try:
            await self._commit(tenant, requests, decided)
        except StoreError:
            raise
        except Exception as error:
            if len(decided.ids) > 1:
                for half in decided.halves():
                    await self.handle(tenant, requests, half)
                return
            log.exception("request-not-stored", request=decided.ids[0])
            unexpected = Decisions(unexpected={decided.ids[0]: Unexpected(type(error).__name__)})
            await self._commit(tenant, requests, unexpected)

    async def _commit(
        self, tenant: Tenant, requests: dict[RequestId, WaitingRequest], decided: Decisions
    ) -> None:
        if not decided.ids:
            return
        async with self._store.unit_of_work(tenant) as uow:
            still_open = await uow.requests.lock_received(decided.ids)

            def of(decisions: Mapping[RequestId, Kind]) -> list[tuple[WaitingRequest, Kind]]:
                return [(requests[id_], decisions[id_]) for id_ in decisions if id_ in still_open]

            granted = of(decided.granted)
            await self._grant(uow, granted)
            await self._reject(uow, of(decided.rejected))
            await self._retry_later(uow, of(decided.unavailable))
            await self._fail_unexpected(uow, of(decided.unexpected))
        now = self._clock.now()
        for request, _ in granted:
            self._measurements.granted(tenant, now - request.received_at)
        for id_, decision in decided.unavailable.items():
            log.warning(
                "request-unanswered",
                correlation_id=requests[id_].correlation_id,
                cause=str(decision.cause),
            )

    async def _grant(
        self, uow: UnitOfWork, granted: Sequence[tuple[WaitingRequest, Estimate]]
    ) -> None:
        if not granted:
            return
        settings = await uow.settings()
        orders = await self._new_orders(uow, granted, settings.app_sub_order_hours)
        ids = await uow.orders.create(orders)
        answers: list[Response] = []
        order_ids: dict[RequestId, OrderId | None] = {}
        for order_id, (request, _) in zip(ids, granted, strict=True):
            order_ids[request.id] = order_id
            answers.append(
                responses.granted(uow.tenant, order_id, request.id, request.correlation_id)
            )
        await uow.requests.decide(RequestState.GRANTED, order_ids)
        await uow.messages.respond(answers)
        await uow.messages.send(
            [CompleteOrderStep(id_, selection=0, page=0).to(uow.tenant) for id_ in ids]
        )

    async def _new_orders(
        self,
        uow: UnitOfWork,
        granted: Sequence[tuple[WaitingRequest, Estimate]],
        sub_order_hours: int,
    ) -> list[NewOrder]:
        now = self._clock.now()
        wanted = generated_label(now)
        owners = sorted({estimate.user.email for _, estimate in granted})
        pairs = await uow.orders.labels_taken([(owner, wanted) for owner in owners])
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
                    door=OrderDoor.AMQP,
                    selections=estimate.selections,
                )
            )
        return orders

    @staticmethod
    async def _reject(
        uow: UnitOfWork, rejected: Sequence[tuple[WaitingRequest, Rejection]]
    ) -> None:
        for status in (ResponseStatus.DENIED, ResponseStatus.FAILED):
            of_status = [
                (request, rejection)
                for request, rejection in rejected
                if rejection.status is status
            ]
            await uow.requests.decide(
                RequestState(status), {request.id: None for request, _ in of_status}
            )
            await uow.messages.respond(
                [
                    responses.rejected(uow.tenant, request.id, request.correlation_id, rejection)
                    for request, rejection in of_status
                ]
            )

    async def _retry_later(
        self, uow: UnitOfWork, unavailable: Sequence[tuple[WaitingRequest, Unavailable]]
    ) -> None:
        """Retry requests later, or answer FAILED once their deadline has passed."""
        now = self._clock.now()
        again: dict[int, list[RequestId]] = defaultdict(list)
        late: list[tuple[WaitingRequest, RemoteUnavailable]] = []
        for request, decision in unavailable:
            if self._retries.exhausted(request.unavailable_since or now, now):
                late.append((request, decision.cause))
            else:
                again[request.attempts].append(request.id)
        for attempts, ids in again.items():
            await uow.requests.note_unavailable(ids, now)
            due = now + self._retries.pause(attempts + 1)
            await uow.messages.send([GrantRequestsStep(tuple(ids)).to(uow.tenant, due)])
        await self._give_up(uow, late)

    async def _give_up(
        self, uow: UnitOfWork, late: Sequence[tuple[WaitingRequest, RemoteUnavailable]]
    ) -> None:
        """Answer FAILED, and write dead letters for requests that failed because of a bad response."""
        await self._reject(uow, [(request, self._too_late(cause)) for request, cause in late])
        await uow.messages.send(
            [
                _dead_letter(uow.tenant, request, cause.code, str(cause))
                for request, cause in late
                if isinstance(cause, BadResponse)
            ]
        )

    def _too_late(self, cause: RemoteUnavailable) -> Rejection:
        seconds = self._retries.deadline.total_seconds()
        message = (
            f"RemoteServiceException: {cause.service} gave no usable answer for {seconds:g} s. "
            "Please send the request again later."
        )
        return Rejection.failed(ErrorType.INTERNAL_ERROR, message)

    async def _fail_unexpected(
        self, uow: UnitOfWork, unexpected: Sequence[tuple[WaitingRequest, Unexpected]]
    ) -> None:
        """Answer FAILED, and write dead letters that an operator can replay."""
        await self._reject(uow, [(request, UNEXPECTED_FAILURE) for request, _ in unexpected])
        await uow.messages.send(
            [
                _dead_letter(uow.tenant, request, "unexpected-batch-failure", decision.error)
                for request, decision in unexpected
            ]
        )


def _dead_letter(
    tenant: Tenant, request: WaitingRequest, reason: str, detail: str
) -> OutgoingMessage:
    body = {"request": request.body, "reason": reason, "detail": detail}
    return OutgoingMessage(MessageKind.DEAD_REQUEST, tenant, body)
