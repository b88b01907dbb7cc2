"""The connection pool. Nothing is kept in a session: a pooler in transaction mode may stand between."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import asyncpg
import orjson

from rs_order.adapters.postgres.driver import Connection, Pool
from rs_order.adapters.postgres.schema_names import tenant_schema
from rs_order.domain.ids import Tenant

IDLE_SECONDS: Final = 300
"""After which a connection that isn't used is closed."""


async def _prepare(connection: Connection) -> None:
    async with connection.transaction():
        for type_name in ("json", "jsonb"):
            await connection.set_type_codec(
                type_name,
                schema="pg_catalog",
                encoder=lambda value: orjson.dumps(value).decode(),
                decoder=orjson.loads,
            )


async def open_pool(url: str, *, size: int, statement_cache: bool = True) -> Pool:
    """A pool of at most ``size`` connections.

    Args:
        url: PostgreSQL URL.
        size: the most connections this process opens.
        statement_cache: off when a pooler in transaction mode stands in front of the database, which
            may run each transaction of a connection on another server connection.
    """
    return await asyncpg.create_pool(
        url,
        min_size=1,
        max_size=size,
        init=_prepare,
        statement_cache_size=512 if statement_cache else 0,
        max_cached_statement_lifetime=0,
        max_inactive_connection_lifetime=IDLE_SECONDS,
        command_timeout=60,
        server_settings={"application_name": "rs-order"} if statement_cache else {},
    )


@asynccontextmanager
async def transaction(pool: Pool, *, readonly: bool = False) -> AsyncIterator[Connection]:
    """A connection in a transaction.

    Single statements need one too: outside of it, a pooler may prepare on one server connection
    and execute on another.
    """
    async with pool.acquire() as connection, connection.transaction(readonly=readonly):
        yield connection


async def use_tenant(connection: Connection, tenant: Tenant) -> None:
    """Look into the tenant's schema until the transaction ends (architecture.md 3)."""
    await connection.execute("select set_config('search_path', $1, true)", tenant_schema(tenant))
