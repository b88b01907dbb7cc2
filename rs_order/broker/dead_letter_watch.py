"""Keeps the index of the dead letters equal to their queues, whoever writes to them or removes from them."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from uuid import uuid4

import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection

from rs_order.broker.dead_letter_reader import exclusive_connection, reading
from rs_order.broker.delivery import Delivery
from rs_order.broker.errors import BrokerUnavailable
from rs_order.broker.publishing import open_channel
from rs_order.broker.queue_depths import depth_of
from rs_order.broker.stored_dead_letters import stored_dead_letter
from rs_order.broker.topology import Vhost
from rs_order.domain.dead_letters import StoredDeadLetter
from rs_order.ports import IndexedQueue, IndexedRow, LetterIndex

CHECK_SECONDS = 2.0
LONGEST_PAUSE_SECONDS = 10.0
"""Each check that finds no difference doubles the pause up to this."""
REST_FACTOR = 10
"""A check is followed by a pause at least so many times as long as it took."""
PURGE_SECONDS = 600.0
ROWS_AT_A_TIME = 1000

_log = structlog.get_logger(__name__)


class IndexDeadLetters:
    """Indexes the dead letters that a consumer has published. The watcher adds what this misses."""

    def __init__(self, vhost: Vhost, index: LetterIndex) -> None:
        self._vhost = vhost
        self._index = index

    async def __call__(self, deliveries: Sequence[Delivery]) -> None:
        letters = [stored_dead_letter(self._vhost, delivery) for delivery in deliveries]
        try:
            await self._index.add(letters)
        except Exception as error:  # noqa: BLE001 - the queue must go on, and the watcher comes later
            _log.warning("dead-letters-not-indexed", letters=len(letters), cause=str(error))


class DeadLetterWatch:
    """A session that compares the queues of dead letters with the index, and reads those that differ.

    A check costs a question to the broker for each queue, and one statement. A queue is read only if it has
    another number of messages than the index, or if dead letters wait to be removed from it. One instance
    reads at a time.
    """

    def __init__(
        self,
        url: str,
        vhost: Vhost,
        vhost_name: str,
        queues: Callable[[], Sequence[str]],
        index: LetterIndex,
        *,
        check_seconds: float = CHECK_SECONDS,
    ) -> None:
        """Set what to watch.

        Args:
            url: broker and credentials, for the connection that reads.
            vhost: the virtual host of the queues.
            vhost_name: its name.
            queues: returns those that hold dead letters.
            index: what is kept equal to the queues.
            check_seconds: the shortest pause between two checks; it grows while nothing differs.
        """
        self._url = url
        self._vhost = vhost
        self._vhost_name = vhost_name
        self._queues = queues
        self._index = index
        self._check_seconds = check_seconds
        self._channel: AbstractChannel | None = None
        self._missing: frozenset[str] | None = None
        self._purged_at = 0.0
        self._stopping = asyncio.Event()

    async def run(self, connection: AbstractConnection) -> None:
        """Check the queues until `stop`. A check that fails is repeated later."""
        checks = asyncio.ensure_future(self._check_again_and_again(connection))
        stop = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait((checks, stop), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
            checks.cancel()
            with suppress(asyncio.CancelledError):
                await checks

    async def stop(self) -> None:
        """Stop at once; a queue that is being read gets its messages back."""
        self._stopping.set()

    async def _check_again_and_again(self, connection: AbstractConnection) -> None:
        loop, pause = asyncio.get_running_loop(), self._check_seconds
        while True:
            began, differs = loop.time(), True
            try:
                differs = await self.check(connection)
            except Exception as error:  # noqa: BLE001 - broker or index are unavailable; the next check may succeed
                _log.warning("dead-letters-not-checked", vhost=self._vhost_name, cause=str(error))
            longest = max(LONGEST_PAUSE_SECONDS, self._check_seconds)
            pause = self._check_seconds if differs else min(2 * pause, longest)
            await asyncio.sleep(max(pause, REST_FACTOR * (loop.time() - began)))

    async def check(self, connection: AbstractConnection) -> bool:
        """Compare all queues with the index once, and read those that differ. True if there were any."""
        indexed = await self._index.queues(self._vhost.value)
        await self._save_missing(connection, indexed)
        differing = [
            queue
            for queue in self._queues()
            if _differs(queue, indexed, await self._messages(connection, queue))
        ]
        if differing:
            await self._read(differing)
        await self._purge()
        return bool(differing)

    async def _read(self, queues: Sequence[str]) -> None:
        """Read queues, unless another instance does."""
        async with exclusive_connection(self._url, self._vhost_name) as connection:
            if connection is not None:
                for queue in queues:
                    await _Pass(self._vhost, queue, self._index).run(connection)

    async def _save_missing(
        self, connection: AbstractConnection, indexed: Sequence[IndexedQueue]
    ) -> None:
        """Note which queues of origin don't exist, so that nothing is replayed to them."""
        origins = {one.origin for one in indexed if one.origin is not None}
        missing = frozenset(
            [origin for origin in sorted(origins) if await self._is_missing(connection, origin)]
        )
        if missing != self._missing:
            await self._index.save_missing(self._vhost.value, missing)
            self._missing = missing

    async def _is_missing(self, connection: AbstractConnection, queue: str) -> bool:
        try:
            return await self._messages(connection, queue) is None
        except BrokerUnavailable:
            if connection.is_closed:
                raise
            return False  # it exists, but the broker allows this service no question about it

    async def _messages(self, connection: AbstractConnection, queue: str) -> int | None:
        """Return the number of messages in a queue, or None if it doesn't exist."""
        if self._channel is None or self._channel.is_closed:
            self._channel = await open_channel(connection)
        depth = await depth_of(self._channel, queue)
        return None if depth is None else depth.messages

    async def _purge(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._purged_at >= PURGE_SECONDS:
            await self._index.purge()
            self._purged_at = now


def _differs(queue: str, indexed: Sequence[IndexedQueue], messages: int | None) -> bool:
    """True if the queue has to be read."""
    here = [one for one in indexed if one.queue == queue]
    to_remove = sum(one.to_remove for one in here)
    return messages is not None and (to_remove > 0 or messages != sum(one.letters for one in here))


class _Pass:
    """One pass through one queue."""

    def __init__(self, vhost: Vhost, queue: str, index: LetterIndex) -> None:
        self._vhost = vhost
        self._queue = queue
        self._index = index

    async def run(self, connection: AbstractConnection) -> None:
        """Index what is new, delete what was replayed or discarded, and note what is missing."""
        # The index is read first: a dead letter is indexed after it has reached its queue.
        rows = _Rows(await self._index.in_queue(self._vhost.value, self._queue))
        async with reading(connection, self._queue) as queue:
            async for batch in queue.batches():
                await queue.acknowledge(await self._index_batch(rows, batch))
            missing = rows.unmatched() if queue.complete else []
        left = [*rows.deleted, *missing]
        for start in range(0, len(left), ROWS_AT_A_TIME):
            await self._index.left_queue(left[start : start + ROWS_AT_A_TIME])
        _log.info(
            "dead-letters-indexed",
            queue=self._queue,
            added=rows.added,
            deleted=len(rows.deleted),
            missing=len(missing),
        )

    async def _index_batch(self, rows: "_Rows", batch: Sequence[Delivery]) -> list[Delivery]:
        """Index the new dead letters of a batch, and return those to be deleted from the queue."""
        to_delete: list[Delivery] = []
        new: dict[str, tuple[StoredDeadLetter, Delivery]] = {}
        for delivery in batch:
            letter = stored_dead_letter(self._vhost, delivery)
            row = rows.match(letter.identity)
            if row is None:
                new[rows.new_id(letter.identity)] = letter, delivery
            elif row.to_remove:
                to_delete.append(delivery)
        if new:
            closed = await self._index.add([replace(one, id=id_) for id_, (one, _) in new.items()])
            to_delete += [new[id_][1] for id_ in closed]
        return to_delete


class _Rows:
    """The rows of a queue, matched with its messages. Equal messages are interchangeable."""

    def __init__(self, rows: Sequence[IndexedRow]) -> None:
        self._unmatched: dict[str, list[IndexedRow]] = defaultdict(list)
        # The open ones are matched first: if one of several equal messages is missing, none is deleted.
        for row in sorted(rows, key=lambda row: not row.to_remove):
            self._unmatched[row.identity].append(row)
        self._read: set[str] = set()
        self.deleted: list[str] = []
        """Rows whose message was found and is to be deleted."""
        self.added = 0

    def match(self, identity: str) -> IndexedRow | None:
        """Return the row of a message, or None if it is new."""
        row = self._unmatched[identity].pop() if self._unmatched.get(identity) else None
        if row is not None:
            self._read.add(identity)
            if row.to_remove:
                self.deleted.append(row.id)
        return row

    def new_id(self, identity: str) -> str:
        """Return the id of a new message: its identity, unless an equal one was read before."""
        self.added += 1
        if identity in self._read:
            return f"{identity}-{uuid4().hex[:8]}"
        self._read.add(identity)
        return identity

    def unmatched(self) -> list[str]:
        """Return the ids of the rows whose message isn't in the queue."""
        return [row.id for rows in self._unmatched.values() for row in rows]
