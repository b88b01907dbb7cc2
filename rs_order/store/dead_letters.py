"""The index of the dead letters: which are in which queue, and what operators did with them."""

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from rs_order.contracts.wire import LETTER_ID_HEADER, stored_text
from rs_order.domain.dead_letters import (
    ANY_DEAD_LETTER,
    DeadLetterFilter,
    LetterAct,
    LetterRun,
    LetterState,
    Operator,
    RunState,
    StoredDeadLetter,
)
from rs_order.domain.identity import INSTANCE
from rs_order.domain.ids import OrderId, Tenant
from rs_order.ports import Clock, IndexedQueue, IndexedRow, Written
from rs_order.store.audit import AuditEntry, record
from rs_order.store.errors import store_errors
from rs_order.store.outbox import Messages, OutgoingMessage
from rs_order.store.pool import Connection, Pool, Row, single_statement, statements, transaction
from rs_order.store.rows import json_text

SQL = statements("dead_letters")
LAST_NUMBER: Final = 2**63 - 1
KEPT: Final = timedelta(days=30)
"""Dead letters that were replayed or discarded, and runs that ended, are kept for so long."""
PURGED_AT_A_TIME: Final = 1000


class DeadLetterIndex:
    """The index as consumers and the watcher of the queues keep it.

    Each method is one transaction or one statement, and raises StoreError if it fails.
    """

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock

    async def add(self, letters: Sequence[StoredDeadLetter]) -> frozenset[str]:
        """Index dead letters that are in their queues; one that is known already stays as it is.

        Returns:
            The ids of those that were replayed or discarded before. Their queue returned them, because the
            broker lost an acknowledgement.
        """
        first = {letter.id: letter for letter in letters}
        async with self._transaction() as connection:
            unknown = set(await _insert(connection, list(first.values())))
            known = list(first.keys() - unknown)
            closed = {row["id"] for row in await connection.fetch(SQL["closed"], known)}
            equal = [letter for letter in letters if first[letter.id] is not letter]
            equal += [first[id_] for id_ in closed if not _has_own_id(first[id_])]
            await _insert(connection, [replace(one, id=_another_id(one)) for one in equal])
        return frozenset(id_ for id_ in closed if _has_own_id(first[id_]))

    async def queues(self, vhost: str) -> Sequence[IndexedQueue]:
        """Return the dead letters of a virtual host, by queue and origin."""
        async with self._statement() as connection:
            rows = await connection.fetch(SQL["queues"], vhost)
        return [
            IndexedQueue(row["queue"], row["origin"], row["letters"], row["to_remove"])
            for row in rows
        ]

    async def in_queue(self, vhost: str, queue: str) -> Sequence[IndexedRow]:
        """Return the dead letters that the index has in a queue."""
        async with self._statement() as connection:
            rows = await connection.fetch(SQL["in_queue"], vhost, queue)
        return [IndexedRow(row["id"], row["identity"], to_remove=row["to_remove"]) for row in rows]

    async def left_queue(self, ids: Sequence[str]) -> None:
        """Note that dead letters have left their queue. An open one was removed by something else."""
        async with self._statement() as connection:
            await connection.execute(SQL["left_queue"], ids, self._clock.now())

    async def save_missing(self, vhost: str, queues: Collection[str]) -> None:
        """Note which queues of origin don't exist now."""
        async with self._transaction() as connection:
            await connection.execute(SQL["forget_existing"], vhost, list(queues))
            await connection.execute(SQL["remember_missing"], vhost, list(queues))

    async def purge(self) -> None:
        """Delete some of the dead letters and runs that ended before the retention."""
        before = self._clock.now() - KEPT
        async with self._transaction() as connection:
            await connection.execute(SQL["purge"], before, PURGED_AT_A_TIME)
            await connection.execute(SQL["purge_runs"], before)

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Connection]:
        with store_errors():
            async with transaction(self._pool) as connection:
                yield connection

    @asynccontextmanager
    async def _statement(self) -> AsyncIterator[Connection]:
        with store_errors():
            async with single_statement(self._pool) as connection:
                yield connection


class DeadLetterUnit:
    """One transaction of an operator's act, or of a list. An exception undoes all of it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._messages = Messages(connection, INSTANCE, {})

    @property
    def written(self) -> Written | None:
        """The rows written to the outbox, or None."""
        return self._messages.written

    async def page(
        self,
        wanted: DeadLetterFilter,
        limit: int,
        *,
        after: int = 0,
        up_to: int = LAST_NUMBER,
    ) -> list[StoredDeadLetter]:
        """Return open dead letters by ascending number, those after ``after`` and up to ``up_to``."""
        rows = await self._connection.fetch(SQL["page"], *_members(wanted), after, up_to, limit)
        return [_letter_of(row) for row in rows]

    async def count(self, wanted: DeadLetterFilter) -> tuple[int, int]:
        """Return how many open dead letters match, and the number of the last one."""
        (row,) = await self._connection.fetch(SQL["count"], *_members(wanted))
        return row["letters"], row["last"]

    async def find(self, ids: Sequence[str], *, lock: bool = False) -> list[StoredDeadLetter]:
        """Return the dead letters that have these ids, in any state. ``lock``: until the transaction ends."""
        rows = await self._connection.fetch(SQL["lock" if lock else "find"], ids)
        return [_letter_of(row) for row in rows]

    async def of_step(
        self, tenant: Tenant, step: str, order_id: OrderId | None, limit: int
    ) -> list[tuple[str, bytes]]:
        """Return id and body of open dead letters of a step, of this order or of none."""
        if order_id is None:
            rows = await self._connection.fetch(SQL["of_step"], tenant, step, limit)
        else:
            rows = await self._connection.fetch(SQL["of_order_step"], tenant, order_id, step, limit)
        return [(row["id"], row["body"]) for row in rows]

    async def missing_queues(self) -> frozenset[tuple[str, str]]:
        """Return virtual host and name of the queues of origin that don't exist now."""
        rows = await self._connection.fetch(SQL["missing_queues"])
        return frozenset((row["vhost"], row["queue"]) for row in rows)

    async def close(
        self, ids: Sequence[str], state: LetterState, now: datetime, by: str, because: str | None
    ) -> None:
        """Give locked dead letters their final state. The watcher then removes them from their queue."""
        await self._connection.execute(SQL["close"], ids, state, now, by, because)

    async def audit(self, entries: Sequence[AuditEntry]) -> None:
        """Record acts in the audit, so that they happen together with their entries or not at all."""
        for entry in entries:
            await record(self._connection, entry)

    async def send(self, messages: Sequence[OutgoingMessage]) -> None:
        await self._messages.send(messages)

    async def waiting(self, message_ids: Sequence[UUID]) -> int:
        """Return how many of these messages haven't left the outbox."""
        count: int = await self._connection.fetchval(SQL["waiting"], message_ids)
        return count

    async def start_run(
        self,
        act: LetterAct,
        wanted: DeadLetterFilter,
        operator: Operator,
        *,
        rate: float,
        because: str | None,
    ) -> LetterRun:
        """Store a run over the open dead letters that match now."""
        total, last = await self.count(wanted)
        (row,) = await self._connection.fetch(
            SQL["start_run"],
            act,
            _filter_record(wanted),
            rate,
            because,
            operator.name,
            operator.door,
            operator.tenant,
            operator.role,
            operator.correlation_id,
            total,
            last,
        )
        return _run_of(row)

    async def run(self, run_id: int, *, lock: bool = False) -> LetterRun | None:
        """Return a run, or None if there is none. ``lock``: until the transaction ends."""
        rows = await self._connection.fetch(SQL["lock_run" if lock else "run"], run_id)
        return _run_of(rows[0]) if rows else None

    async def advance_run(self, before: LetterRun, after: LetterRun) -> None:
        """Store the progress of a locked run."""
        await self._connection.execute(
            SQL["advance_run"],
            after.id,
            after.done - before.done,
            after.rejected - before.rejected,
            dict(after.rejections),
            after.last_number,
            after.state,
            after.ended_at,
        )


class DeadLetterStore:
    """Opens the transactions of operators, and notifies the relay of commits that wrote to the outbox."""

    def __init__(self, pool: Pool, committed: Callable[[Written], None] = lambda _: None) -> None:
        self._pool = pool
        self._committed = committed

    @asynccontextmanager
    async def unit(self) -> AsyncIterator[DeadLetterUnit]:
        """Open a transaction. It commits at the end of the context.

        Raises:
            StoreError: nothing was changed. StoreUnavailable during the commit: the outcome is unknown.
        """
        with store_errors():
            async with transaction(self._pool) as connection:
                unit = DeadLetterUnit(connection)
                yield unit
        if written := unit.written:
            self._committed(written)


async def _insert(connection: Connection, letters: Sequence[StoredDeadLetter]) -> list[str]:
    """Insert dead letters; return the ids of those that the index didn't have."""
    if not letters:
        return []
    columns = zip(*(_columns(letter) for letter in letters), strict=True)
    rows = await connection.fetch(SQL["add"], *(list(column) for column in columns))
    return [row["id"] for row in rows]


def _columns(letter: StoredDeadLetter) -> tuple[object, ...]:
    return (
        stored_text(letter.id),
        stored_text(letter.identity),
        letter.vhost,
        letter.queue,
        stored_text(letter.origin),
        stored_text(letter.tenant),
        stored_text(letter.reason),
        stored_text(letter.detail),
        letter.order_id,
        stored_text(letter.step),
        stored_text(letter.message_id),
        stored_text(letter.correlation_id),
        letter.died_at,
        letter.times,
        json_text(letter.headers),
        json_text(letter.properties),
        letter.body,
    )


def _has_own_id(letter: StoredDeadLetter) -> bool:
    """True if the identity is the id in the header. No other dead letter has it."""
    return letter.headers.get(LETTER_ID_HEADER) == letter.identity


def _another_id(letter: StoredDeadLetter) -> str:
    """Return an id for a message that equals one that is indexed or closed already."""
    return f"{letter.identity}-{uuid4().hex[:8]}"


def _members(wanted: DeadLetterFilter) -> tuple[object, ...]:
    return (
        wanted.tenant,
        wanted.queue,
        wanted.reason,
        wanted.order_id,
        wanted.step,
        wanted.died_before,
    )


def _filter_record(wanted: DeadLetterFilter) -> dict[str, Any]:
    before = wanted.died_before
    return {
        "tenant": wanted.tenant,
        "queue": wanted.queue,
        "reason": wanted.reason,
        "order_id": wanted.order_id,
        "step": wanted.step,
        "died_before": before and before.isoformat(),
    }


def _filter_from(record: Mapping[str, Any]) -> DeadLetterFilter:
    before = record["died_before"]
    return replace(
        ANY_DEAD_LETTER,
        **{**record, "died_before": datetime.fromisoformat(before) if before else None},
    )


def _letter_of(row: Row) -> StoredDeadLetter:
    return StoredDeadLetter(
        id=row["id"],
        identity=row["identity"],
        vhost=row["vhost"],
        queue=row["queue"],
        origin=row["origin"],
        reason=row["reason"],
        detail=row["detail"],
        tenant=row["tenant"],
        order_id=row["order_id"],
        step=row["step"],
        message_id=row["message_id"],
        correlation_id=row["correlation_id"],
        died_at=row["died_at"],
        times=row["times"],
        body=row["body"],
        headers=row["headers"],
        properties=row["properties"],
        state=LetterState(row["state"]),
        number=row["number"],
        changed_at=row["changed_at"],
        changed_by=row["changed_by"],
        because=row["because"],
    )


def _run_of(row: Row) -> LetterRun:
    return LetterRun(
        id=row["id"],
        act=LetterAct(row["act"]),
        filter=_filter_from(row["filter"]),
        rate=row["rate"],
        because=row["because"],
        operator=Operator(
            row["operator"], row["door"], row["tenant"], row["role"], row["correlation_id"]
        ),
        state=RunState(row["state"]),
        total=row["total"],
        done=row["done"],
        rejected=row["rejected"],
        rejections=row["rejections"],
        last_number=row["last_number"],
        up_to=row["up_to"],
        created_at=row["created_at"],
        ended_at=row["ended_at"],
    )
