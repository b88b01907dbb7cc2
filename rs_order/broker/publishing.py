"""Channels with publisher confirms: the broker has a message, or it counts as not published."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from aio_pika import Message
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import DeliveryError
from aiormq import Channel
from aiormq.exceptions import AMQPError, ChannelInvalidStateError, PublishError

from rs_order.broker.errors import BrokerUnavailable, NotConfirmed, Rejected
from rs_order.broker.topology import Vhost

LONGEST_SHORT_STRING = 255
"""Bytes that fit into an AMQP property, or the name of a queue."""
CONFIRM_SECONDS = 30.0
"""How long to wait for a confirm; a broker short of memory or disk blocks publishers."""


@contextmanager
def broker_errors(what: str) -> Iterator[None]:
    """Translate the errors of the AMQP libraries; ``what`` completes the sentence "could not …".

    The libraries also end calls on a closing channel with ``CancelledError``. Passed on, it would look
    as if the task had been cancelled, and its work would end without an error.
    """
    try:
        yield
    except PublishError as error:
        raise Rejected(f"Could not {what}: no queue receives the message.") from error
    except DeliveryError as error:
        raise Rejected(f"Could not {what}: the broker rejected the message.") from error
    except TimeoutError as error:
        raise NotConfirmed(f"Could not {what}: no confirm in {CONFIRM_SECONDS:g} s.") from error
    except (AMQPError, ConnectionError, RuntimeError) as error:
        raise BrokerUnavailable(f"Could not {what}: {error or type(error).__name__}.") from error
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise BrokerUnavailable(f"Could not {what}: the channel was closed.") from error


async def open_channel(connection: AbstractConnection) -> AbstractChannel:
    """Open a channel with confirms, on which a returned message is an error.

    Raises:
        BrokerUnavailable: the connection closed meanwhile.
    """
    with broker_errors("open a channel"):
        channel = connection.channel(publisher_confirms=True, on_return_raises=True)
        await channel.initialize()
        return channel


async def publish(
    channel: AbstractChannel, exchange: str, routing_key: str, message: Message, *, mandatory: bool
) -> None:
    """Return once the broker has the message.

    Raises:
        NotConfirmed: rejected, unroutable though ``mandatory``, or not confirmed in time.
        BrokerUnavailable: the channel closed before the confirm arrived.
    """
    with broker_errors(f"publish to {exchange or routing_key}"):
        underlay = await _underlay(channel)
        async with asyncio.timeout(CONFIRM_SECONDS):
            await underlay.basic_publish(
                message.body,
                exchange=exchange,
                routing_key=routing_key,
                properties=message.properties,
                mandatory=mandatory,
                # The confirm is awaited all the same. Otherwise the next message would wait until the
                # socket has taken this one.
                wait=False,
            )


async def _underlay(channel: AbstractChannel) -> Channel:
    """Return the open channel of the library below.

    Raises:
        ChannelInvalidStateError: it is closed.
    """
    underlay = await channel.get_underlay_channel()
    if not isinstance(underlay, Channel):
        raise TypeError(f"aio-pika changed its channel: {type(underlay).__name__}")
    if channel.is_closed:
        raise ChannelInvalidStateError("the channel is closed")
    return underlay


def when_closed(link: AbstractConnection | AbstractChannel) -> asyncio.Event:
    """Return an event that is set when a connection or channel closes, for whatever reason."""
    closed = asyncio.Event()
    link.close_callbacks.add(lambda *_: closed.set())
    if link.is_closed:
        closed.set()
    return closed


async def until_closed(channel: AbstractChannel, stopping: asyncio.Event) -> None:
    """Wait for the stop, then close the channel.

    Raises:
        BrokerUnavailable: the broker closed the channel, or its connection closed.
    """
    closed = asyncio.ensure_future(when_closed(channel).wait())
    stop = asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait((closed, stop), return_when=asyncio.FIRST_COMPLETED)
    finally:
        closed.cancel()
        stop.cancel()
    if not stopping.is_set():
        raise BrokerUnavailable("The channel was closed.")
    with broker_errors("close the channel"):
        await channel.close()


@dataclass(frozen=True, slots=True)
class Publication:
    """A message with its address."""

    vhost: Vhost
    exchange: str
    routing_key: str
    mandatory: bool
    """True: a message that no queue receives counts as not published."""
    message: Message

    @property
    def target(self) -> str:
        return self.exchange or self.routing_key


class Publisher:
    """A session that keeps a channel open; many publications may be in flight."""

    def __init__(self) -> None:
        self._channel: AbstractChannel | None = None
        self._opened = asyncio.Event()
        self._stopping = asyncio.Event()

    @property
    def is_open(self) -> bool:
        return self._channel is not None and not self._channel.is_closed

    async def opened(self) -> None:
        """Wait until the channel is open."""
        await self._opened.wait()

    async def publish(self, publication: Publication) -> None:
        """Return once the broker has the message.

        Raises:
            NotConfirmed: see `publish`.
            BrokerUnavailable: there is no channel, or it closed before the confirm arrived.
        """
        if self._channel is None:
            raise BrokerUnavailable(f"Could not publish to {publication.target}: not connected.")
        await publish(
            self._channel,
            publication.exchange,
            publication.routing_key,
            publication.message,
            mandatory=publication.mandatory,
        )

    async def run(self, connection: AbstractConnection) -> None:
        self._channel = await open_channel(connection)
        self._opened.set()
        try:
            await until_closed(self._channel, self._stopping)
        finally:
            self._opened.clear()
            self._channel = None

    async def stop(self) -> None:
        """Close the channel. All that publish on it must have stopped."""
        self._stopping.set()
