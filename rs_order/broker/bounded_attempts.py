"""Calls the handler of a queue again after it failed, and gives up on messages that make it fail."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from rs_order.broker.delivery import DeadLetter, Delivery, Outcome
from rs_order.domain.retry import Backoff

ATTEMPTS = 5
"""Calls with the same batch, within three seconds, before its messages are tried in smaller parts."""

_log = structlog.get_logger(__name__)


BatchHandler = Callable[[Sequence[Delivery]], Awaitable[Sequence[Outcome]]]
"""Handles deliveries together and returns one outcome per delivery, in the same order.

Their effects are committed then. After an exception the same deliveries are passed again, so handling is
idempotent. A message that can't be handled is an outcome, not an exception.
"""

Notify = Callable[[Sequence[Delivery], Sequence[Outcome]], Awaitable[None]]
"""Notifies users of messages that become dead letters."""


class Stopping(Exception):
    """The consumer stops before its batch could be handled."""


@dataclass(slots=True)
class _Batch:
    """The state of a batch between attempts."""

    defect: str | None = None
    """Class of the latest unforeseen error."""
    given_up: list[tuple[Delivery, DeadLetter]] = field(default_factory=list)


class BoundedAttempts:
    """Calls a batch handler until it returns outcomes.

    While something that the handler needs is unavailable, it is called again without limit, because no
    message is to blame. Any other exception is a defect. After some attempts the batch is halved, down
    to the single messages that make the handler fail. These become dead letters, so that they don't
    block their queue.
    """

    def __init__(
        self,
        queue: str,
        handler: BatchHandler,
        *,
        unavailable: tuple[type[Exception], ...],
        notify: Notify | None,
        stopping: asyncio.Event,
        backoff: Backoff,
    ) -> None:
        """Set what is called, and how.

        Args:
            queue: name of the queue, for the log.
            handler: handles the batches.
            unavailable: exceptions that the handler raises while it can't handle any message.
            notify: notifies users of the messages given up here. The handler itself notifies users of
                the messages that it makes dead letters.
            stopping: ends all attempts once it is set.
            backoff: pauses between attempts.
        """
        self._queue = queue
        self._handler = handler
        self._unavailable = unavailable
        self._notify = notify
        self._stopping = stopping
        self._backoff = backoff
        self._batches: list[_Batch] = []

    @property
    def defect(self) -> str | None:
        """The class of an unforeseen error of a batch that is not done yet, or None."""
        return next((batch.defect for batch in self._batches if batch.defect), None)

    async def handle(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        """Return one outcome per delivery.

        Raises:
            Stopping: the consumer stops before the deliveries could be handled.
        """
        batch = _Batch()
        self._batches.append(batch)
        try:
            outcomes = await self._attempt(batch, deliveries, ATTEMPTS)
            await self._notify_of(batch.given_up)
        finally:
            self._batches.remove(batch)
        return outcomes

    async def _attempt(
        self, batch: _Batch, deliveries: Sequence[Delivery], attempts: int
    ) -> Sequence[Outcome]:
        failures = 0
        while True:
            try:
                return await self._call(deliveries)
            except Exception as error:  # noqa: BLE001 - whatever the defect, the queue must go on
                failures += 1
                pause = self._backoff.pause(failures).total_seconds()
                if isinstance(error, self._unavailable):
                    _log.error("batch-waiting", exc_info=error, **self._facts(deliveries, pause))
                else:
                    _log.error("batch-failed", exc_info=error, **self._facts(deliveries, pause))
                    batch.defect = type(error).__name__
                    attempts -= 1
                    if attempts <= 0:
                        return await self._isolate(batch, deliveries, error)
            await self._wait(pause)

    async def _isolate(
        self, batch: _Batch, deliveries: Sequence[Delivery], error: Exception
    ) -> Sequence[Outcome]:
        """Try each half once, down to single messages; give up on those that fail alone."""
        if len(deliveries) == 1:
            dead_letter = DeadLetter.unforeseen(error)
            batch.given_up.append((deliveries[0], dead_letter))
            return [dead_letter]
        middle = len(deliveries) // 2
        return [
            *await self._attempt(batch, deliveries[:middle], 1),
            *await self._attempt(batch, deliveries[middle:], 1),
        ]

    async def _call(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        outcomes = await self._handler(deliveries)
        if len(outcomes) != len(deliveries):
            raise RuntimeError(f"{len(outcomes)} outcomes for {len(deliveries)} deliveries")
        return outcomes

    async def _notify_of(self, given_up: Sequence[tuple[Delivery, DeadLetter]]) -> None:
        if self._notify is None or not given_up:
            return
        deliveries, outcomes = zip(*given_up, strict=True)
        try:
            await self._notify(deliveries, outcomes)
        except Exception:  # noqa: BLE001 - it may fail by the same defect, and must not hold up the queue
            _log.exception("dead-letters-not-notified", queue=self._queue, messages=len(given_up))

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        if self._stopping.is_set():
            raise Stopping

    def _facts(self, deliveries: Sequence[Delivery], pause: float) -> dict[str, object]:
        """Return the log members that describe a batch that was not handled."""
        return {
            "queue": self._queue,
            "deliveries": len(deliveries),
            "next_attempt_seconds": round(pause, 3),
        }
