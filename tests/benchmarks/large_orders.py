"""Large orders of a deployment, and measurement of the locks that the service holds meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg

from rs_order.domain.states import FileState, OrderStatus, SubOrderState
from tests.benchmarks.deployment import TENANT, Deployment
from tests.support.large_orders import write_large_order

OWNER = "jane@example.org"


async def large_order(
    deployment: Deployment,
    status: OrderStatus,
    sub_order_state: SubOrderState,
    state: FileState,
    *,
    files: int,
    sub_orders: int,
) -> int:
    """Write an order of ``OWNER`` and return its id; its files are spread evenly and have one state."""
    connection = await asyncpg.connect(deployment.servers.database_url)
    try:
        await connection.execute(f"set search_path to order_{TENANT}")
        async with connection.transaction():  # the reconciler must not see a part of it
            order = await write_large_order(
                connection,
                owner=OWNER,
                status=status,
                sub_order_state=sub_order_state,
                state=state.lower(),
                sub_orders=sub_orders,
                each=files // sub_orders,
            )
        await connection.execute("vacuum analyze", timeout=3600)
        return order
    finally:
        await connection.close()


_WRITING = """
with writing as (
    select distinct pid from pg_locks lock join pg_class on pg_class.oid = lock.relation
    where relnamespace = 'order_{tenant}'::regnamespace and mode in ('RowShareLock', 'RowExclusiveLock')
)
select extract(epoch from clock_timestamp() - xact_start) as open,
       case when wait_event_type = 'Lock' then extract(epoch from clock_timestamp() - query_start) end
           as waiting,
       query
from pg_stat_activity join writing using (pid)
where application_name = 'rs-order' and xact_start is not null
order by 1 desc
"""


@dataclass
class Locks:
    """The longest times that were observed, in seconds."""

    longest: float = 0
    """Age of a transaction that had locked or written rows of the tenant."""
    statement: str = ""
    """The statement of that transaction."""
    waited: float = 0
    """Wait of one of them for the lock of another."""

    def __str__(self) -> str:
        return (
            f"longest transaction {1000 * self.longest:.0f} ms ({self.statement}),"
            f" longest wait for a lock {1000 * self.waited:.0f} ms"
        )


@asynccontextmanager
async def watched_locks(deployment: Deployment) -> AsyncIterator[Locks]:
    """Check a hundred times a second which transactions hold locks in the tenant's schema."""
    seen = Locks()
    connection = await asyncpg.connect(deployment.servers.database_url)
    watching = asyncio.create_task(_watch(connection, seen))
    try:
        yield seen
    finally:
        watching.cancel()
        await asyncio.wait({watching})
        await connection.close()


async def _watch(connection: asyncpg.Connection, seen: Locks) -> None:
    query = await connection.prepare(_WRITING.format(tenant=TENANT))
    while True:
        for row in await query.fetch():
            if row["open"] > seen.longest:
                seen.longest, seen.statement = float(row["open"]), _title(row["query"])
            seen.waited = max(seen.waited, float(row["waiting"] or 0))
        await asyncio.sleep(0.01)


def _title(query: str) -> str:
    """Return the first words of a statement, without the comments before it."""
    lines = [line for line in query.splitlines() if line and not line.startswith("--")]
    return " ".join(" ".join(lines).split()[:6])
