"""Accepts order requests into the inbox (amqp.md 2.1, 2.3), without any call of a remote service.

Requests that break a rule are denied at once; the others are decided later.
"""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

from rs_order.broker.stored_dead_letters import REPLAYED_HEADER
from rs_order.consumers.batches import Received
from rs_order.contracts.order_messages import ErrorType, OrderRequest
from rs_order.contracts.wire import excerpt
from rs_order.core import responses
from rs_order.core.reconciliations import begin_reconciling
from rs_order.core.responses import PATTERN, Rejection, Violation
from rs_order.core.shared_steps import GrantRequestsStep
from rs_order.domain.errors import PatternRejectedError
from rs_order.domain.files import FileFilter, FileKind, compile_pattern
from rs_order.domain.ids import RequestId, Tenant
from rs_order.ports import Clock
from rs_order.store.requests import NewRequest, RecordedRequest, RequestKey, RequestState
from rs_order.store.unit_of_work import Store, UnitOfWork

MAX_CORRELATION_ID = 255
MAX_USER = 128


def violations(request: OrderRequest) -> list[Violation]:
    """Return every rule that the request breaks, in the order of the table in amqp.md 2.3.

    The pattern of the request is compiled, which may take time: call it in a thread.
    """
    return [*_content(request), *_lengths(request), *_user(request), *_pattern(request)]


def unknown_user(user: str) -> Violation:
    """Return the violation of a request whose user rs-admin doesn't know."""
    return Violation(ErrorType.FORBIDDEN, f"Unknown user : {user}", "user")


def _content(request: OrderRequest) -> list[Violation]:
    found = []
    if not request.queries:
        value = "null" if request.queries is None else "[]"
        found.append(Violation("NotEmpty", "list of queries should not be empty", "queries", value))
    if request.filters is not None and not request.filters.data_types:
        text = (
            "There should be at least one datatype to order. DataType can be RAWDATA or QUICKLOOK"
        )
        found.append(Violation("NotEmpty", text, "filters.dataTypes"))
    return found


def _lengths(request: OrderRequest) -> list[Violation]:
    found = []
    correlation_id, user = request.correlation_id or "", request.user or ""
    if len(correlation_id) > MAX_CORRELATION_ID:
        text = f"provided correlationId must not exceed {MAX_CORRELATION_ID} characters."
        found.append(Violation("Size", text, "correlationId", correlation_id))
    if len(user) > MAX_USER:
        text = f"user must not exceed {MAX_USER} characters."
        found.append(Violation("Size", text, "user", user))
    return found


def _user(request: OrderRequest) -> list[Violation]:
    if request.user:
        return []
    return [Violation(ErrorType.INVALID_CONTENT, "User should be present", "user")]


def _pattern(request: OrderRequest) -> list[Violation]:
    pattern = request.filters.filename_reg_exp if request.filters else None
    if not pattern:
        return []
    try:
        compile_pattern(pattern)
    except PatternRejectedError as error:
        return [Violation(PATTERN, str(error), "filters.filenameRegExp", excerpt(pattern))]
    return []


def file_filter(request: OrderRequest) -> FileFilter | None:
    """Return the filter for every dataset selection of the request, if it has one (domain.md 13.1)."""
    if request.filters is None:
        return None
    return FileFilter(
        kinds=frozenset(FileKind(kind) for kind in request.filters.data_types or ()),
        name_pattern=request.filters.filename_reg_exp,
    )


def new_request(request: OrderRequest) -> NewRequest:
    """Return what the inbox keeps of a request that has a correlationId.

    The fingerprint is the SHA-256 of the content. The order of members and the layout of the JSON don't
    matter.
    """
    content = orjson.dumps(request.to_wire(), option=orjson.OPT_SORT_KEYS)
    digest = hashlib.sha256(content).digest()
    return NewRequest(request.correlation_id or "", digest, content.decode())


@dataclass(frozen=True, slots=True)
class ArrivedRequest:
    """An order request with the flags of its delivery. It has a correlationId."""

    request: OrderRequest
    redelivered: bool = False
    """The broker delivers it again. Its responses are in the outbox, so none is repeated."""
    replayed: bool = False
    """An operator replayed it from a dead-letter queue."""


class AcceptRequests:
    """Records requests, denies the malformed ones, and sends steps that decide about the others."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._reconciled: set[Tenant] = set()
        """The tenants whose runs of the reconciler had begun before a batch was accepted."""

    async def handle(self, tenant: Tenant, arrived: Sequence[ArrivedRequest]) -> None:
        """Accept requests of one tenant; the messages may be acknowledged when this returns."""
        new = [new_request(arrival.request) for arrival in arrived]
        by_key: dict[RequestKey, ArrivedRequest] = {}
        for request, arrival in zip(new, arrived, strict=True):
            by_key.setdefault(request.key, arrival)
        broken = await asyncio.to_thread(_broken_rules, by_key)
        async with self._store.unit_of_work(tenant) as uow:
            now = self._clock.now()
            recorded = await uow.requests.record(new, now)
            if tenant not in self._reconciled and not await begin_reconciling(uow, now):
                self._reconciled.add(tenant)
            fresh = [request for request in recorded if request.new]
            waiting = await self._deny_malformed(uow, fresh, broken)
            known = [(request, by_key[request.key]) for request in recorded if not request.new]
            waiting += await self._repeat_or_reopen(uow, known)
            await uow.messages.send(
                [step.to(tenant) for step in GrantRequestsStep.for_all(waiting)]
            )

    async def _deny_malformed(
        self,
        uow: UnitOfWork,
        fresh: Sequence[RecordedRequest],
        broken_rules: Mapping[RequestKey, Sequence[Violation]],
    ) -> list[RequestId]:
        """Deny the requests that break a rule, and return the ids of the others."""
        checked = [(request, broken_rules[request.key]) for request in fresh]
        malformed = [(request, broken) for request, broken in checked if broken]
        await uow.requests.decide(
            RequestState.DENIED, {request.id: None for request, _ in malformed}
        )
        await uow.messages.respond(
            [
                responses.rejected(
                    uow.tenant, request.id, request.correlation_id, Rejection.denied(broken)
                )
                for request, broken in malformed
            ]
        )
        return [request.id for request, broken in checked if not broken]

    async def _repeat_or_reopen(
        self, uow: UnitOfWork, known: Sequence[tuple[RecordedRequest, ArrivedRequest]]
    ) -> list[RequestId]:
        """Reopen replayed requests, repeat the responses to the others, and return the ids of the reopened.

        The rule is in decisions.md, Repeated request. A redelivered request gets no response again.
        """
        if not known:
            return []
        reopened = await uow.requests.reopen(
            [request.id for request, arrival in known if arrival.replayed]
        )
        repeated = [
            request
            for request, arrival in known
            if not arrival.redelivered and request.id not in reopened
        ]
        await uow.orders.lock([req.order_id for req in repeated if req.order_id is not None])
        await uow.messages.repeat([request.id for request in repeated])
        return reopened


def _broken_rules(
    arrived: Mapping[RequestKey, ArrivedRequest],
) -> dict[RequestKey, list[Violation]]:
    """Return the rules that each request breaks. It may take time, because patterns are compiled."""
    return {key: violations(arrival.request) for key, arrival in arrived.items()}


def invalid_order_request(request: OrderRequest) -> str | None:
    """Return why a request is rejected. Without a correlationId it can't be answered (decisions.md, 6.2)."""
    return None if request.correlation_id is not None else "correlationId is mandatory!"


class OrderRequestHandler:
    """Accepts the order requests of a batch."""

    def __init__(self, accept: AcceptRequests) -> None:
        self._accept = accept

    async def __call__(self, tenant: Tenant, batch: Sequence[Received[OrderRequest]]) -> None:
        await self._accept.handle(
            tenant,
            [
                ArrivedRequest(
                    received.message,
                    redelivered=received.delivery.redelivered,
                    replayed=REPLAYED_HEADER in received.delivery.headers,
                )
                for received in batch
            ],
        )
