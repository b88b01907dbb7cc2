"""Requests that REST received with an ``Idempotency-Key``, and the answers that repetitions get."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from rs_order.domain.ids import OrderId
from rs_order.store.errors import StoreConflict
from rs_order.store.pool import Connection, statements
from rs_order.store.rows import affected

SQL = statements("keyed_requests")


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """A request with a key. The fingerprint tells a repetition from another request with the same key."""

    owner: str
    endpoint: str
    """Verb and path template."""
    key: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to do the work of a keyed request, until somebody else claims it."""

    id: int
    number: int
    """Counts the claims of this request."""


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """The response to a keyed request."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    order_id: OrderId | None = None
    """The order that was created."""


@dataclass(frozen=True, slots=True)
class KnownRequest:
    """What is known of a keyed request."""

    fingerprint: bytes
    answer: KeptAnswer | None
    """None: its work isn't done."""


class KeyedRequests:
    """The keyed requests of one tenant, inside a unit of work."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def claim(
        self, request: KeyedRequest, now: datetime, abandoned_before: datetime
    ) -> Claim | KnownRequest:
        """Claim the work of a request, if nobody has begun it, or if an equal one was abandoned.

        Raises:
            StoreConflict: the request was released at this moment; start again.
        """
        name = (request.owner, request.endpoint, request.key)
        claimed = await self._connection.fetchrow(
            SQL["claim"], *name, request.fingerprint, now, abandoned_before
        )
        if claimed is not None:
            return Claim(claimed["id"], claimed["claims"])
        known = await self.find(request)
        if known is None:
            raise StoreConflict("the keyed request was released at this moment")
        return known

    async def find(self, request: KeyedRequest) -> KnownRequest | None:
        """Return what is known of the request with this key, or None if there is none."""
        name = (request.owner, request.endpoint, request.key)
        known = await self._connection.fetchrow(SQL["find"], *name)
        if known is None:
            return None
        if known["status"] is None:
            return KnownRequest(known["fingerprint"], None)
        order_id = None if known["order_id"] is None else OrderId(known["order_id"])
        answer = KeptAnswer(known["status"], known["headers"], known["body"], order_id)
        return KnownRequest(known["fingerprint"], answer)

    async def finish(self, claim: Claim, answer: KeptAnswer) -> bool:
        """Keep the answer. False if the claim is no longer valid: then nothing was changed."""
        kept = await self._connection.fetchval(
            SQL["finish"],
            claim.id,
            claim.number,
            answer.status,
            answer.headers,
            answer.body,
            answer.order_id,
        )
        return kept is not None

    async def release(self, claim: Claim) -> None:
        """Forget the request, unless its answer is kept or the claim is no longer valid."""
        await self._connection.execute(SQL["release"], claim.id, claim.number)

    async def purge(self, before: datetime, limit: int) -> int:
        """Delete up to ``limit`` requests that were received before. Return their number."""
        return affected(await self._connection.execute(SQL["purge"], before, limit))
