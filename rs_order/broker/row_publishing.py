"""Publishes the rows of a claim: different streams together, the rows of a stream one after the other.

All rows whose turn has come are sent at once. A row that fails ends its stream for this claim.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import structlog
from prometheus_client import Counter

from rs_order import traces
from rs_order.broker.errors import AmqpError, NotConfirmed, Rejected
from rs_order.broker.publications import Publications
from rs_order.broker.publishing import (
    CONFIRM_SECONDS,
    Confirm,
    Publication,
    Publisher,
    broker_errors,
)
from rs_order.broker.topology import Vhost
from rs_order.ports import OutboxRow

IN_FLIGHT: Final = 256
"""Publications of a claim that wait for their confirm."""

_log = structlog.get_logger(__name__)
_published = Counter("rs_order_relay_published", "Outbox rows that the broker confirmed", ["kind"])
_failed = Counter("rs_order_relay_failed", "Attempts that the broker did not confirm", ["kind"])

_Stream = deque[OutboxRow]
"""The rows of a stream that aren't published yet; the first is the next."""


@dataclass(slots=True)
class Published:
    """The rows of a claim that the broker confirmed or rejected. All others stay as they are."""

    confirmed: list[int] = field(default_factory=list)
    rejected: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _InFlight:
    """A row that was sent, with its stream."""

    row: OutboxRow
    stream: _Stream
    target: str
    until: float
    """The time of the event loop until which its confirm is awaited."""


class RowPublishing:
    """Publishes the rows of one claim."""

    def __init__(
        self,
        rows: Sequence[OutboxRow],
        publications: Publications,
        publishers: Mapping[Vhost, Publisher],
        *,
        ends: float,
    ) -> None:
        """``ends``: the time of the event loop after which no further row is published."""
        self._publications = publications
        self._publishers = publishers
        self._ends = ends
        self._loop = asyncio.get_running_loop()
        self._ready = deque(_by_stream(rows))
        """Streams whose next row may be sent."""
        self._in_flight: dict[Confirm, _InFlight] = {}
        """The oldest is the first."""
        self._settled: list[Confirm] = []
        self._changed = asyncio.Event()
        self._published = Published()

    async def publish(self) -> Published:
        """Publish the rows until each is confirmed, or has failed, or follows one that failed."""
        while self._ready or self._in_flight:
            await self._send()
            if self._in_flight:
                await self._wait()
            self._settle()
            self._give_up()
        return self._published

    async def _send(self) -> None:
        """Send the next row of each ready stream, as many as may be in flight."""
        if self._loop.time() >= self._ends:
            self._ready.clear()
        by_vhost = defaultdict[Vhost, list[tuple[_Stream, Publication]]](list)
        for _ in range(min(len(self._ready), IN_FLIGHT - len(self._in_flight))):
            stream = self._ready.popleft()
            if (publication := self._publication(stream[0])) is not None:
                by_vhost[publication.vhost].append((stream, publication))
        for vhost, sending in by_vhost.items():
            await self._send_to(vhost, sending)

    def _publication(self, row: OutboxRow) -> Publication | None:
        """Return the message of a row; None if it can't be made: one bad row must not stop others."""
        with traces.span(f"publish {row.kind.value}", "PRODUCER", parent=row.traceparent):
            try:
                return self._publications.publication(row)
            except Exception as error:  # noqa: BLE001 - whatever it is
                self._reject(row, error)
                return None

    async def _send_to(self, vhost: Vhost, sending: Sequence[tuple[_Stream, Publication]]) -> None:
        try:
            confirms = await self._publishers[vhost].send([one for _, one in sending])
        except AmqpError as error:
            for stream, _ in sending:
                self._report(stream[0], error)
            return
        except Exception as error:  # noqa: BLE001 - what is in flight elsewhere must not be sent again
            for stream, _ in sending:
                self._reject(stream[0], error)
            return
        until = self._loop.time() + CONFIRM_SECONDS
        for confirm, (stream, publication) in zip(confirms, sending, strict=True):
            row = stream.popleft()
            self._in_flight[confirm] = _InFlight(row, stream, publication.target, until)
            confirm.add_done_callback(self._note)

    def _note(self, confirm: Confirm) -> None:
        self._settled.append(confirm)
        self._changed.set()

    async def _wait(self) -> None:
        """Wait until the broker has settled a row, or has taken too long for the oldest one."""
        oldest = next(iter(self._in_flight.values()))
        with suppress(TimeoutError):
            async with asyncio.timeout_at(oldest.until):
                await self._changed.wait()
        self._changed.clear()

    def _settle(self) -> None:
        """Note what the broker has confirmed or rejected. The streams of confirmed rows continue."""
        settled, self._settled = self._settled, []
        for confirm in settled:
            sent = self._in_flight.pop(confirm, None)
            if sent is None:  # it was given up
                continue
            try:
                with broker_errors(f"publish to {sent.target}"):
                    confirm.result()
            except Rejected as error:
                self._published.rejected.append(sent.row.id)
                self._report(sent.row, error)
            except AmqpError as error:
                self._report(sent.row, error)
            except Exception as error:  # noqa: BLE001 - one bad row must not stop others
                self._reject(sent.row, error)
            else:
                self._published.confirmed.append(sent.row.id)
                _published.labels(sent.row.kind.value).inc()
                if sent.stream:
                    self._ready.append(sent.stream)

    def _give_up(self) -> None:
        """Leave the rows that the broker hasn't confirmed in time."""
        now = self._loop.time()
        late = [confirm for confirm, sent in self._in_flight.items() if sent.until <= now]
        for confirm in late:
            sent = self._in_flight.pop(confirm)
            error = NotConfirmed(
                f"Could not publish to {sent.target}: no confirm in {CONFIRM_SECONDS:g} s."
            )
            self._report(sent.row, error)

    def _reject(self, row: OutboxRow, error: Exception) -> None:
        """Let a row that can't be published wait, with its stream."""
        self._published.rejected.append(row.id)
        self._report(row, error)
        _log.error("relay-row-unpublishable", row=row.id, exc_info=error)

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


def _by_stream(rows: Sequence[OutboxRow]) -> list[_Stream]:
    """Group rows by stream; a row without a stream is a group of its own."""
    streams = defaultdict[str | int, _Stream](deque)
    for row in sorted(rows, key=lambda row: row.id):
        streams[row.id if row.stream is None else f"{row.tenant}/{row.stream}"].append(row)
    return list(streams.values())
