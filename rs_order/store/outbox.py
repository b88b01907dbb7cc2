"""The outbox: the messages that units of work write, and the rows that the relay reads.

Order responses are also kept beside it, so that they can be sent again.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID, uuid4, uuid5

import orjson

from rs_order import traces
from rs_order.contracts.notifications import CopyMetadata
from rs_order.domain.ids import OrderId, RequestId, Tenant
from rs_order.ports import Clock, MessageKind, OutboxCheck, OutboxRow, Written
from rs_order.store.errors import store_errors
from rs_order.store.pool import (
    LONGEST_IDLE_MS,
    Connection,
    Pool,
    Row,
    single_statement,
    statements,
    transaction,
)
from rs_order.store.rows import affected, json_text

MESSAGES_SQL = statements("messages")


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """A message to be written to the outbox."""

    kind: MessageKind
    tenant: Tenant
    body: dict[str, Any]
    stream: str | None = None
    """Messages of one stream are published in the order they were written; None: in any order.

    A writer to a stream holds the lock of the row that the stream is named after. So the order of the
    rows is the order of the commits.
    """
    due_at: datetime | None = None
    """Not before this instant; None: at once."""
    correlation_id: str | None = None
    message_id: UUID = field(default_factory=uuid4)
    """The same each time the message is published."""
    traceparent: str | None = None
    """The trace that it belongs to. None: that of the work which sends it, if traces are on."""


@dataclass(slots=True, eq=False)
class Lease:
    """A step that the process which writes it does by itself. Its row is due when the lease ends."""

    message: OutgoingMessage
    until: datetime


class Leases(Protocol):
    """Leases steps to this process, and does them."""

    def lease(self, message: OutgoingMessage, before: int) -> Lease | None:
        """Return the lease of a step that is about to be written, or None.

        ``before``: leases of the same unit of work.
        """
        ...

    def begin(self, leases: Sequence[Lease]) -> None:
        """Do the work of steps whose rows are committed."""
        ...


def order_stream(tenant: Tenant, order_id: int) -> str:
    """Return the stream of an order's messages. The writer holds the lock of the order's row."""
    return f"{tenant}/order/{order_id}"


def request_stream(tenant: Tenant, request_id: int) -> str:
    """Return the stream of a request without an order. The writer holds the lock of its row."""
    return f"{tenant}/request/{request_id}"


class Messages:
    """Writes messages to the outbox, and keeps order responses for repetition."""

    def __init__(
        self,
        connection: Connection,
        tenant: Tenant,
        copied: Mapping[MessageKind, str],
        leases: Leases | None = None,
    ) -> None:
        """``copied`` has the Java class of each kind that is copied to rs-notifier."""
        self._connection = connection
        self._leases = leases
        self.leased: list[Lease] = []
        """The steps that this process does after the commit."""
        self._copied = copied
        self._tenant = tenant
        self._partitions: set[int] = set()
        self._next_due: datetime | None = None
        self.responded: list[dict[str, Any]] = []
        """The order responses of this unit of work, for the log after the commit."""

    @property
    def written(self) -> Written | None:
        """The rows written so far, or None. After the commit, the unit of work passes it to the relay."""
        if not self._partitions and self._next_due is None:
            return None
        return Written(frozenset(self._partitions), self._next_due)

    def count_responded(self, status: str) -> int:
        """Return the number of order responses with this status in this unit of work."""
        return sum(response["status"] == status for response in self.responded)

    async def send(self, messages: Sequence[OutgoingMessage]) -> None:
        written = [self._with_lease(message) for message in messages]
        await self._write(written, [json_text(message.body) for message in written])

    async def send_composed(
        self, messages: Sequence[OutgoingMessage], bodies: Sequence[str]
    ) -> None:
        """Send messages whose bodies are JSON texts already."""
        await self._write(messages, bodies)

    def _with_lease(self, message: OutgoingMessage) -> OutgoingMessage:
        """Return a message, due at the end of its lease if it has one."""
        if self._leases is None or message.kind is not MessageKind.STEP:
            return message
        traced = replace(message, traceparent=message.traceparent or traces.current())
        lease = self._leases.lease(traced, len(self.leased))
        if lease is None:
            return message
        self.leased.append(lease)
        return replace(traced, due_at=lease.until)

    async def respond(
        self, responses: Sequence[tuple[OutgoingMessage, OrderId | None, RequestId | None]]
    ) -> None:
        """Send order responses, and keep them with their message ids."""
        if not responses:
            return
        messages = await self._in_traces_of_orders(responses)
        bodies = [json_text(message.body) for message in messages]
        await self._write(messages, bodies)
        self.responded += [_logged(self._tenant, message) for message in messages]
        await self._connection.execute(
            MESSAGES_SQL["save_responses"],
            [order for _, order, _ in responses],
            [request for _, _, request in responses],
            [message.message_id for message in messages],
            [message.correlation_id for message in messages],
            bodies,
        )

    async def _in_traces_of_orders(
        self, responses: Sequence[tuple[OutgoingMessage, OrderId | None, RequestId | None]]
    ) -> list[OutgoingMessage]:
        """Return the messages, each in the trace that its order began in: storage begins one of its own."""
        if traces.current() is None:
            return [message for message, _, _ in responses]
        rows = await self._connection.fetch(
            MESSAGES_SQL["traces"], [order for _, order, _ in responses]
        )
        of_orders = {row["id"]: row["traceparent"] for row in rows}
        return [
            replace(message, traceparent=of_orders.get(order)) for message, order, _ in responses
        ]

    async def repeat(self, requests: Sequence[RequestId]) -> int:
        """Send every response to these requests again, in order. Return how many there were.

        The caller has locked the rows of their orders.
        """
        rows = await self._connection.fetch(MESSAGES_SQL["responses"], requests)
        messages = [
            OutgoingMessage(
                kind=MessageKind.ORDER_RESPONSE,
                tenant=self._tenant,
                body={},
                stream=order_stream(self._tenant, row["order_id"])
                if row["order_id"] is not None
                else request_stream(self._tenant, row["request_id"]),
                correlation_id=row["correlation_id"],
                message_id=row["message_id"],
            )
            for row in rows
        ]
        await self._write(messages, [row["body"] for row in rows])
        return len(rows)

    async def unpublished_steps(
        self, steps: Sequence[tuple[str, str]], now: datetime
    ) -> set[tuple[str, str]]:
        """Return the steps among these that the relay has to publish, each by its name and subject."""
        if not steps:
            return set()
        rows = await self._connection.fetch(
            MESSAGES_SQL["unpublished_steps"],
            self._tenant,
            [name for name, _ in steps],
            [subject for _, subject in steps],
            now,
        )
        return {(row["step"], row["subject"]) for row in rows}

    async def purge_responses(self, before: datetime, limit: int) -> int:
        """Delete up to ``limit`` responses from before the retention. Return how many there were."""
        return affected(
            await self._connection.execute(MESSAGES_SQL["purge_responses"], before, limit)
        )

    async def _write(self, messages: Sequence[OutgoingMessage], bodies: Sequence[str]) -> None:
        if not messages:
            return
        if self._copied:
            messages, bodies = self._with_copies(messages, bodies)
        (row,) = await self._connection.fetch(
            MESSAGES_SQL["send"],
            [message.kind for message in messages],
            [message.tenant for message in messages],
            [message.stream for message in messages],
            bodies,
            [message.correlation_id for message in messages],
            [message.message_id for message in messages],
            [message.due_at for message in messages],
            _traceparents(messages),
        )
        self._partitions.update(row["partitions"] or ())
        if row["due_at"] is not None:
            self._next_due = min(self._next_due or row["due_at"], row["due_at"])

    def _with_copies(
        self, messages: Sequence[OutgoingMessage], bodies: Sequence[str]
    ) -> tuple[list[OutgoingMessage], list[str]]:
        """Return the messages, each followed by its copy in the same stream (amqp.md 1.13)."""
        with_copies, their_bodies = list[OutgoingMessage](), list[str]()
        for message, body in zip(messages, bodies, strict=True):
            with_copies.append(message)
            their_bodies.append(body)
            if event := self._copied.get(message.kind):
                with_copies.append(_copy_of(message))
                their_bodies.append(_copied_body(body, event))
        return with_copies, their_bodies


def _traceparents(messages: Sequence[OutgoingMessage]) -> list[str] | None:
    current = traces.current()
    return None if current is None else [message.traceparent or current for message in messages]


def _copy_of(message: OutgoingMessage) -> OutgoingMessage:
    """Return the copy for rs-notifier. Its id is the same each time the message is sent."""
    return OutgoingMessage(
        kind=MessageKind.NOTIFIER_COPY,
        tenant=message.tenant,
        body={},
        stream=message.stream,
        due_at=message.due_at,
        traceparent=message.traceparent,
        message_id=uuid5(message.message_id, MessageKind.NOTIFIER_COPY),
    )


def _copied_body(body: str, event: str) -> str:
    metadata = CopyMetadata(message_type=event).to_wire()
    return json_text({"payload": orjson.Fragment(body), "metadata": metadata})


def _logged(tenant: Tenant, message: OutgoingMessage) -> dict[str, Any]:
    return {
        "tenant": tenant,
        "order": message.body.get("orderId"),
        "correlation_id": message.correlation_id,
        "status": message.body["status"],
        "sub_order": message.body.get("subOrderId"),
    }


OUTBOX_SQL = statements("outbox")
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 120.0
"""A peer whose queue takes messages again receives what was rejected within this time."""
SIGNS_OF_LIFE = 4
"""Statements that a claim sends within the time after which the server would end it."""


@dataclass(frozen=True, slots=True)
class OutboxLag:
    """The backlog of the relay."""

    rows: int
    """Due rows, counted up to 10,000."""
    oldest_seconds: float
    """The waiting time of the oldest due row."""
    rejected: int = 0
    """Messages to peers that the broker rejects, because a queue of a peer is full; counted up to 10,000."""
    oldest_rejected_seconds: float = 0.0
    """The age of the oldest of them."""


class ClaimedRows:
    """Rows of one partition that no other relay can take until the claim ends."""

    def __init__(self, connection: Connection, rows: Sequence[OutboxRow], now: datetime) -> None:
        self._connection = connection
        self._now = now
        self._free = asyncio.Lock()
        self._ended = asyncio.Event()
        self.rows = rows
        self.removed: list[int] = []
        """Rows that the commit of the claim deletes."""

    async def remove(self, ids: Sequence[int]) -> None:
        """Delete the rows that the broker confirmed, when the claim ends."""
        self.removed += ids

    async def postpone(self, ids: Sequence[int]) -> None:
        """Let rows that the broker rejected wait, with their streams, each time twice as long."""
        async with self._free:
            await self._connection.execute(
                OUTBOX_SQL["postpone"], ids, self._now, FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS
            )

    @asynccontextmanager
    async def kept(self, every_seconds: float) -> AsyncIterator[None]:
        """Keep the claim until the end of the block, also while the broker confirms slowly.

        The server ends the claim of a relay that sends nothing, so that other relays get the partition.
        """
        keeping = asyncio.create_task(self._keep(every_seconds))
        try:
            yield
        finally:
            self._ended.set()
            await (
                keeping
            )  # not cancelled, because this would cancel the transaction with its statement

    async def _keep(self, every_seconds: float) -> None:
        while not self._ended.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(every_seconds):
                    await self._ended.wait()
                return
            async with self._free:
                await self._connection.execute("select 1")


class Outbox:
    """The messages to be published. The stream of a row decides its partition."""

    def __init__(self, pool: Pool, clock: Clock, *, longest_idle_ms: int = LONGEST_IDLE_MS) -> None:
        """``longest_idle_ms``: the server ends a claim whose relay sends nothing for so long."""
        self._pool = pool
        self._clock = clock
        self._longest_idle_ms = longest_idle_ms

    async def check(self) -> OutboxCheck:
        """Return which partitions have due rows, and when the next row is due."""
        async with single_statement(self._pool) as connection:
            rows = await connection.fetch(OUTBOX_SQL["check"], self._clock.now())
        seconds = {row["partition"]: row["seconds"] for row in rows}
        return OutboxCheck(
            [partition for partition, due_in in seconds.items() if due_in == 0],
            min(seconds.values(), default=None),
        )

    def seconds_until(self, due_at: datetime) -> float:
        """Return the seconds until a due time; 0 if it has passed."""
        return max(0.0, (due_at - self._clock.now()).total_seconds())

    @asynccontextmanager
    async def claim(self, partition: int, limit: int) -> AsyncIterator[ClaimedRows | None]:
        """Claim the oldest due rows of a partition; None if another relay has claimed it.

        A normal end of the context commits the removals; an exception undoes them. The lock is taken with the
        begin of the transaction, and the rows are deleted with its commit: a claim is three round trips.
        """
        last: list[str] = []
        async with transaction(
            self._pool,
            longest_idle_ms=self._longest_idle_ms,
            generic_plans=True,
            first=[_with_value(OUTBOX_SQL["take_partition"], str(int(partition)))],
            last=last,
        ) as connection:
            now = self._clock.now()
            rows = await connection.fetch(OUTBOX_SQL["claim"], partition, now, limit)
            if not rows:
                yield None
                return
            due = [_row_of(row) for row in rows if row["id"] is not None]
            claimed = ClaimedRows(connection, due, now)
            async with claimed.kept(self._longest_idle_ms / 1000 / SIGNS_OF_LIFE):
                yield claimed
            if claimed.removed:
                ids = ",".join(str(int(id_)) for id_ in claimed.removed)
                last.append(_with_value(OUTBOX_SQL["remove"], f"'{{{ids}}}'"))

    async def lag(self) -> OutboxLag:
        async with single_statement(self._pool) as connection:
            (row,) = await connection.fetch(OUTBOX_SQL["lag"], self._clock.now())
        return OutboxLag(
            rows=row["rows"],
            oldest_seconds=max(0.0, float(row["oldest"])),
            rejected=row["rejected"],
            oldest_rejected_seconds=max(0.0, float(row["oldest_rejected"])),
        )


def _row_of(row: Row) -> OutboxRow:
    return OutboxRow(
        id=row["id"],
        kind=MessageKind(row["kind"]),
        tenant=Tenant(row["tenant"]),
        body=row["body"].encode(),
        stream=row["stream"],
        correlation_id=row["correlation_id"],
        message_id=row["message_id"],
        created_at=row["created_at"],
        traceparent=row["traceparent"],
        was_rejected=row["attempts"] > 0,
    )


def _with_value(statement: str, value: str) -> str:
    """Return a statement with a number, or a list of numbers, instead of its parameter.

    It is sent together with begin or commit, and such a message can't have parameters.
    """
    return statement.replace("$1", value)


class LeasedRows:
    """The rows of leased steps. A row is found by its partition and its due time."""

    def __init__(self, pool: Pool, committed: Callable[[Written], None]) -> None:
        """``committed``: called with rows that are due at once."""
        self._pool = pool
        self._committed = committed

    async def delete(self, leases: Sequence[Lease]) -> None:
        """Delete the rows of steps that are done, unless the relay did."""
        if leases:
            with store_errors():
                async with transaction(self._pool, generic_plans=True) as connection:
                    await connection.execute(OUTBOX_SQL["delete_leased"], *_keys(leases))

    async def move(self, leases: Sequence[Lease], until: datetime | None) -> None:
        """End leases at another time; None: at once."""
        if not leases:
            return
        with store_errors():
            async with transaction(self._pool, generic_plans=True) as connection:
                rows = await connection.fetch(OUTBOX_SQL["move_leased"], *_keys(leases), until)
        if until is None:
            self._committed(Written(frozenset(row["partition"] for row in rows)))
            return
        for lease in leases:
            lease.until = until


def _keys(leases: Sequence[Lease]) -> tuple[list[UUID], list[datetime]]:
    return [lease.message.message_id for lease in leases], [lease.until for lease in leases]
