"""The fixtures that give a test a database and virtual hosts of its own."""

import aio_pika
import asyncpg

from tests.support.servers import FreshBroker


async def test_database_is_empty_and_writable(database_url: str) -> None:
    """A test gets a database without tables, and may create tables."""
    connection = await asyncpg.connect(database_url)
    tables = await connection.fetchval(
        "select count(*) from pg_tables"
        " where schemaname not in ('pg_catalog', 'information_schema')"
    )
    await connection.execute("create table something (id int)")
    await connection.close()

    assert tables == 0


async def test_virtual_hosts_take_connections(broker: FreshBroker) -> None:
    """A test gets two virtual hosts that it may connect to and declare queues in."""
    for vhost in (broker.vhost, broker.instance_vhost):
        async with await aio_pika.connect(f"{broker.url}/{vhost}") as connection:
            channel = await connection.channel()
            queue = await channel.declare_queue("something")

            assert queue.declaration_result.message_count == 0
