"""Access to PostgreSQL: the connection pool, the schemas, and the named statements.

The tenant is set at the beginning of each transaction, until its end. So are the time limits if a pooler in
transaction mode may stand between this process and the database; else sessions begin with them. A client that
vanishes without closing its connection loses its locks when one of these limits ends. The limits don't reach
every session; :class:`rs_order.store.watch.DatabaseWatch` ends the others.
"""

import asyncio
import re
import socket
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import cache
from importlib.resources import files
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

import asyncpg
import orjson
import structlog

from rs_order.domain.identity import SERVICE
from rs_order.domain.ids import Tenant
from rs_order.store.errors import DATABASE_ERRORS, StoreUnavailable, store_errors
from rs_order.store.tenant_plans import PlanningConnection
from rs_order.store.tenant_pool import TenantPool

IDLE_SECONDS: Final = 300
"""An unused connection is closed after this time."""
LONGEST_IDLE_MS = 8_000
"""The server ends a session that does nothing within a transaction for so long: its client may be lost."""
LONGEST_STATEMENT_MS = 30_000
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

    Connection = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
else:
    from asyncpg import Connection

Pool = TenantPool

log = structlog.get_logger(__name__)

Row = asyncpg.Record
"""A row of a result, with its values by column name."""


class WatchedConnection(PlanningConnection):
    """A connection that notices an unreachable server, and a server that it should leave."""

    read_only_seconds: ClassVar[float] = 1.0
    """Sessions of a server that only reads are opened again at most this often."""
    is_direct = False
    """True if no pooler may be in between: the session has the time limits, so its transactions need not set
    them, and a single statement needs no transaction."""

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


_LISTS = (
    "text",
    "bigint",
    "integer",
    "smallint",
    "boolean",
    "float8",
    "uuid",
    "timestamptz",
    "bytea",
    "jsonb",
)
"""The types whose lists are parameters of statements."""
_ASK_FOR_LISTS = f"select {', '.join(f'null::{name}[]' for name in _LISTS)}"


async def prepare_connection(connection: Connection) -> None:
    """Let a new connection read and write JSON as Python objects, and lists.

    The driver asks the server about each type when it meets it, by a statement that takes longer to plan
    than most others to run. So one statement has all of them.
    """
    async with connection.transaction():
        for type_name in ("json", "jsonb"):
            await connection.set_type_codec(
                type_name,
                schema="pg_catalog",
                encoder=lambda value: orjson.dumps(value).decode(),
                decoder=orjson.loads,
            )
        await connection.fetch(_ASK_FOR_LISTS)


async def prepare_direct_connection(connection: Connection) -> None:
    """Do the same for a connection without a pooler in between."""
    await prepare_connection(connection)
    cast("WatchedConnection", connection).is_direct = True


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
            parameters of the session that it doesn't know, so only the application's name is sent then.
        connection_class: the class of the connections.
    """
    connections = await asyncpg.create_pool(
        url,
        min_size=1,
        max_size=size,
        init=prepare_direct_connection if statement_cache else prepare_connection,
        reset=keep_session,
        connection_class=connection_class,
        statement_cache_size=512 if statement_cache else 0,
        max_cached_statement_lifetime=0,
        max_inactive_connection_lifetime=IDLE_SECONDS,
        command_timeout=LONGEST_CALL_SECONDS,
        server_settings={"application_name": SERVICE}
        | (SERVER_SOCKET_OPTIONS | _session_settings(LONGEST_IDLE_MS) if statement_cache else {}),
    )
    return TenantPool(connections)


_GENERIC_PLANS: Final = {"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off"}
"""A scan of a table that is empty now is cheap. The same plan may run when the table has a million rows."""


@asynccontextmanager
async def transaction(
    pool: Pool,
    tenant: Tenant | None = None,
    *,
    readonly: bool = False,
    longest_idle_ms: int = LONGEST_IDLE_MS,
    generic_plans: bool = False,
    first: Sequence[str] = (),
    last: Sequence[str] = (),
) -> AsyncIterator[Connection]:
    """Take a connection from the pool and begin a transaction. An exception rolls it back.

    For a single statement without a tenant, see `single_statement`.

    Args:
        pool: the connections.
        tenant: the tenant whose schema is the search path (architecture.md 3).
        readonly: begin a transaction that can't write.
        longest_idle_ms: the longest time between two statements.
        generic_plans: plan a prepared statement once, whatever its parameters and however small its tables
            are at that time (decision 0059). Statements with optional conditions shouldn't run so.
        first: statements to send in one message with the begin. They have no parameters, and no result.
        last: the same with the commit, as it is then; the block may still add to it.

    Raises:
        StoreUnavailable: no connection can be opened.
    """
    async with _Session(pool, tenant) as connection:
        settings = (
            {}
            if connection.is_direct and longest_idle_ms == LONGEST_IDLE_MS
            else _session_settings(longest_idle_ms)
        )
        if generic_plans and connection.is_direct:  # otherwise no prepared statement is used twice
            settings |= _GENERIC_PLANS
        await connection.execute("; ".join([*_begin(tenant, readonly, settings), *first]))
        if tenant is not None:
            connection.use_plans()
        yield connection
        await connection.execute("; ".join([*last, "commit"]))


def single_statement(pool: Pool, tenant: Tenant | None = None) -> "_SingleStatement":
    """Return a context with a connection for one statement, which names the schemas of its tables.

    The statement is a transaction by itself, one round trip instead of three. Behind a pooler it gets one.

    Args:
        pool: the connections.
        tenant: the tenant whose connection is used if it is free; the search path isn't set.

    Raises:
        StoreUnavailable: no connection can be opened.
    """
    return _SingleStatement(pool, tenant)


class _Session:
    """A connection of the pool for a transaction; none to a server that only reads if a new one may not.

    An exception rolls back. It is a class because contexts that are made of generators cost a read as much as
    its statement.
    """

    __slots__ = ("_connection", "_generation", "_pool", "_tenant")

    def __init__(self, pool: Pool, tenant: Tenant | None) -> None:
        self._pool = pool
        self._tenant = tenant

    async def __aenter__(self) -> Any:
        try:
            await self._acquire()
            if self._connection.is_outdated():
                try:
                    await self._pool.expire_connections()
                finally:
                    await self._release()
                await self._acquire()
        except DATABASE_ERRORS as error:  # no statement was executed yet
            raise StoreUnavailable.because(error) from error
        return self._connection

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if error is not None:
                await self._roll_back(error)
        finally:
            await self._release(failed=error is not None)

    async def _acquire(self) -> None:
        self._connection, self._generation = await self._pool.begin_use(self._tenant)

    async def _release(self, *, failed: bool = False) -> None:
        await self._pool.end_use(self._connection, self._tenant, self._generation, failed=failed)

    async def _roll_back(self, error: BaseException) -> None:
        """Roll back after an exception, and leave a server that can't be used."""
        await _roll_back(self._connection)
        if isinstance(error, asyncpg.DiskFullError):
            self._pool.disk_is_full = True
        if isinstance(error, (asyncpg.ReadOnlySQLTransactionError, TimeoutError)):
            await self._pool.expire_connections()  # the address may lead to another server now


class _SingleStatement(_Session):
    """A connection of the pool for one statement."""

    __slots__ = ()

    async def __aenter__(self) -> Connection:
        connection: Connection = await super().__aenter__()
        if not self._connection.is_direct:
            limits = _session_settings(LONGEST_IDLE_MS)
            await self._execute("; ".join(_begin(None, readonly=False, settings=limits)))
        return connection

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None and not self._connection.is_direct:
            await self._execute("commit")
        await super().__aexit__(kind, error, traceback)

    async def _execute(self, statement: str) -> None:
        """Execute a statement around that of the context, and leave the session if it fails."""
        try:
            await self._connection.execute(statement)
        except BaseException as error:
            await super().__aexit__(type(error), error, error.__traceback__)
            raise


def _session_settings(longest_idle_ms: int) -> dict[str, str]:
    """Return the settings of a session, which also limit what a client that vanishes can hold up.

    A statement of the service takes milliseconds. If the server expects many rows, as it does while
    statistics are missing, it would compile the statement first, for seconds.

    A wait for a lock ends before an idle session does. If a client vanishes, those of its transactions that
    wait for a lock would otherwise get it one after the other, and each would keep it until its session ends.
    """
    return {
        "jit": "off",
        "idle_in_transaction_session_timeout": str(longest_idle_ms),
        "lock_timeout": str(longest_idle_ms // 2),
        "statement_timeout": str(LONGEST_STATEMENT_MS),
    }


def _begin(tenant: Tenant | None, readonly: bool, settings: Mapping[str, str]) -> list[str]:
    """Return the statements that begin a transaction; the server receives them as one message."""
    begin = [f"begin {'read only' if readonly else ''}"]
    if settings:
        local = (f"set_config('{name}', '{value}', true)" for name, value in settings.items())
        begin.append(f"select {', '.join(local)}")
    return begin if tenant is None else [*begin, f"set local search_path = {tenant_schema(tenant)}"]


async def _roll_back(connection: Connection) -> None:
    """Roll back, or close the session if that fails: the server rolls back then."""
    try:
        async with asyncio.timeout(ROLLBACK_SECONDS):
            await connection.execute("rollback")
    except DATABASE_ERRORS as error:
        with suppress(asyncpg.InterfaceError):  # the pool has closed it already
            connection.terminate()
        log.info("rollback-not-confirmed", cause=f"{type(error).__name__}: {error}")


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
