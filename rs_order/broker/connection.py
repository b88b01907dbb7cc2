"""A connection to one virtual host that reconnects by itself and restores everything on it.

The robust connection of aio-pika is not used. It restores consumers one by one, and if it can't restore
one (an operator deleted the queue, an error closed the channel), that consumer receives nothing any more,
without an error. Here any loss ends the whole connection, and everything is set up again in the same way
as at the start.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Protocol

import aio_pika
import structlog
from aio_pika.abc import AbstractConnection
from prometheus_client import Gauge
from yarl import URL

from rs_order.broker.errors import AmqpError, BrokerUnavailable
from rs_order.broker.publishing import broker_errors, open_channel, when_closed
from rs_order.broker.topology import Elements, declare
from rs_order.domain.identity import SERVICE
from rs_order.domain.retry import Backoff

CONNECT_SECONDS = 10.0
CLOSE_SECONDS = 5.0
HEARTBEAT_SECONDS = 2
"""The broker leaves a silent connection after six seconds at most, and gives its messages to others.
The library leaves a silent broker after ten seconds at most: three times a second more than the heartbeat,
checked once a second."""
ALARM_CHECK_SECONDS = 1.0
ALARM_GRACE_SECONDS = 0.1
"""The library signals an alarm only by a wait that doesn't end at once."""
BUFFERED_FRAMES = 10_000
"""Frames of a channel that have arrived and wait for their task; a message has three. With ten, the library's
default, a channel gets three messages each time that all tasks have run: too few for a batch under load."""
STABLE_SECONDS = 30.0
"""After a connection that lasted this long, the pauses start again from the first."""
BACKOFF = Backoff(first=timedelta(seconds=0.2), limit=timedelta(seconds=10), jitter=0.5)
"""Pauses after a lost connection, and after a batch that could not be handled."""

_log = structlog.get_logger(__name__)
_blocked = Gauge(
    "rs_order_broker_blocked",
    "1 while the broker takes no messages because of an alarm (memory or disk), else 0",
    ["vhost"],
)


Prepare = Callable[[AbstractConnection], Awaitable[None]]
"""Prepares a connection before its sessions start. It may declare more than a list of elements."""


async def connect(url: str, vhost: str) -> AbstractConnection:
    """Open a connection to a virtual host; its channels buffer `BUFFERED_FRAMES` frames.

    Raises:
        BrokerUnavailable: the broker can't be reached.
    """
    with broker_errors("connect"):
        connection = await aio_pika.connect(vhost_url(url, vhost), timeout=CONNECT_SECONDS)
    if (transport := connection.transport) is not None:
        underlay = transport.connection
        channel = partial(underlay.channel, frame_buffer_size=BUFFERED_FRAMES)
        setattr(underlay, "channel", channel)  # noqa: B010 - of this connection alone
    return connection


class Session(Protocol):
    """A consumer or a publisher that runs on a connection."""

    async def run(self, connection: AbstractConnection) -> None:
        """Work until `stop`; raise if the channel or the consumer is lost."""
        ...

    async def stop(self) -> None:
        """Finish the work begun and let `run` return; do nothing if it isn't running."""
        ...


class SupervisedConnection:
    """Connects, declares, and runs the sessions; starts again whenever any of it is lost."""

    def __init__(
        self,
        url: str,
        vhost: str,
        elements: Elements,
        sessions: Sequence[Session],
        *,
        prepare: Prepare | None = None,
        backoff: Backoff = BACKOFF,
    ) -> None:
        """Set what to run.

        Args:
            url: broker and credentials; a path in it is ignored.
            vhost: the virtual host's name.
            elements: declared each time, before a session starts.
            sessions: stopped in this order.
            prepare: called each time after the declarations, before a session starts.
            backoff: pauses between attempts to connect.
        """
        self._url = url
        self._vhost = vhost
        self._elements = elements
        self._sessions = tuple(sessions)
        self._prepare = prepare
        self._backoff = backoff
        self._connected = False
        self._is_blocked = False
        self._stopping = asyncio.Event()
        self._last_loss: str | None = None

    @property
    def vhost(self) -> str:
        return self._vhost

    @property
    def connected(self) -> bool:
        """True if the connection is open and everything is declared."""
        return self._connected

    @property
    def is_blocked(self) -> bool:
        """True while the broker takes no messages from here, because its memory or disk is short."""
        return self._is_blocked

    @property
    def last_loss(self) -> str | None:
        """The cause of the last lost or failed connection, or None if there was none."""
        return self._last_loss

    async def run(self) -> None:
        """Keep the sessions running; return after `stop`."""
        attempt = 0
        while not self._stopping.is_set():
            began = asyncio.get_running_loop().time()
            try:
                await self._run_once()
            except Exception as error:  # noqa: BLE001 - whatever ended it, connect again
                lived = asyncio.get_running_loop().time() - began
                attempt = 1 if lived >= STABLE_SECONDS else attempt + 1
                self._report_loss(error, attempt)
                await self._pause(self._backoff.pause(attempt).total_seconds())

    async def stop(self) -> None:
        """Stop the sessions one after the other; `run` closes the connection and returns."""
        self._stopping.set()
        for session in self._sessions:
            await session.stop()

    async def _run_once(self) -> None:
        connection = await connect(self._url, self._vhost)
        try:
            await self._declare(connection)
            self._connected = True
            _log.info("broker-connected", vhost=self._vhost)
            await self._run_sessions(connection)
        finally:
            self._connected = False
            self._set_blocked(False)
            await _close(connection)

    async def _declare(self, connection: AbstractConnection) -> None:
        channel = await open_channel(connection)
        with broker_errors("declare the topology"):
            await declare(channel, self._elements)
            await channel.close()
        if self._prepare is not None:
            await self._prepare(connection)

    async def _run_sessions(self, connection: AbstractConnection) -> None:
        async with asyncio.TaskGroup() as group:
            watch = group.create_task(_watch(connection))
            alarms = group.create_task(self._follow_alarms(connection))
            running = [group.create_task(session.run(connection)) for session in self._sessions]
            if running:
                await asyncio.wait(running)
            await self._stopping.wait()
            watch.cancel()
            alarms.cancel()

    async def _follow_alarms(self, connection: AbstractConnection) -> None:
        """Note when the broker blocks the connection, and when it doesn't any more."""
        while connection.transport is not None:
            try:
                async with asyncio.timeout(ALARM_GRACE_SECONDS):
                    await connection.transport.ready()
            except TimeoutError:
                self._set_blocked(True)
            else:
                self._set_blocked(False)
            await asyncio.sleep(ALARM_CHECK_SECONDS)

    def _set_blocked(self, is_blocked: bool) -> None:
        if is_blocked is self._is_blocked:
            return
        self._is_blocked = is_blocked
        _blocked.labels(self._vhost).set(is_blocked)
        if is_blocked:
            _log.warning("broker-blocked", vhost=self._vhost)
        else:
            _log.info("broker-unblocked", vhost=self._vhost)

    def _report_loss(self, error: Exception, attempt: int) -> None:
        self._last_loss = "; ".join(_leaves(error))
        # A line says everything about the usual losses. Anything else is a defect and needs its trace.
        defect = None if _is_usual(error) else error
        _log.warning(
            "broker-lost",
            vhost=self._vhost,
            attempt=attempt,
            cause=self._last_loss,
            exc_info=defect,
        )

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()


async def _watch(connection: AbstractConnection) -> None:
    await when_closed(connection).wait()
    raise BrokerUnavailable("The connection was closed.")


async def _close(connection: AbstractConnection) -> None:
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            with broker_errors("close the connection"):
                await connection.close()
    except (BrokerUnavailable, TimeoutError) as error:
        _log.info("broker-closed-hard", cause=str(error) or "the broker did not answer")


def vhost_url(url: str, vhost: str) -> URL:
    """Return the broker's URL with the virtual host as its path."""
    base = URL(url)
    query = {"heartbeat": str(HEARTBEAT_SECONDS), "name": SERVICE, **base.query}
    return base.with_path(f"/{vhost}").with_query(query)


def _leaves(error: BaseException) -> list[str]:
    """Return the text of each error once, without the groups around them."""
    if isinstance(error, BaseExceptionGroup):
        return list(dict.fromkeys(leaf for inner in error.exceptions for leaf in _leaves(inner)))
    return [str(error) or type(error).__name__]


def _is_usual(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(_is_usual(inner) for inner in error.exceptions)
    return isinstance(error, AmqpError)
