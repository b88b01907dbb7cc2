"""Publishes what the outbox holds: at least once, per stream in order, never forgotten.

A row leaves the outbox only after the broker's confirm. A crash between the two publishes it
again, with the same ``message_id``. A row that the broker does not take stays, and so does
what follows it in its stream; the other streams go on.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress

import structlog
from prometheus_client import Counter

from rs_order.broker.errors import AmqpError
from rs_order.broker.messages import Messages
from rs_order.broker.publisher import Publisher
from rs_order.broker.topology import Vhost
from rs_order.ports.outbox import OutboxReader, OutboxRow

SLOTS_AT_ONCE = 4
"""Claims held at the same time; each holds a database connection."""
ROWS_PER_CLAIM = 256
IN_FLIGHT = 256
"""Publications waiting for their confirm."""
SWEEP_SECONDS = 1.0
"""How late a row of another process, or one that failed, is looked at again."""
SHORTEST_PAUSE_SECONDS = 0.005
"""Our clock and the database's differ: don't spin in the last instant before a due time."""

_log = structlog.get_logger(__name__)
_published = Counter("rs_order_relay_published", "OutboxReader rows the broker confirmed", ["kind"])
_failed = Counter("rs_order_relay_failed", "Attempts the broker did not confirm", ["kind"])


class Relay:
    """Several relays share the outbox, slot by slot; none is special."""

    def __init__(
        self, outbox: OutboxReader, messages: Messages, publishers: Mapping[Vhost, Publisher]
    ) -> None:
        self._outbox = outbox
        self._messages = messages
        self._publishers = publishers
        self._in_flight = asyncio.Semaphore(IN_FLIGHT)
        self._nudged = asyncio.Event()
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()
        self._ended.set()
        self._busy: set[int] = set()
        self._turns: dict[int, int] = {}
        self._turn = 0

    def nudge(self) -> None:
        """Something was committed: look at once."""
        self._nudged.set()

    async def stop(self) -> None:
        """Claim nothing more, and return when what is in flight has settled."""
        self._stopping.set()
        self._nudged.set()
        await self._ended.wait()

    async def run(self) -> None:
        """Publish until `stop`."""
        self._ended.clear()
        try:
            async with asyncio.TaskGroup() as drains:
                while not self._stopping.is_set():
                    await self._until_reachable()
                    self._nudged.clear()
                    await self._look(drains)
                    await self._rest()
        finally:
            self._ended.set()

    async def _until_reachable(self) -> None:
        """Wait for a way out, so that no claim is held for a broker that is away."""
        if any(publisher.is_open for publisher in self._publishers.values()):
            return
        openings = [publisher.opened() for publisher in self._publishers.values()]
        waits = [asyncio.ensure_future(wait) for wait in (self._until_stopping(), *openings)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _until_stopping(self) -> None:
        await self._stopping.wait()

    async def _look(self, drains: asyncio.TaskGroup) -> None:
        """Start to drain ready slots, those first that waited longest for their turn."""
        if self._stopping.is_set():
            return
        try:
            ready = await self._outbox.ready_slots()
        except Exception:  # noqa: BLE001 - the store is away and the rows are safe in it
            _log.exception("relay-store-unavailable")
            return
        idle = sorted(set(ready) - self._busy, key=lambda slot: self._turns.get(slot, 0))
        for slot in idle[: SLOTS_AT_ONCE - len(self._busy)]:
            self._turn += 1
            self._turns[slot] = self._turn
            self._busy.add(slot)
            drains.create_task(self._drain(slot))

    async def _rest(self) -> None:
        """Until a nudge, the next due time, or the next sweep, whichever comes first."""
        if self._stopping.is_set():
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(await self._pause()):
                await self._nudged.wait()

    async def _pause(self) -> float:
        try:
            due_in = await self._outbox.seconds_to_next()
        except Exception:  # noqa: BLE001 - as in _look
            _log.exception("relay-store-unavailable")
            return SWEEP_SECONDS
        # A row that is due and still there is being drained, by us or another, or has failed:
        # the end of a drain nudges, the others may wait for the sweep.
        if due_in is None or due_in <= 0:
            return SWEEP_SECONDS
        return min(SWEEP_SECONDS, max(due_in, SHORTEST_PAUSE_SECONDS))

    async def _drain(self, slot: int) -> None:
        try:
            removed = await self._publish_slot(slot)
        except Exception:  # noqa: BLE001 - the store failed; its rows stay
            _log.exception("relay-slot-failed", slot=slot)
            return
        finally:
            self._busy.discard(slot)
        if removed:
            self.nudge()

    async def _publish_slot(self, slot: int) -> int:
        """How many rows left the outbox."""
        async with self._outbox.claim(slot, ROWS_PER_CLAIM) as claimed:
            if claimed is None:
                return 0
            confirmed = await self._publish_rows(claimed.rows)
            if confirmed:
                await claimed.remove(confirmed)
        return len(confirmed)

    async def _publish_rows(self, rows: Sequence[OutboxRow]) -> list[int]:
        """The ids of the rows that the broker confirmed."""
        streams = _by_stream(rows)
        confirmed = await asyncio.gather(*(self._publish_stream(stream) for stream in streams))
        return [row_id for ids in confirmed for row_id in ids]

    async def _publish_stream(self, rows: Sequence[OutboxRow]) -> list[int]:
        """One after the other, up to the first that fails."""
        confirmed = []
        for row in rows:
            if not await self._publish(row):
                break
            confirmed.append(row.id)
        return confirmed

    async def _publish(self, row: OutboxRow) -> bool:
        """Whether the broker confirmed the row."""
        try:
            publication = self._messages.publication(row)
            async with self._in_flight:
                await self._publishers[publication.vhost].publish(publication)
        except AmqpError as error:
            self._report(row, error)
            return False
        except Exception as error:  # noqa: BLE001 - one bad row must not stop others
            self._report(row, error)
            _log.exception("relay-row-unpublishable", row=row.id)
            return False
        _published.labels(row.kind.value).inc()
        return True

    def _report(self, row: OutboxRow, error: Exception) -> None:
        _failed.labels(row.kind.value).inc()
        _log.warning(
            "relay-not-confirmed",
            row=row.id,
            kind=row.kind.value,
            tenant=row.tenant,
            stream=row.stream,
            message_id=str(row.message_id),
            cause=str(error),
        )


def _by_stream(rows: Sequence[OutboxRow]) -> list[list[OutboxRow]]:
    """Rows that must follow each other together; a row without a stream is one of its own."""
    streams: dict[str | int, list[OutboxRow]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row.id):
        streams[row.id if row.stream is None else f"{row.tenant}/{row.stream}"].append(row)
    return list(streams.values())
