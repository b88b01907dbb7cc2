"""Access to PostgreSQL: the connection pool, the schemas, and the named statements.

A session keeps no state: a pooler in transaction mode may stand between this process and the database.
"""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final, Protocol

import asyncpg
import orjson

from rs_order.domain.identity import SERVICE
from rs_order.domain.ids import Tenant
from rs_order.store.errors import connection_errors, store_errors

IDLE_SECONDS: Final = 300
"""An unused connection is closed after this time."""

if TYPE_CHECKING:  # the driver's own classes can't be subscripted at run time
    from asyncpg.pool import PoolConnectionProxy

    Connection = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
    Pool = asyncpg.Pool[asyncpg.Record]
else:
    from asyncpg import Connection, Pool


class Row(Protocol):
    """A row of a result, with its values by column name."""

    def __getitem__(self, column: str, /) -> Any: ...


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

    Raises:
        StoreUnavailable: no connection can be opened.
    """
    async with _acquired(pool) as connection, connection.transaction(readonly=readonly):
        yield connection


@asynccontextmanager
async def _acquired(pool: Pool) -> AsyncIterator[Connection]:
    with connection_errors():
        connection = await pool.acquire()
    try:
        yield connection
    finally:
        await pool.release(connection)


PLATFORM_SCHEMA = "rs_order"
_TENANT = re.compile(r"[a-z][a-z0-9_]{0,47}")


class InvalidTenantNameError(ValueError):
    """A tenant's name can't be part of a schema's name."""

    code = "invalid-tenant-name"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name!r} can't be a tenant: use lower-case letters, digits and _, a letter first, "
            "at most 48 characters"
        )


def is_tenant_name(name: str) -> bool:
    """True if a tenant can have this name."""
    return _TENANT.fullmatch(name) is not None


def tenant_schema(tenant: Tenant) -> str:
    """Return ``order_<tenant>``.

    Raises:
        InvalidTenantNameError: the name isn't a plain identifier.
    """
    if not is_tenant_name(tenant):
        raise InvalidTenantNameError(tenant)
    return f"order_{tenant}"


async def use_tenant(connection: Connection, tenant: Tenant) -> None:
    """Make the tenant's schema the search path until the transaction ends (architecture.md 3)."""
    await connection.execute("select set_config('search_path', $1, true)", tenant_schema(tenant))


@asynccontextmanager
async def reading(pool: Pool, tenant: Tenant) -> AsyncIterator[Connection]:
    """Open a connection that reads in the schema of a tenant.

    Raises:
        StoreUnavailable: the database can't be reached.
    """
    with store_errors():
        async with transaction(pool, readonly=True) as connection:
            await use_tenant(connection, tenant)
            yield connection


_MARK = "-- name: "


@cache
def statements(file: str) -> dict[str, str]:
    """Return the statements of ``sql/<file>.sql`` by name, each with its comment."""
    text = files(__package__).joinpath("sql", f"{file}.sql").read_text(encoding="utf-8")
    found: dict[str, str] = {}
    for block in text.split(_MARK)[1:]:
        name, _, statement = block.partition("\n")
        found[name.strip()] = statement.strip()
    return found
