"""Publishes the rows of the outbox: each at least once, in the order of its stream.

A row is deleted after the broker has confirmed it. A crash in between publishes it again, with the same
``message_id``. A row that the broker doesn't confirm stays, and so do the later rows of its stream; other
streams go on. A row that the broker rejects, because the queue of a peer is full, is tried again with growing
pauses. Steps and messages to peers are claimed apart, so that neither waits for the other.

A commit of this process names the partitions that it wrote to, so they are claimed without a check of the
outbox. The check finds everything else: rows that become due, and those of other processes.
"""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from math import inf
from typing import Any

import structlog

from rs_order.broker.publications import Publications
from rs_order.broker.publishing import Publisher
from rs_order.broker.row_publishing import Published, RowPublishing
from rs_order.broker.topology import Vhost
from rs_order.ports import FIRST_STEP_PARTITION, Claim, OutboxReader, OutboxRow, Written

PARTITIONS_AT_ONCE = 4
"""Claims held at the same time, three of them of one kind at most; each holds a database connection."""
ROWS_PER_CLAIM = 256
PUBLISH_SECONDS = 10.0
"""A claim publishes no further row after this time. It ends once those in flight have succeeded or failed."""
START_SECONDS = 5.0
"""How long to wait at the start until both virtual hosts are connected, with the queues of our steps."""
SWEEP_SECONDS = 1.0
"""The time from one check of the outbox to the next, while rows are found or fail."""
LONGEST_SWEEP_SECONDS = 6.0
"""The same while there is nothing to publish: each check that finds no row doubles the time up to this."""
TAKEN_SECONDS = 0.02
"""The first pause before a partition is claimed again that another relay has claimed."""
SHORTEST_PAUSE_SECONDS = 0.005
"""Clocks of process and database differ: without a pause the relay would loop before a due time."""

_log = structlog.get_logger(__name__)


class Relay:
    """Publishes the outbox. The relays of all processes share it, partition by partition."""

    def __init__(
        self,
        outbox: OutboxReader,
        publications: Publications,
        publishers: Mapping[Vhost, Publisher],
        *,
        sweep_seconds: float = SWEEP_SECONDS,
        publish_seconds: float = PUBLISH_SECONDS,
    ) -> None:
        self._publish_seconds = publish_seconds
        self._outbox = outbox
        self._publications = publications
        self._publishers = publishers
        self._sweep_seconds = sweep_seconds
        self._nudged = asyncio.Event()
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()
        self._ended.set()
        self._busy: set[int] = set()
        """Partitions that this relay has claimed, or tries to."""
        self._ready: set[int] = set()
        """Partitions to claim."""
        self._own: set[int] = set()
        """Partitions with rows of this process, which no other relay may know of."""
        self._taken_pauses: dict[int, float] = {}
        self._check_at = 0.0
        """The time of the event loop of the next check."""
        self._pause = sweep_seconds
        self._last_drains: dict[int, int] = {}
        self._drains = 0

    def notify(self, written: Written) -> None:
        """Publish the rows that this process has committed."""
        self._ready |= written.partitions
        self._own |= written.partitions
        if written.next_due is not None:
            self._check_within(self._outbox.seconds_until(written.next_due))
        self._nudged.set()

    def nudge(self) -> None:
        """Check the outbox at once."""
        self._check_within(0)
        self._nudged.set()

    async def stop(self) -> None:
        """Claim no more rows, and wait until those in flight are confirmed or have failed."""
        self._stopping.set()
        self._nudged.set()
        await self._ended.wait()

    async def run(self) -> None:
        """Publish until `stop`."""
        self._ended.clear()
        try:
            await self._wait_for_all_publishers()
            async with asyncio.TaskGroup() as drains:
                while not self._stopping.is_set():
                    await self._wait_for_publisher()
                    self._nudged.clear()
                    await self._check()
                    self._start_drains(drains)
                    await self._wait_for_rows()
        finally:
            self._ended.set()

    async def _wait_for_all_publishers(self) -> None:
        """Wait a little until all publishers are open: no row fails because this process just starts."""
        with suppress(TimeoutError):
            async with asyncio.timeout(START_SECONDS):
                for publisher in self._publishers.values():
                    await self._first_of(publisher.opened())

    async def _wait_for_publisher(self) -> None:
        """Wait until a publisher is open, so that no claim is held while the broker is unavailable."""
        if any(publisher.is_open for publisher in self._publishers.values()):
            return
        await self._first_of(*(publisher.opened() for publisher in self._publishers.values()))

    async def _first_of(self, *openings: Coroutine[Any, Any, None]) -> None:
        """Wait for one of the openings, or for the stop."""
        waits = [asyncio.ensure_future(wait) for wait in (self._until_stopping(), *openings)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _until_stopping(self) -> None:
        await self._stopping.wait()

    def _check_within(self, seconds: float) -> None:
        """Check the outbox after this time, unless a check is planned before."""
        self._check_at = min(self._check_at, asyncio.get_running_loop().time() + seconds)

    async def _check(self) -> None:
        """Check the outbox if the time has come, and plan the next check."""
        if self._stopping.is_set() or asyncio.get_running_loop().time() < self._check_at:
            return
        self._check_at = inf
        try:
            found = await self._outbox.check()
        except Exception:  # noqa: BLE001 - the store is unavailable; its rows stay
            _log.exception("relay-store-unavailable")
            self._check_within(self._sweep_seconds)
            return
        # A due row of a busy partition is being published, or its claim plans what is next.
        self._ready |= set(found.ready_partitions) - self._busy
        longest = max(LONGEST_SWEEP_SECONDS, self._sweep_seconds)
        self._pause = (
            self._sweep_seconds if found.ready_partitions else min(2 * self._pause, longest)
        )
        self._check_within(self._pause)
        if found.seconds_to_next:
            self._check_within(max(found.seconds_to_next, SHORTEST_PAUSE_SECONDS))

    def _start_drains(self, drains: asyncio.TaskGroup) -> None:
        """Start to drain ready partitions, the least recently drained first."""
        if self._stopping.is_set():
            return
        for partition in sorted(
            self._ready - self._busy, key=lambda partition: self._last_drains.get(partition, 0)
        ):
            if self._may_drain(partition):
                self._drains += 1
                self._last_drains[partition] = self._drains
                self._ready.discard(partition)
                self._busy.add(partition)
                drains.create_task(self._drain(partition))

    def _may_drain(self, partition: int) -> bool:
        """True if another claim may be held. Messages to peers leave one to the steps, and vice versa."""
        alike = sum(_holds_steps(busy) is _holds_steps(partition) for busy in self._busy)
        return len(self._busy) < PARTITIONS_AT_ONCE and alike < PARTITIONS_AT_ONCE - 1

    async def _wait_for_rows(self) -> None:
        """Wait for a nudge or for the next check, whichever comes first."""
        if self._stopping.is_set():
            return
        with suppress(TimeoutError):
            async with asyncio.timeout_at(self._check_at):
                await self._nudged.wait()

    async def _drain(self, partition: int) -> None:
        try:
            await self._publish_partition(partition)
        except Exception:  # noqa: BLE001 - the store failed; its rows stay
            _log.exception("relay-partition-failed", partition=partition)
            self._expect_failed_rows()
        finally:
            self._busy.discard(partition)
            self._nudged.set()

    async def _publish_partition(self, partition: int) -> None:
        """Publish the due rows of a partition, and decide when it is claimed again."""
        is_own = partition in self._own
        self._own.discard(partition)
        async with self._outbox.claim(partition, ROWS_PER_CLAIM) as claimed:
            published = None if claimed is None else await self._publish_rows(claimed)
        if claimed is not None and published is not None:
            self._taken_pauses.pop(partition, None)
            self._continue(partition, claimed.rows, published)
        elif is_own:
            self._claim_later(partition)

    async def _publish_rows(self, claimed: Claim) -> Published:
        ends = asyncio.get_running_loop().time() + self._publish_seconds
        rows = RowPublishing(claimed.rows, self._publications, self._publishers, ends=ends)
        published = await rows.publish()
        if published.confirmed:
            await claimed.remove(published.confirmed)
        if published.rejected:
            await claimed.postpone(published.rejected)
        return published

    def _continue(self, partition: int, rows: Sequence[OutboxRow], published: Published) -> None:
        """Claim a partition again if it may have more due rows; rows that failed wait for the next check."""
        all_confirmed = len(published.confirmed) == len(rows)
        if not all_confirmed:
            self._expect_failed_rows()
        may_have_more = (
            not all_confirmed
            or len(rows) >= ROWS_PER_CLAIM
            or any(row.was_rejected for row in rows)
        )
        if published.confirmed and may_have_more:
            self._ready.add(partition)

    def _expect_failed_rows(self) -> None:
        """Check often again, because rows that failed wait in the outbox."""
        self._pause = self._sweep_seconds
        self._check_within(self._sweep_seconds)

    def _claim_later(self, partition: int) -> None:
        """Claim a partition again that another relay has claimed, before the rows of this process came."""
        pause = self._taken_pauses.get(partition, TAKEN_SECONDS)
        self._taken_pauses[partition] = min(2 * pause, SWEEP_SECONDS)
        own = Written(frozenset({partition}))
        asyncio.get_running_loop().call_later(pause, self.notify, own)


def _holds_steps(partition: int) -> bool:
    return partition >= FIRST_STEP_PARTITION
