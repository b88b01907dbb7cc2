"""Channels with publisher confirms: the broker has a message, or it counts as not published."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from aio_pika import Message
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import DeliveryError
from aiormq import Channel
from aiormq.abc import ChannelFrame
from aiormq.exceptions import AMQPError, ChannelInvalidStateError, PublishError
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from rs_order.broker.errors import BrokerUnavailable, NotConfirmed, Rejected
from rs_order.broker.topology import Vhost

LONGEST_SHORT_STRING = 255
"""Bytes that fit into an AMQP property, or the name of a queue."""
Confirm = asyncio.Future[Any]
"""Done once the broker has a message; fails if it was rejected or returned, or if the channel closes."""
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


async def _send(channel: AbstractChannel, publications: Sequence["Publication"]) -> list[Confirm]:
    """Send messages at once, in their order, and return their confirms.

    It does what ``basic_publish`` of the library does for one message, with a task, two time limits and a
    write for each.

    Raises:
        ChannelInvalidStateError: the channel is closed.
    """
    underlay = await _underlay(channel)
    async with underlay.lock:
        confirms = [underlay.create_future() for _ in publications]
        sent, payloads = list[tuple[Publication, Confirm]](), list[bytes]()
        for publication, confirm in zip(publications, confirms, strict=True):
            try:
                payloads.append(_payload(underlay, publication))
            except Exception as error:  # noqa: BLE001 - one bad message must not stop others
                confirm.set_exception(error)
            else:
                sent.append((publication, confirm))
        await underlay.write_queue.put(ChannelFrame(b"".join(payloads), should_close=False))
        # The broker numbers messages as they arrive. Nothing runs between the line above and these.
        for publication, confirm in sent:
            underlay.delivery_tag += 1
            underlay.confirmations[underlay.delivery_tag] = confirm
            if publication.mandatory:
                _note_message_id(underlay, publication.message.message_id or "", confirm)
    return confirms


def _payload(underlay: Channel, publication: "Publication") -> bytes:
    """Return the frames of a message."""
    message = publication.message
    if not message.message_id:  # the broker returns a message without the number of its confirm
        message.message_id = uuid4().hex
    frames: list[Basic.Publish | ContentHeader | ContentBody] = [
        Basic.Publish(
            exchange=publication.exchange,
            routing_key=publication.routing_key,
            mandatory=publication.mandatory,
        ),
        ContentHeader(properties=message.properties, body_size=message.body_size),
    ]
    size = underlay.max_content_size
    starts = range(0, message.body_size, size)
    frames.extend(ContentBody(message.body[start : start + size]) for start in starts)
    return ChannelFrame.marshall(underlay.number, frames).payload


def _note_message_id(underlay: Channel, message_id: str, confirm: Confirm) -> None:
    """Let the library find the confirm of the last message if the broker returns it: no queue receives it."""
    known, tag = underlay.message_id_delivery_tag, underlay.delivery_tag
    known[message_id] = tag

    def forget(_: Confirm) -> None:
        if known.get(message_id) == tag:
            del known[message_id]

    confirm.add_done_callback(forget)


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

    async def send(self, publications: Sequence[Publication]) -> list[Confirm]:
        """Send messages in their order, and return their confirms, which are awaited in `broker_errors`.

        Raises:
            NotConfirmed: the connection takes no message. None was sent.
            BrokerUnavailable: there is no channel, or it is closed. No message was sent.
        """
        if self._channel is None:
            raise BrokerUnavailable("Could not publish: not connected.")
        with broker_errors("publish"):
            async with asyncio.timeout(CONFIRM_SECONDS):
                return await _send(self._channel, publications)

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
