"""Writes consistent rows in any state directly to a tenant's schema."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from uuid import uuid4

from rs_order.domain.ids import OrderId, SubOrderId, Tenant
from rs_order.domain.states import FileState, OrderStatus, SubOrderKind, SubOrderState
from rs_order.store.pool import Connection, Pool, tenant_schema
from tests.support.clock import NOW

OWNER = "jane@example.org"
_NEVER_ASKED = (SubOrderState.BUILDING, SubOrderState.READY)


async def use_tenant(connection: Connection, tenant: Tenant) -> None:
    """Make the tenant's schema the search path until the transaction ends."""
    await connection.execute("select set_config('search_path', $1, true)", tenant_schema(tenant))


@asynccontextmanager
async def in_tenant(pool: Pool, tenant: Tenant) -> AsyncIterator[Connection]:
    """Open a transaction in the tenant's schema; it commits at the end of the block."""
    async with pool.acquire() as connection, connection.transaction():
        await use_tenant(connection, tenant)
        yield connection


class TenantRows:
    """Writes rows of one tenant; its counters match the files."""

    def __init__(self, pool: Pool, tenant: Tenant) -> None:
        self._pool = pool
        self._tenant = tenant

    async def order(
        self,
        status: OrderStatus = OrderStatus.RUNNING,
        *,
        owner: str = OWNER,
        correlation_id: str | None = None,
    ) -> OrderId:
        """Write an order without files."""
        async with in_tenant(self._pool, self._tenant) as connection:
            return OrderId(
                await connection.fetchval(
                    "insert into orders (owner, role, label, correlation_id, status, sub_order_hours)"
                    " values ($1, 'REGISTERED_USER', $2, $3, $4, 2) returning id",
                    owner,
                    uuid4().hex,
                    correlation_id or uuid4().hex,
                    status,
                )
            )

    async def sub_order(
        self,
        order: OrderId,
        checksums: Mapping[str, FileState],
        *,
        state: SubOrderState = SubOrderState.RUNNING,
        kind: SubOrderKind = SubOrderKind.STORAGE,
        owner: str = OWNER,
    ) -> SubOrderId:
        """Write a sub-order with a file of 10 bytes per checksum, and ``asks`` that suit its state."""
        async with in_tenant(self._pool, self._tenant) as connection:
            task = await _task(connection, order)
            columns, values = _counters(list(checksums.values()))
            sub_order = await connection.fetchval(
                "insert into sub_order (order_id, dataset_task_id, owner, kind, state, asks, asked_at,"  # noqa: S608 - our own names
                f" rank{''.join(f', {column}' for column in columns)})"
                " values ($1, $2, $3, $4, $5, $6, $7, $7"
                f"{''.join(f', {value}' for value in values)}) returning id",
                order,
                task,
                owner,
                kind,
                state,
                int(kind is SubOrderKind.STORAGE and state not in _NEVER_ASKED),
                NOW,
            )
            await _files(connection, order, sub_order, task, checksums)
            await connection.execute(
                "update dataset_task set files_count = files_count + $2,"
                " files_bytes = files_bytes + 10 * $2 where id = $1",
                task,
                len(checksums),
            )
            await connection.execute(
                "update orders set sub_orders = sub_orders + 1,"  # noqa: S608 - our own names
                " waiting_sub_orders = waiting_sub_orders + $2"
                + "".join(
                    f", {column} = {column} + {value}"
                    for column, value in zip(columns, values, strict=True)
                )
                + " where id = $1",
                order,
                int(state is SubOrderState.WAITING),
            )
            return SubOrderId(sub_order)


async def _task(connection: Connection, order: OrderId) -> int:
    task: int = await connection.fetchval(
        "insert into dataset_task (order_id, dataset_urn, dataset_label, products_count)"
        " values ($1, 'URN:AIP:DATASET:demo:1:V1', 'A dataset', 1)"
        " on conflict on constraint dataset_task_once do update set dataset_label = 'A dataset'"
        " returning id",
        order,
    )
    return task


async def _files(
    connection: Connection,
    order: OrderId,
    sub_order: int,
    task: int,
    checksums: Mapping[str, FileState],
) -> None:
    await connection.execute(
        "insert into data_file (order_id, sub_order_id, dataset_task_id, identity, product_urn,"
        " product_version, data_type, name, url, external, online, size, checksum, state)"
        " select $1, $2, $3, gen_random_uuid(), 'URN:AIP:DATA:demo:1:V1', 1, 'RAWDATA', checksum,"
        " 'http://x/' || checksum, false, false, 10, checksum, state"
        " from unnest($4::text[], $5::text[]) as file (checksum, state)",
        order,
        sub_order,
        task,
        list(checksums),
        list(checksums.values()),
    )


def _counters(states: Sequence[FileState]) -> tuple[list[str], list[int]]:
    """Return the counter columns and their values, for files of 10 bytes each."""
    columns: list[str] = []
    values: list[int] = []
    for state in sorted(set(states)):
        columns += [f"{state.lower()}_files", f"{state.lower()}_bytes"]
        values += [states.count(state), 10 * states.count(state)]
    return columns, values
