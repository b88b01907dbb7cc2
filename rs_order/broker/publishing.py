"""Publishing with confirms: a message is either the broker's or still ours, never in between."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from aio_pika import Message
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import DeliveryError
from aiormq.exceptions import AMQPError, PublishError

from rs_order.broker.errors import BrokerAway, NotConfirmed

CONFIRM_SECONDS = 30.0
"""How long a confirm may take: a broker short of memory or disk holds publishers back."""


async def open_publishing_channel(connection: AbstractConnection) -> AbstractChannel:
    """A channel with confirms, on which a returned message is an error.

    Raises:
        BrokerAway: the connection died meanwhile.
    """
    with broker_trouble("open a channel"):
        channel = connection.channel(publisher_confirms=True, on_return_raises=True)
        await channel.initialize()
        return channel


async def publish(
    channel: AbstractChannel, exchange: str, routing_key: str, message: Message, *, mandatory: bool
) -> None:
    """Return once the broker has the message.

    Raises:
        NotConfirmed: refused, unroutable though ``mandatory``, or not confirmed in time.
        BrokerAway: the channel is closed, or was before the confirm came.
    """
    with broker_trouble(f"publish to {exchange or routing_key}"):
        target = await channel.get_exchange(exchange, ensure=False)
        async with asyncio.timeout(CONFIRM_SECONDS):
            await target.publish(message, routing_key, mandatory=mandatory)


@contextmanager
def broker_trouble(what: str) -> Iterator[None]:
    """Say in our words what the AMQP library says in many.

    It also ends whatever waits on a closing channel with ``CancelledError``. Passed on, a task
    would look as if it had been told to stop, and its work would end in silence.
    """
    try:
        yield
    except PublishError as error:
        raise NotConfirmed(f"Could not {what}: no queue takes the message.") from error
    except DeliveryError as error:
        raise NotConfirmed(f"Could not {what}: the broker refused the message.") from error
    except TimeoutError as error:
        raise NotConfirmed(f"Could not {what}: no confirm in {CONFIRM_SECONDS:g} s.") from error
    except (AMQPError, ConnectionError, RuntimeError) as error:
        raise BrokerAway(f"Could not {what}: {error or type(error).__name__}.") from error
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise BrokerAway(f"Could not {what}: the channel was closed.") from error
