"""The floor of ``ingest``: per message one transaction with one row, one confirmed message, one ack."""

import asyncio

import aio_pika
import asyncpg
import orjson
import uvloop
from aio_pika.abc import AbstractExchange, AbstractIncomingMessage

from tests.acceptance.peer import RESPONSES
from tests.benchmarks.children import options_of_child, report

PREFETCH = 1000
HANDLERS = 100
CONNECTIONS = 20
TABLE = "create table bare_request (id bigserial primary key, correlation_id text, body jsonb)"
INSERT = "insert into bare_request (correlation_id, body) values ($1, $2)"


def granted(correlation_id: str) -> aio_pika.Message:
    """Return a response like that of the service."""
    body = {"correlationId": correlation_id, "status": "GRANTED"}
    return aio_pika.Message(
        orjson.dumps(body),
        content_type="application/json",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
    )


async def _consume(options: dict[str, str], descriptor: int) -> None:
    connection = await aio_pika.connect(options["amqp_url"])
    pool = await asyncpg.create_pool(options["database_url"], max_size=CONNECTIONS)
    async with connection, pool:
        channel = await connection.channel()
        exchange = await channel.get_exchange(RESPONSES, ensure=False)
        await channel.set_qos(PREFETCH)
        handlers = asyncio.Semaphore(HANDLERS)

        async def handle(message: AbstractIncomingMessage) -> None:
            async with handlers:
                await _handle(message, pool, exchange)

        queue = await channel.get_queue(options["queue"], ensure=False)
        await queue.consume(handle)
        report(descriptor)
        await asyncio.Event().wait()


async def _handle(
    message: AbstractIncomingMessage,
    pool: "asyncpg.Pool[asyncpg.Record]",
    exchange: AbstractExchange,
) -> None:
    request = orjson.loads(message.body)
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(INSERT, request["correlationId"], message.body.decode())
    await exchange.publish(granted(request["correlationId"]), "")
    await message.ack()


if __name__ == "__main__":
    uvloop.run(_consume(*options_of_child()))
