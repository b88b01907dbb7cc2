"""The connection pool.

A session keeps no state: a pooler in transaction mode may stand between this process and the database.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import asyncpg
import orjson

from rs_order.domain.identity import SERVICE
from rs_order.domain.ids import Tenant
from rs_order.store.errors import StoreUnavailable, store_errors
from rs_order.store.schema_names import tenant_schema
from rs_order.store.statements import statements

IDLE_SECONDS: Final = 300
"""An unused connection is closed after this time."""
SQL = statements("settings")
LONGEST_TEST_SECONDS: Final = 5.0

if TYPE_CHECKING:  # the driver's own classes can't be subscripted at run time
    from asyncpg.pool import PoolConnectionProxy

    Connection = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
    Pool = asyncpg.Pool[asyncpg.Record]
else:
    from asyncpg import Connection, Pool


class Row(Protocol):
    """A row of a result, with its values by column name."""

    def __getitem__(self, column: str, /) -> Any: ...


@dataclass(frozen=True, slots=True)
class ConnectionUse:
    """How this process uses its connections, which all tenants share."""

    most: int
    fewest: int
    """Kept open without load."""
    idle_milliseconds: int
    """An idle connection is closed after this time."""
    open: int
    idle: int

    @property
    def active(self) -> int:
        return self.open - self.idle


async def prepare_connection(connection: Connection) -> None:
    """Let a new connection read and write JSON as Python objects."""
    async with connection.transaction():
        for type_name in ("json", "jsonb"):
            await connection.set_type_codec(
                type_name,
                schema="pg_catalog",
                encoder=lambda value: orjson.dumps(value).decode(),
                decoder=orjson.loads,
            )


async def open_pool(url: str, *, size: int, statement_cache: bool = True) -> Pool:
    """Open a pool of at most ``size`` connections.

    Args:
        url: PostgreSQL URL.
        size: the most connections that this process opens.
        statement_cache: off when a pooler in transaction mode stands in front of the database, which
            may run each transaction of a connection on another server connection.
    """
    return await asyncpg.create_pool(
        url,
        min_size=1,
        max_size=size,
        init=prepare_connection,
        statement_cache_size=512 if statement_cache else 0,
        max_cached_statement_lifetime=0,
        max_inactive_connection_lifetime=IDLE_SECONDS,
        command_timeout=60,
        server_settings={"application_name": SERVICE} if statement_cache else {},
    )


@asynccontextmanager
async def transaction(pool: Pool, *, readonly: bool = False) -> AsyncIterator[Connection]:
    """Take a connection from the pool and begin a transaction.

    A single statement needs one, too: without a transaction, a pooler may prepare it on one server
    connection and execute it on another.
    """
    async with pool.acquire() as connection, connection.transaction(readonly=readonly):
        yield connection


async def use_tenant(connection: Connection, tenant: Tenant) -> None:
    """Make the tenant's schema the search path until the transaction ends (architecture.md 3)."""
    await connection.execute("select set_config('search_path', $1, true)", tenant_schema(tenant))


class DataSource:
    """The database behind a tenant, as administrators see it (rest.md 11.4)."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def use(self) -> ConnectionUse:
        return ConnectionUse(
            most=self._pool.get_max_size(),
            fewest=self._pool.get_min_size(),
            idle_milliseconds=IDLE_SECONDS * 1000,
            open=self._pool.get_size(),
            idle=self._pool.get_idle_size(),
        )

    async def test(self, tenant: Tenant) -> None:
        """Read a table of the tenant's schema.

        Raises:
            StoreUnavailable: it can't be read; the text is the error of the database.
        """
        try:
            with store_errors():
                await self._read(tenant)
        except asyncpg.PostgresError as error:  # the schema or its table is not what it should be
            raise StoreUnavailable(f"{type(error).__name__}: {error}") from error

    async def _read(self, tenant: Tenant) -> None:
        async with (
            asyncio.timeout(LONGEST_TEST_SECONDS),
            transaction(self._pool, readonly=True) as connection,
        ):
            await use_tenant(connection, tenant)
            await connection.fetch(SQL["all"])
