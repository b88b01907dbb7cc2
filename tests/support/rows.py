"""Consistent rows in any state, written straight into a tenant's schema."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import uuid4

from rs_order.adapters.postgres.driver import Connection, Pool
from rs_order.adapters.postgres.pool import use_tenant
from rs_order.domain.ids import OrderId, SubOrderId, Tenant
from rs_order.domain.states import FileState, OrderStatus, SubOrderKind, SubOrderState

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OWNER = "jane@example.org"


@asynccontextmanager
async def in_tenant(pool: Pool, tenant: Tenant) -> AsyncIterator[Connection]:
    """A transaction in the tenant's schema, committed at the end."""
    async with pool.acquire() as connection, connection.transaction():
        await use_tenant(connection, tenant)
        yield connection


class TenantRows:
    """Writes rows of one tenant; counters always agree with the files."""

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
        """An order without files."""
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
        """A sub-order with one file of 10 bytes for each checksum."""
        async with in_tenant(self._pool, self._tenant) as connection:
            task = await _task(connection, order)
            sub_order = await connection.fetchval(
                "insert into sub_order (order_id, dataset_task_id, owner, kind)"
                " values ($1, $2, $3, $4) returning id",
                order,
                task,
                owner,
                kind,
            )
            await _files(connection, order, sub_order, task, checksums)
            await _count(connection, order, sub_order, list(checksums.values()))
            await connection.execute(
                "update dataset_task set files_count = files_count + $2,"
                " files_bytes = files_bytes + 10 * $2 where id = $1",
                task,
                len(checksums),
            )
            await connection.execute(
                "update sub_order set state = $2, asks = 1, asked_at = $3, rank = $3 where id = $1",
                sub_order,
                state,
                NOW,
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


async def _count(
    connection: Connection, order: OrderId, sub_order: int, states: Sequence[FileState]
) -> None:
    for state in set(states):
        column, files = state.lower(), states.count(state)
        for table, id_ in (("orders", order), ("sub_order", sub_order)):
            await connection.execute(
                f"update {table} set {column}_files = {column}_files + $2,"  # noqa: S608 - our own names
                f" {column}_bytes = {column}_bytes + $3 where id = $1",
                id_,
                files,
                10 * files,
            )
