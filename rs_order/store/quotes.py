"""Quotes, as far as they are made. They are kept for a day."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from pydantic import TypeAdapter

from rs_order.domain.ids import Checksum, Tenant
from rs_order.domain.quotes import VALID, OwnerSituation, QuoteFailure, QuoteId, QuoteState
from rs_order.domain.selection import DatasetSelection
from rs_order.domain.tallies import Tally
from rs_order.store.baskets import dataset_selection_of, selection_record
from rs_order.store.pool import Connection, Row, statements, tenant_schema
from rs_order.store.rows import affected

SQL = statements("quotes")

_TALLIES: TypeAdapter[tuple[Tally, ...]] = TypeAdapter(tuple[Tally, ...])


@dataclass(frozen=True, slots=True)
class StoredQuote:
    """A quote, and how far it has come."""

    id: QuoteId
    owner: str
    role: str
    created_at: datetime
    state: QuoteState = QuoteState.AT_WORK
    slices: int = 0
    """How many were done."""
    request: Mapping[str, Any] | None = None
    """An order request as on the wire; None: the owner's basket."""
    selections: tuple[DatasetSelection, ...] | None = None
    """None: not searched yet."""
    tallies: tuple[Tally, ...] = ()
    """One for each selection that was begun to be read."""
    attempts: int = 0
    unavailable_since: datetime | None = None
    document: Mapping[str, Any] | None = None
    """As users see it, without links; None: it isn't ready."""
    failure: QuoteFailure | None = None

    @property
    def valid_until(self) -> datetime:
        return self.created_at + VALID

    def at(self, now: datetime) -> "StoredQuote":
        """Return it as it is at an instant: one that isn't ready in time has failed."""
        if self.state is not QuoteState.AT_WORK or now < self.valid_until:
            return self
        return replace(self, state=QuoteState.FAILED, failure=QuoteFailure.NOT_MADE)


@dataclass(frozen=True, slots=True)
class QuoteLimits:
    """What counts towards the limits of quotes, in the last hour."""

    of_owner: int
    first_at: datetime | None
    """When the owner began the first of them."""
    at_work: int
    """In the tenant."""


class Quotes:
    """The quotes of one tenant, inside a unit of work."""

    def __init__(self, connection: Connection, tenant: Tenant) -> None:
        self._connection = connection
        self._tenant = tenant

    async def limits(self, owner: str, now: datetime) -> QuoteLimits:
        """Return what counts towards the limits. Until the unit of work ends, no other quote begins."""
        await self._connection.execute(SQL["lock"], tenant_schema(self._tenant))
        (row,) = await self._connection.fetch(SQL["limits"], owner, now - timedelta(hours=1))
        return QuoteLimits(row["of_owner"], row["first_at"], row["at_work"])

    async def begin(
        self, owner: str, role: str, now: datetime, request: Mapping[str, Any] | None
    ) -> StoredQuote:
        (row,) = await self._connection.fetch(SQL["begin"], owner, role, now, request)
        return quote_of(row)

    async def find(self, quote_id: QuoteId) -> StoredQuote | None:
        row = await self._connection.fetchrow(SQL["find"], quote_id)
        return quote_of(row) if row else None

    async def save(self, quote: StoredQuote, now: datetime) -> bool:
        """Write a slice of a quote at work; False if another slice was written since it was read."""
        selections = quote.selections
        saved = await self._connection.fetchval(
            SQL["save"],
            quote.id,
            quote.slices,
            now,
            quote.state,
            None if selections is None else [selection_record(s) for s in selections],
            _TALLIES.dump_python(quote.tallies, mode="json"),
            quote.attempts,
            quote.unavailable_since,
            quote.document,
            quote.failure,
        )
        return saved is not None

    async def forget(self, quote_id: QuoteId) -> None:
        """Delete a quote at work."""
        await self._connection.execute(SQL["forget"], quote_id)

    async def awaited(self, checksums: Sequence[Checksum]) -> set[Checksum]:
        """Return the checksums that storage was asked for and has not settled."""
        rows = await self._connection.fetch(SQL["awaited"], checksums)
        return {Checksum(row["checksum"]) for row in rows}

    async def situation(self, owner: str) -> OwnerSituation:
        """Return what keeps an owner's next sub-orders waiting."""
        (row,) = await self._connection.fetch(SQL["situation"], owner, self._tenant)
        return OwnerSituation(
            slots_taken=row["taken"],
            slots_waiting=row["waiting"],
            queued_bytes=row["queued_bytes"],
            held=row["held"],
            maintenance=row["maintenance"],
        )

    async def stalled(self, before: datetime, after: int, limit: int) -> list[tuple[QuoteId, int]]:
        """Return quotes begun in the hour before ``before``, without progress since, with their slices."""
        rows = await self._connection.fetch(SQL["stalled"], before, after, limit, before - VALID)
        return [(QuoteId(row["id"]), row["slice"]) for row in rows]

    async def purge(self, before: datetime, limit: int) -> int:
        """Delete up to ``limit`` quotes that were begun before. Return their number."""
        return affected(await self._connection.execute(SQL["purge"], before, limit))


def quote_of(row: Row) -> StoredQuote:
    selections = row["selections"]
    return StoredQuote(
        id=QuoteId(row["id"]),
        owner=row["owner"],
        role=row["role"],
        created_at=row["created_at"],
        state=QuoteState(row["state"]),
        slices=row["slice"],
        request=row["request"],
        selections=None
        if selections is None
        else tuple(dataset_selection_of(one, one["searches"]) for one in selections),
        tallies=_TALLIES.validate_python(row["tallies"] or ()),
        attempts=row["attempts"],
        unavailable_since=row["unavailable_since"],
        document=row["document"],
        failure=QuoteFailure(row["failure"]) if row["failure"] else None,
    )
