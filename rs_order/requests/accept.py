"""Accepts order requests into the inbox, without any call of a remote service.

A batch takes few statements, whatever its size. A step decides about the requests later, with
the help of remote services.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rs_order.contracts.order_messages import OrderRequest
from rs_order.core import responses
from rs_order.core.responses import Rejection, Violation
from rs_order.core.shared_steps import GrantRequestsStep
from rs_order.domain.ids import RequestId, Tenant
from rs_order.ports import Clock
from rs_order.requests.retention import begin_purges
from rs_order.requests.rules import fingerprint, violations
from rs_order.store.requests import NewRequest, RecordedRequest, RequestState
from rs_order.store.unit_of_work import Store, UnitOfWork

_Key = tuple[str, bytes]
"""Correlation id and fingerprint."""

GRANT_CHUNK = 1000
"""The most requests that one step decides."""


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

    async def handle(self, tenant: Tenant, arrived: Sequence[ArrivedRequest]) -> None:
        """Accept requests of one tenant; the messages may be acknowledged when this returns."""
        by_key = {_key(arrival.request): arrival for arrival in reversed(arrived)}
        new = [_new_request(arrival.request) for arrival in by_key.values()]
        broken = await asyncio.to_thread(_broken_rules, by_key)
        async with self._store.unit_of_work(tenant) as uow:
            recorded = await uow.requests.record(new, self._clock.now())
            await begin_purges(uow, self._clock.now())
            fresh = [request for request in recorded if request.new]
            waiting = await self._deny_malformed(uow, fresh, broken)
            known = [
                (request, by_key[request.correlation_id, request.fingerprint])
                for request in recorded
                if not request.new
            ]
            waiting += await self._repeat_or_reopen(uow, known)
            await uow.messages.send(
                [
                    GrantRequestsStep(tuple(waiting[start : start + GRANT_CHUNK])).to(tenant)
                    for start in range(0, len(waiting), GRANT_CHUNK)
                ]
            )

    async def _deny_malformed(
        self,
        uow: UnitOfWork,
        fresh: Sequence[RecordedRequest],
        broken_rules: Mapping[_Key, Sequence[Violation]],
    ) -> list[RequestId]:
        """Deny the requests that break a rule, and return the ids of the others."""
        checked = [
            (request, broken_rules[request.correlation_id, request.fingerprint])
            for request in fresh
        ]
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


def _broken_rules(arrived: Mapping[_Key, ArrivedRequest]) -> dict[_Key, list[Violation]]:
    """Return the rules that each request breaks. It may take time, because patterns are compiled."""
    return {key: violations(arrival.request) for key, arrival in arrived.items()}


def _key(request: OrderRequest) -> _Key:
    return request.correlation_id or "", fingerprint(request)


def _new_request(request: OrderRequest) -> NewRequest:
    correlation_id, digest = _key(request)
    return NewRequest(correlation_id, digest, request.to_wire())
