"""Orders of any size written by SQL, and how long the service holds locks while it works on them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg

from rs_order.domain.states import FileState, OrderStatus, SubOrderState
from tests.benchmarks.deployment import TENANT, Deployment

OWNER = "jane@example.org"

_ORDER = """
insert into orders (owner, role, label, correlation_id, status, sub_order_hours, sub_orders, expires_at,
    waiting_sub_orders, {state}_files, {state}_bytes)
select '{owner}', 'REGISTERED_USER', gen_random_uuid()::text, 'large', '{status}', 2, {sub_orders},
    now() + interval '1 day', case when '{sub_order_state}' = 'WAITING' then {sub_orders} else 0 end,
    {sub_orders} * {each}, {sub_orders} * {each} * 1000::bigint
"""
_TASK = """
insert into dataset_task (order_id, dataset_urn, dataset_label, products_count, files_count, files_bytes)
select max(id), 'URN:AIP:DATASET:project1:1:V1', 'large', {sub_orders} * {each}, {sub_orders} * {each},
    {sub_orders} * {each} * 1000::bigint
from orders where owner = '{owner}'
"""
_SUB_ORDERS = """
insert into sub_order (order_id, dataset_task_id, owner, kind, state, rank, asks, asked_at,
    {state}_files, {state}_bytes)
select order_id, id, '{owner}', 'STORAGE', '{sub_order_state}', now(), 1, now(), {each}, {each} * 1000
from (select id, order_id from dataset_task order by id desc limit 1) task, generate_series(1, {sub_orders})
"""
_FILES = """
insert into data_file (order_id, sub_order_id, dataset_task_id, identity, product_urn, product_id,
    product_version, data_type, name, url, external, online, size, checksum, checksum_algorithm, mime_type,
    state)
select sub_order.order_id, sub_order.id, dataset_task_id, gen_random_uuid(),
    'URN:AIP:DATA:project1:' || n || ':V1', 'PRODUCT_' || n, 1, 'RAWDATA', 'file_' || n || '.nc',
    'https://archive.example.org/files/' || n, false, false, 1000, md5(sub_order.id || '/' || n), 'MD5',
    'application/x-netcdf', upper('{state}')
from sub_order, generate_series(1, {each}) n
where order_id = (select max(id) from orders where owner = '{owner}')
"""


async def large_order(
    here: Deployment,
    status: OrderStatus,
    sub_order_state: SubOrderState,
    state: FileState,
    *,
    files: int,
    sub_orders: int,
) -> int:
    """An order of ``OWNER``'s, its files spread evenly over its sub-orders and all in one state."""
    values = {
        "owner": OWNER,
        "status": status,
        "sub_order_state": sub_order_state,
        "state": state.lower(),
        "sub_orders": sub_orders,
        "each": files // sub_orders,
    }
    order: int = await here.execute(
        *(statement.format(**values) for statement in (_ORDER, _TASK, _SUB_ORDERS, _FILES)),
        "vacuum analyze",
        f"select max(id) from orders where owner = '{OWNER}'",  # noqa: S608 - a constant
    )
    return order


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
    """The longest of what was seen, in seconds."""

    longest: float = 0
    """A transaction that had locked or written rows of the tenant."""
    statement: str = ""
    """What that transaction was at."""
    waited: float = 0
    """One of them waited for the lock of another."""

    def __str__(self) -> str:
        return (
            f"longest transaction {1000 * self.longest:.0f} ms ({self.statement}),"
            f" longest wait for a lock {1000 * self.waited:.0f} ms"
        )


@asynccontextmanager
async def watched_locks(here: Deployment) -> AsyncIterator[Locks]:
    """Look a hundred times a second who holds locks in the tenant's schema."""
    seen = Locks()
    connection = await asyncpg.connect(here.servers.database_url)
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
    """The first words of a statement, without the comments in front."""
    lines = [line for line in query.splitlines() if line and not line.startswith("--")]
    return " ".join(" ".join(lines).split()[:6])
