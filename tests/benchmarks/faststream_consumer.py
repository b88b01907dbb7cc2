"""The peer of ``ingest-peer``: the handler of the floor as the documentation of FastStream teaches it.

A subscriber with a pydantic model, whose return value a publisher sends, and a pool in the context of the
application. Concurrency is that of the prefetch count, the model is parsed by FastStream, and a message is
acknowledged when its handler ends.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import asyncpg
import uvloop
from faststream import Context, ContextRepo, FastStream
from faststream.rabbit import Channel, ExchangeType, RabbitBroker, RabbitExchange, RabbitQueue
from pydantic import BaseModel

from rs_order.store.pool import Pool
from tests.acceptance.peer import RESPONSES
from tests.benchmarks.bare_consumer import CONNECTIONS, INSERT, PREFETCH
from tests.benchmarks.children import options_of_child, report


class OrderRequest(BaseModel):
    correlationId: str  # noqa: N815 - the name on the wire
    user: str
    queries: list[str]


class OrderResponse(BaseModel):
    correlationId: str  # noqa: N815 - the name on the wire
    status: str


def application(options: dict[str, str], descriptor: int) -> FastStream:
    """Return the application, which reports when it consumes."""
    broker = RabbitBroker(
        options["amqp_url"], default_channel=Channel(prefetch_count=PREFETCH), logger=None
    )

    @broker.subscriber(RabbitQueue(options["queue"], declare=False))
    @broker.publisher(
        exchange=RabbitExchange(RESPONSES, type=ExchangeType.FANOUT, declare=False), persist=True
    )
    async def handle(request: OrderRequest, pool: Annotated[Pool, Context()]) -> OrderResponse:
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute(INSERT, request.correlationId, request.model_dump_json())
        return OrderResponse(correlationId=request.correlationId, status="GRANTED")

    @asynccontextmanager
    async def lifespan(context: ContextRepo) -> AsyncIterator[None]:
        async with asyncpg.create_pool(options["database_url"], max_size=CONNECTIONS) as pool:
            context.set_global("pool", pool)
            yield

    app = FastStream(broker, lifespan=lifespan, logger=None)

    @app.after_startup
    async def started() -> None:
        report(descriptor)

    return app


if __name__ == "__main__":
    uvloop.run(application(*options_of_child()).run())
