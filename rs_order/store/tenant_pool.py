"""A connection pool that gives a tenant a connection that has its plans.

A connection has the plans of the tenants that it served last (``store/tenant_plans.py``). If none of those at
hand has the plans of a caller's tenant, another one is opened. If there are no more, the caller waits a
moment for a connection that its tenant is using, before it takes one that another tenant has just used: most
transactions are shorter than planning all their statements anew.
"""

import asyncio
from collections import Counter, OrderedDict
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import asyncpg
from prometheus_client import Gauge

from rs_order.domain.ids import Tenant
from rs_order.store.tenant_plans import TenantPlans

if TYPE_CHECKING:  # the driver's own class can't be subscripted at run time
    DriverPool = asyncpg.Pool[asyncpg.Record]
else:
    DriverPool = asyncpg.Pool

KEPT_SECONDS: Final = 5.0
"""A connection that a tenant hasn't used for so long is returned to the driver's pool."""
BUSY_SECONDS: Final = 0.5
"""A connection that was used so recently isn't given to another tenant while more can be opened."""
PATIENCE_SECONDS: Final = 0.05
"""How long a caller waits for a connection of its tenant. Then it takes any."""
MOST_TENANTS: Final = 100
"""A connection that has served so many tenants is closed: the server's process remembers their tables."""

_without_connection = Gauge(
    "rs_order_pool_waiting", "Units of work that wait for a connection to the database"
)


@dataclass(frozen=True, slots=True)
class _Kept:
    connection: Any
    plans: TenantPlans
    since: float


@dataclass(slots=True, eq=False)
class _Waiter:
    """A caller that waits for a connection."""

    tenant: Tenant | None
    given: asyncio.Future[Any]
    """The connection; None: the driver's pool has one."""
    patient: bool = True
    """True while it waits for a connection with the plans of its tenant, if that is in use, rather than
    taking any."""


class TenantPool:
    """The connections of a process to the database, at most as many as the driver's pool has.

    Connections that are kept for a tenant are in use for the driver's pool. They are returned to it as soon
    as a caller waits, after a while without use, when they expire, and at the end.
    """

    def __init__(self, connections: DriverPool) -> None:
        self._connections = connections
        self.disk_is_full = False
        """True after a unit of work failed because the server's disk is full, until a probe of
        :class:`rs_order.store.watch.DatabaseWatch` succeeds."""
        self._kept: OrderedDict[int, _Kept] = OrderedDict()
        """By number; the one that was used last is at the end."""
        self._numbers = 0
        self._taken = 0
        """Connections in use or kept."""
        self._in_use = Counter[Tenant | None]()
        self._waiting: list[_Waiter] = []
        """The caller that has waited for the longest time is the first."""
        self._generation = 0
        self._closing = False
        self._returning: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def acquire(self, tenant: Tenant | None = None) -> "_Use":
        """Return a context that uses a connection, if possible one that has the plans of the tenant."""
        return _Use(self, tenant)

    async def begin_use(self, tenant: Tenant | None) -> tuple[Any, int]:
        """Return a connection, and the generation that ``end_use`` takes."""
        connection = self._at_hand(tenant)
        if connection is None:
            with _without_connection.track_inprogress():
                connection = await self._acquire(tenant)
        self._in_use[tenant] += 1
        connection.serve(tenant)
        return connection, self._generation

    async def end_use(
        self, connection: Any, tenant: Tenant | None, generation: int, *, failed: bool
    ) -> None:
        """Keep a connection with its plans, unless its use failed or it expired meanwhile."""
        self._in_use[tenant] -= 1
        if failed:
            await self._release(connection)
            return
        if len(connection.tenants) > MOST_TENANTS:
            await connection.close()
        if generation != self._generation or self._closing or not _is_open(connection):
            await self._release(connection)
        elif self._waiting and (waiter := self._next_waiter(connection)) is not None:
            waiter.given.set_result(connection)
        else:
            self._keep(connection)

    async def expire_connections(self) -> None:
        """Use no connection again that is open now."""
        self._generation += 1
        await self._connections.expire_connections()
        await self._release_kept(asyncio.get_running_loop().time())

    async def close(self) -> None:
        """Wait until all connections are released, and close them."""
        self._closing = True
        if self._returning is not None:
            self._returning.cancel()
        await self._release_kept(asyncio.get_running_loop().time())
        await self._connections.close()

    @property
    def size(self) -> int:
        """The most connections."""
        return self._connections.get_max_size()

    @property
    def fewest(self) -> int:
        """The connections that are open without load."""
        return self._connections.get_min_size()

    @property
    def open(self) -> int:
        """The connections that are open."""
        return self._connections.get_size()

    @property
    def idle(self) -> int:
        """The open connections that nobody uses."""
        return self._connections.get_idle_size() + len(self._kept)

    async def execute(self, statement: str, *parameters: Any) -> str:
        async with self.acquire() as connection:
            status: str = await connection.execute(statement, *parameters)
        return status

    async def fetch(self, statement: str, *parameters: Any) -> list[asyncpg.Record]:
        async with self.acquire() as connection:
            rows: list[asyncpg.Record] = await connection.fetch(statement, *parameters)
        return rows

    async def fetchval(self, statement: str, *parameters: Any) -> Any:
        async with self.acquire() as connection:
            return await connection.fetchval(statement, *parameters)

    def _at_hand(self, tenant: Tenant | None) -> Any:
        """Return a kept connection that can be used at once, or None."""
        number = self._best_kept(tenant)
        if number is None or not _is_open(self._kept[number].connection):
            return None
        return self._kept.pop(number).connection

    async def _acquire(self, tenant: Tenant | None) -> Any:
        while True:
            if (number := self._best_kept(tenant)) is not None:
                connection = self._kept.pop(number).connection
            elif self._taken < self.size:
                self._taken += 1
                break
            elif (connection := await self._wait(tenant)) is None:
                break
            if _is_open(connection):
                return connection
            await self._release(connection)
        try:
            return await self._connections.acquire()
        except BaseException:
            self._leave_one()
            raise

    async def _wait(self, tenant: Tenant | None) -> Any:
        """Return a connection that another caller releases; None: take one from the driver's pool."""
        loop = asyncio.get_running_loop()
        waiter = _Waiter(tenant, loop.create_future())
        self._waiting.append(waiter)
        patience = loop.call_later(PATIENCE_SECONDS, self._end_patience, waiter)
        try:
            return await waiter.given
        except asyncio.CancelledError:
            if not waiter.given.cancelled():  # it was given at the same moment
                connection = waiter.given.result()
                if connection is None:
                    self._leave_one()
                else:
                    await self._release(connection)
            raise
        finally:
            patience.cancel()

    def _end_patience(self, waiter: _Waiter) -> None:
        """Give a caller the connection that was kept for the longest time, or the next that is released."""
        waiter.patient = False
        if self._kept and not waiter.given.done():
            _, kept = self._kept.popitem(last=False)
            self._waiting.remove(waiter)
            waiter.given.set_result(kept.connection)

    def _next_waiter(self, connection: Any) -> _Waiter | None:
        """Remove and return the caller that gets a connection; None: it is kept.

        That is one without patience, or one whose tenant has plans there, or one whose tenant uses no
        connection now.
        """
        self._waiting = [one for one in self._waiting if not one.given.cancelled()]
        chosen = (
            next((one for one in self._waiting if not one.patient), None)
            or next((one for one in self._waiting if one.tenant in connection.plans), None)
            or next((one for one in self._waiting if not self._in_use[one.tenant]), None)
        )
        if chosen is not None:
            self._waiting.remove(chosen)
        return chosen

    def _leave_one(self) -> None:
        """Use one connection less. A caller that waits may then take one from the driver's pool."""
        self._waiting = [one for one in self._waiting if not one.given.cancelled()]
        if self._waiting:
            self._waiting.pop(0).given.set_result(None)
        else:
            self._taken -= 1

    def _best_kept(self, tenant: Tenant | None) -> int | None:
        """Return the number of a kept connection to use, or None if the driver's pool should give one.

        It is the last one that has the tenant's plans. Otherwise it is the one that wasn't used for the
        longest time: if that is a while ago, or if no further one can be opened and this tenant has none
        that it could wait for.
        """
        for number in reversed(self._kept):
            if tenant in self._kept[number].plans:
                return number
        if not self._kept or self._connections.get_idle_size():
            return None
        number, oldest = next(iter(self._kept.items()))
        is_busy = asyncio.get_running_loop().time() - oldest.since < BUSY_SECONDS
        waits = self._taken < self.size or self._in_use[tenant]
        return None if is_busy and waits else number

    def _keep(self, connection: Any) -> None:
        self._numbers += 1
        since = asyncio.get_running_loop().time()
        self._kept[self._numbers] = _Kept(connection, connection.plans, since)
        if self._returning is None or self._returning.done():
            self._returning = asyncio.create_task(self._return_unused())

    async def _return_unused(self) -> None:
        """Return connections to the driver's pool until none is kept. The driver closes them later."""
        while self._kept:
            await asyncio.sleep(KEPT_SECONDS)
            await self._release_kept(asyncio.get_running_loop().time() - KEPT_SECONDS)

    async def _release_kept(self, used_before: float) -> None:
        for number in [number for number, kept in self._kept.items() if kept.since <= used_before]:
            kept = self._kept.pop(number, None)
            if kept is not None:  # a caller may have taken it meanwhile
                await self._release(kept.connection)

    async def _release(self, connection: Any) -> None:
        try:
            await self._connections.release(connection)
        finally:
            self._leave_one()


class _Use:
    """A use of a connection, until the end of the context.

    It is a class because a context that is made of a generator costs half as much as a short statement.
    """

    __slots__ = ("_connection", "_generation", "_pool", "_tenant")

    def __init__(self, pool: TenantPool, tenant: Tenant | None) -> None:
        self._pool = pool
        self._tenant = tenant

    async def __aenter__(self) -> Any:
        self._connection, self._generation = await self._pool.begin_use(self._tenant)
        return self._connection

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._pool.end_use(
            self._connection, self._tenant, self._generation, failed=kind is not None
        )


def _is_open(connection: Any) -> bool:
    """True if a kept connection can be used. The driver takes it back as soon as it closes."""
    try:
        return not connection.is_closed()
    except asyncpg.InterfaceError:  # it was taken back
        return False
