"""Access to PostgreSQL: the connection pool, the schemas, and the named statements.

A session keeps no state: a pooler in transaction mode may stand between this process and the database. So the
tenant and the time limits are set at the beginning of each transaction, until its end. A client that vanishes
without closing its connection loses its locks when one of these limits ends.
"""

import asyncio
import re
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, ClassVar, Final

import asyncpg
import orjson
import structlog
from prometheus_client import Gauge

from rs_order.domain.identity import SERVICE
from rs_order.domain.ids import Tenant
from rs_order.store.errors import DATABASE_ERRORS, connection_errors, store_errors

IDLE_SECONDS: Final = 300
"""An unused connection is closed after this time."""
LONGEST_IDLE_MS = 8_000
"""The server ends a session that does nothing within a transaction for so long: its client may be lost."""
LONGEST_STATEMENT_MS = 50_000
"""The server cancels a statement that takes longer."""
LONGEST_CALL_SECONDS: Final = 60.0
"""The driver stops waiting for the server after this time, which is longer than the server's own limit."""
ROLLBACK_SECONDS: Final = 2.0
"""The longest wait for a rollback. After that the session is closed."""

CLIENT_SOCKET_OPTIONS: Final = {
    "TCP_KEEPIDLE": 5,
    "TCP_KEEPINTVL": 2,
    "TCP_KEEPCNT": 3,
    "TCP_USER_TIMEOUT": 10_000,
}
"""A server that is unreachable is noticed within about ten seconds; not every system has all options."""
SERVER_SOCKET_OPTIONS: Final = {
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "30000",
}
"""The server notices a client that is unreachable within half a minute."""

if TYPE_CHECKING:  # the driver's own classes can't be subscripted at run time
    from asyncpg.pool import PoolConnectionProxy

    DriverConnection = asyncpg.Connection[asyncpg.Record]
    Connection = DriverConnection | PoolConnectionProxy[asyncpg.Record]
    Pool = asyncpg.Pool[asyncpg.Record]
else:
    from asyncpg import Connection, Pool

    DriverConnection = Connection

log = structlog.get_logger(__name__)
_waiting = Gauge(
    "rs_order_pool_waiting", "Units of work that wait for a connection to the database"
)


Row = asyncpg.Record
"""A row of a result, with its values by column name."""


class WatchedConnection(DriverConnection):
    """A connection that notices an unreachable server, and a server that it should leave."""

    read_only_seconds: ClassVar[float] = 1.0
    """Sessions of a server that only reads are opened again at most this often."""
    disk_is_full: ClassVar[bool] = False
    """True after a unit of work of this process failed because the server's disk is full, until a probe
    of :class:`rs_order.store.watch.DatabaseWatch` succeeds."""

    def __init__(self, protocol: Any, transport: Any, *arguments: Any) -> None:
        super().__init__(protocol, transport, *arguments)
        self._opened_at = time.monotonic()
        connected = transport.get_extra_info("socket")
        if connected.family not in (socket.AF_INET, socket.AF_INET6):
            return
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in CLIENT_SOCKET_OPTIONS.items():
            if hasattr(socket, name):
                connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

    def is_outdated(self) -> bool:
        """True if the server only reads and the session isn't new.

        After a failover the same address leads to another server, so a new session may be able to write.
        """
        reported = self.get_settings()
        read_only = "on" in (
            getattr(reported, "in_hot_standby", None),
            getattr(reported, "default_transaction_read_only", None),
        )
        return read_only and time.monotonic() - self._opened_at >= self.read_only_seconds


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


async def keep_session(_connection: Connection) -> None:
    """Reset nothing when a connection returns to the pool: sessions keep no state.

    The driver still rolls back a transaction that is open. Its own reset costs each transaction another call.
    """


async def open_pool(
    url: str,
    *,
    size: int,
    statement_cache: bool = True,
    connection_class: type[WatchedConnection] = WatchedConnection,
) -> Pool:
    """Open a pool of at most ``size`` connections.

    Args:
        url: PostgreSQL URL.
        size: the most connections that this process opens.
        statement_cache: off when a pooler in transaction mode stands in front of the database, which
            may run each transaction of a connection on another server connection. A pooler rejects
            parameters of the session that it doesn't know, so none is sent then.
        connection_class: the class of the connections.
    """
    return await asyncpg.create_pool(
        url,
        min_size=1,
        max_size=size,
        init=prepare_connection,
        reset=keep_session,
        connection_class=connection_class,
        statement_cache_size=512 if statement_cache else 0,
        max_cached_statement_lifetime=0,
        max_inactive_connection_lifetime=IDLE_SECONDS,
        command_timeout=LONGEST_CALL_SECONDS,
        server_settings=(
            {"application_name": SERVICE} | SERVER_SOCKET_OPTIONS if statement_cache else {}
        ),
    )


@asynccontextmanager
async def transaction(
    pool: Pool,
    tenant: Tenant | None = None,
    *,
    readonly: bool = False,
    longest_idle_ms: int = LONGEST_IDLE_MS,
    first: Sequence[str] = (),
    last: Sequence[str] = (),
) -> AsyncIterator[Connection]:
    """Take a connection from the pool and begin a transaction. An exception rolls it back.

    A single statement needs one, too: without a transaction, a pooler may prepare it on one server
    connection and execute it on another.

    Args:
        pool: the connections.
        tenant: the tenant whose schema is the search path (architecture.md 3).
        readonly: begin a transaction that can't write.
        longest_idle_ms: the longest time between two statements.
        first: statements to send in one message with the begin. They have no parameters, and no result.
        last: the same with the commit, as it is then; the block may still add to it.

    Raises:
        StoreUnavailable: no connection can be opened.
    """
    begin = "; ".join([*_begin(tenant, readonly, longest_idle_ms), *first])
    async with _acquired(pool) as connection:
        try:
            await connection.execute(begin)
            yield connection
            await connection.execute("; ".join([*last, "commit"]))
        except BaseException as error:
            await _roll_back(connection)
            if isinstance(error, asyncpg.DiskFullError):
                WatchedConnection.disk_is_full = True
            if isinstance(error, (asyncpg.ReadOnlySQLTransactionError, TimeoutError)):
                await pool.expire_connections()  # the address may lead to another server now
            raise


def _begin(tenant: Tenant | None, readonly: bool, longest_idle_ms: int) -> list[str]:
    """Return the statements that begin a transaction; the server receives them as one.

    A wait for a lock ends before an idle session does. If a client vanishes, those of its transactions that
    wait for a lock would otherwise get it one after the other, and each would keep it until its session ends.
    """
    statements = [
        f"begin {'read only' if readonly else ''}",
        f"set local idle_in_transaction_session_timeout = {longest_idle_ms}",
        f"set local lock_timeout = {longest_idle_ms // 2}",
        f"set local statement_timeout = {LONGEST_STATEMENT_MS}",
    ]
    if tenant is not None:
        statements.append(f"set local search_path = {tenant_schema(tenant)}")
    return statements


async def _roll_back(connection: Connection) -> None:
    """Roll back, or close the session if that fails: the server rolls back then."""
    try:
        async with asyncio.timeout(ROLLBACK_SECONDS):
            await connection.execute("rollback")
    except DATABASE_ERRORS as error:
        with suppress(asyncpg.InterfaceError):  # the pool has closed it already
            connection.terminate()
        log.info("rollback-not-confirmed", cause=f"{type(error).__name__}: {error}")


@asynccontextmanager
async def _acquired(pool: Pool) -> AsyncIterator[Connection]:
    """Acquire a connection, but none that leads to a server which only reads if a new one may not."""
    with connection_errors(), _waiting.track_inprogress():
        connection: Any = await pool.acquire()
        if connection.is_outdated():
            await pool.expire_connections()
            await pool.release(connection)
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


@asynccontextmanager
async def reading(pool: Pool, tenant: Tenant) -> AsyncIterator[Connection]:
    """Open a connection that reads in the schema of a tenant.

    Raises:
        StoreUnavailable: the database can't be reached.
    """
    with store_errors():
        async with transaction(pool, tenant, readonly=True) as connection:
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
