"""The audit: what operators, administrators and the platform did, to what, and why (decision 0028).

Entries are only added. A trigger refuses every change, and the deletion of an entry younger than a year.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from rs_order.domain.ids import Tenant
from rs_order.store.errors import store_errors
from rs_order.store.pool import Connection, Pool, Row, statements, transaction

SQL = statements("audit")
READ_AT_A_TIME: Final = 1000


class Door(StrEnum):
    """The interface by which somebody acted."""

    REST = "rest"
    CLI = "cli"
    AMQP = "amqp"


class AuditAction(StrEnum):
    """The kinds of acts, as stable codes. The part before the dot names the kind of the object."""

    SETTING_CHANGED = "setting.changed"
    SETTING_RESET = "setting.reset"
    MAINTENANCE_SWITCHED = "maintenance.switched"
    TENANT_ADDED = "tenant.added"
    TENANT_DISABLED = "tenant.disabled"
    ORDER_PAUSED = "order.paused"
    ORDER_RESUMED = "order.resumed"
    ORDER_RETRIED = "order.retried"
    ORDER_ASKED_AGAIN = "order.asked-again"
    ORDER_RESTARTED = "order.restarted"
    ORDER_DELETED = "order.deleted"
    ORDER_REMOVED = "order.removed"
    ORDER_CANCELLED = "order.cancelled"
    WEIGHT_CHANGED = "weight.changed"
    LIMIT_CHANGED = "limit.changed"
    HOLD_BEGUN = "hold.begun"
    HOLD_ENDED = "hold.ended"
    DEAD_LETTER_REPLAYED = "dead-letter.replayed"
    DEAD_LETTER_CORRECTED = "dead-letter.corrected"
    DEAD_LETTER_DISCARDED = "dead-letter.discarded"


@dataclass(frozen=True, slots=True)
class AuditActor:
    """Somebody who acts: a user, an operator, or a peer."""

    name: str
    """E-mail of the user, operating system user for the CLI, or name of the service."""
    door: Door
    role: str | None = None
    """The user's role, by REST only."""
    correlation_id: str | None = None
    """Of the request or message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One act. Never put a secret into it."""

    action: AuditAction
    by: AuditActor
    tenant: Tenant | None
    """None: the whole deployment."""
    object_id: str
    before: Any = None
    """JSON value of the object, as far as the act changes it."""
    after: Any = None
    reason: str | None = None
    """As the actor gave it."""

    @property
    def object_kind(self) -> str:
        return self.action.partition(".")[0]


async def record(connection: Connection, entry: AuditEntry) -> None:
    """Add an entry in the transaction of the act, so that both happen or neither does."""
    by = entry.by
    await connection.execute(
        SQL["record"],
        entry.tenant,
        _storable(by.name),
        by.role,
        by.door,
        entry.action,
        entry.object_kind,
        _storable(entry.object_id),
        _storable(entry.before),
        _storable(entry.after),
        _storable(entry.reason),
        _storable(by.correlation_id),
    )


async def purge(connection: Connection, days: int, limit: int) -> int:
    """Delete the oldest entries that are older than so many days, a year or more. Return their number."""
    deleted = await connection.execute(SQL["purge"], days, limit)
    return int(deleted.rpartition(" ")[2])


def _storable(value: Any) -> Any:
    """Return a JSON value with ``?`` for what PostgreSQL can't store: U+0000 and half surrogate pairs."""
    match value:
        case str():
            return value.replace("\0", "?").encode("utf-8", "replace").decode("utf-8")
        case Mapping():
            return {_storable(name): _storable(member) for name, member in value.items()}
        case list() | tuple():
            return [_storable(item) for item in value]
    return value


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """An entry as it is stored."""

    id: int
    at: datetime
    tenant: str | None
    actor: str
    role: str | None
    door: str
    action: str
    object_kind: str
    object_id: str
    before: Any
    after: Any
    reason: str | None
    correlation_id: str | None


@dataclass(frozen=True, slots=True)
class AuditSearch:
    """The conditions of a search; None is no condition."""

    tenant: str | None = None
    actor: str | None = None
    """A part of the actor's name."""
    action: str | None = None
    """An action, or the kind of the object before its dot."""
    object_kind: str | None = None
    object_id: str | None = None
    since: datetime | None = None
    """Inclusive."""
    until: datetime | None = None
    """Exclusive."""


class Audit:
    """Reads the audit. Each method raises StoreUnavailable if the database can't be reached."""

    def __init__(self, pool: Pool, *, read_at_a_time: int = READ_AT_A_TIME) -> None:
        self._pool = pool
        self._read_at_a_time = read_at_a_time

    async def page(
        self, search: AuditSearch, *, limit: int, after: int | None = None
    ) -> Sequence[AuditRecord]:
        """Return entries, newest first. ``after``: id of the last entry of the page before."""
        with store_errors():
            async with transaction(self._pool, readonly=True) as connection:
                rows = await connection.fetch(SQL["find"], *_conditions(search), after, limit)
        return [_record_of(row) for row in rows]

    async def export(self, search: AuditSearch) -> AsyncIterator[Sequence[AuditRecord]]:
        """Yield all entries, newest first, in parts. No connection is held between two parts."""
        after, more = None, True
        while more:
            part = await self.page(search, limit=self._read_at_a_time, after=after)
            if part:
                yield part
                after = part[-1].id
            more = len(part) == self._read_at_a_time


def _conditions(search: AuditSearch) -> tuple[Any, ...]:
    """Return the first seven parameters of the statement ``find``."""
    return (
        search.tenant,
        search.actor,
        search.action,
        search.object_kind,
        search.object_id,
        search.since,
        search.until,
    )


def _record_of(row: Row) -> AuditRecord:
    return AuditRecord(**dict(row))
