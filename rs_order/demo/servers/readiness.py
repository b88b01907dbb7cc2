"""Waiting until a server serves; none of them offers a signal for it, so we ask often."""

import asyncio
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import asyncpg

from rs_order.demo.servers.management import Management

_PAUSE_SECONDS = 0.05
_ONE_TRY_SECONDS = 5.0

_AMQP_PORT = 5672
_PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
_METHOD_FRAME = b"\x01"


async def until(answers: Callable[[], Awaitable[bool]]) -> None:
    """Ask again and again until the answer is yes. The caller sets the limit."""
    while not await answers():  # noqa: ASYNC110 - the event would be in another process
        await asyncio.sleep(_PAUSE_SECONDS)


async def database_answers(url: str) -> bool:
    """Tell whether PostgreSQL takes sessions now.

    Raises:
        asyncpg.PostgresError: it refuses ours (password, database) for good.
    """
    try:
        connection = await asyncpg.connect(url, timeout=_ONE_TRY_SECONDS)
    except (OSError, TimeoutError, asyncpg.CannotConnectNowError):
        return False
    except asyncpg.ConnectionDoesNotExistError:
        return False  # it went down while we said hello
    await connection.close()
    return True


async def broker_answers(url: str, management: Management | None) -> bool:
    """Tell whether RabbitMQ takes AMQP connections now, and its management API requests."""
    if management is not None and not await management.answers():
        return False
    return await _speaks_amqp(url)


async def _speaks_amqp(url: str) -> bool:
    address = urlsplit(url)
    try:
        async with asyncio.timeout(_ONE_TRY_SECONDS):
            reader, writer = await asyncio.open_connection(
                address.hostname, address.port or _AMQP_PORT
            )
            try:
                writer.write(_PROTOCOL_HEADER)
                return await reader.read(1) == _METHOD_FRAME
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
