"""Orders with sub-orders and files, written in the server by a few statements: a million rows in a minute."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg

from rs_order.app.application import Application, compose_application
from rs_order.app.database import open_database
from rs_order.app.shared_parts import SharedParts
from rs_order.domain.ids import Checksum, Tenant
from rs_order.sandbox.service_protocol import DEVELOPMENT_KEY
from rs_order.settings import Settings
from rs_order.store.pool import tenant_schema
from tests.benchmarks.stubs import Stubs

WRITE_SECONDS = 3600
_ROWS = """
insert into orders (id, owner, role, label, correlation_id, status, sub_order_hours, expires_at, sub_orders,
    pending_files, pending_bytes)
select id, 'user' || id, 'REGISTERED_USER', 'label', 'order-' || id, 'RUNNING', 24, now() + interval '9 days',
    {sub_orders}, {sub_orders} * {files}, {sub_orders} * {files} * 1000
from generate_series(1, {orders}) as id;

insert into dataset_task (id, order_id, dataset_urn, dataset_label, products_count, files_count, files_bytes)
select id, id, 'URN:AIP:DATASET:x:0:V1', 'dataset', {sub_orders} * {files}, {sub_orders} * {files},
    {sub_orders} * {files} * 1000
from generate_series(1, {orders}) as id;

insert into sub_order (id, order_id, dataset_task_id, owner, kind, state, rank, asks, asked_at, due_at,
    pending_files, pending_bytes)
select id, number, number, 'user' || number, 'STORAGE', '{state}', now() - interval '1 second' * id,
    case '{state}' when 'RUNNING' then 1 else 0 end, now(), now() + interval '1 day', {files}, {files} * 1000
from generate_series(1, {orders} * {sub_orders}) as id,
    lateral (select 1 + (id - 1) / {sub_orders}) as of_order (number);

insert into data_file (id, order_id, sub_order_id, dataset_task_id, identity, product_urn, product_id,
    product_version, data_type, name, url, external, online, size, checksum, checksum_algorithm, mime_type,
    state)
select id, number, 1 + (id - 1) / {files}, number, md5(id::text)::uuid,
    'URN:AIP:DATA:x:' || md5(id::text) || ':V1', 'product_' || id, 1, 'RAWDATA', 'file_' || id || '.fits',
    'http://storage.example.org/files/' || md5(id::text), false, false, 1000, md5(id::text), 'MD5',
    'application/fits', 'PENDING'
from generate_series(1::bigint, {orders}::bigint * {sub_orders} * {files}) as id,
    lateral (select 1 + (id - 1) / ({sub_orders} * {files})) as of_order (number);
"""


@dataclass(frozen=True)
class StoredOrders:
    """The rows of a tenant: one order of each user. Ids of all rows begin with 1, without gaps."""

    users: int
    sub_orders: int
    """Of each order."""
    files: int
    """Of each sub-order."""

    @property
    def total_sub_orders(self) -> int:
        return self.users * self.sub_orders

    @property
    def total_files(self) -> int:
        return self.total_sub_orders * self.files

    async def write(self, url: str, tenant: Tenant, *, state: str) -> None:
        """Write the orders of a tenant, whose sub-orders are all READY or all RUNNING."""
        script = _ROWS.format(
            orders=self.users, sub_orders=self.sub_orders, files=self.files, state=state
        )
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(f"set search_path to {tenant_schema(tenant)}")
            await connection.execute(script, timeout=WRITE_SECONDS)
            for table in ("orders", "dataset_task", "sub_order", "data_file"):
                await connection.execute(f"vacuum analyze {table}", timeout=WRITE_SECONDS)
        finally:
            await connection.close()

    def files_of(self, sub_order: int) -> list[Checksum]:
        """Return the checksums of the files of a sub-order."""
        first = (sub_order - 1) * self.files + 1
        return [_md5(str(number)) for number in range(first, first + self.files)]


def foreign_checksum(number: int) -> Checksum:
    """Return a checksum that no order waits for."""
    return _md5(f"foreign-{number}")


def _md5(text: str) -> Checksum:
    return Checksum(hashlib.md5(text.encode(), usedforsecurity=False).hexdigest())


@asynccontextmanager
async def composed_application(**settings: Any) -> AsyncIterator[Application]:
    """Yield the application as in production, but without consumers, relay and REST."""
    every = Settings(**{"jwt_key_hs512": DEVELOPMENT_KEY, **settings})
    async with (
        open_database(every) as database,
        Stubs().open_clients(every, database.tenants, []) as clients,
    ):
        yield compose_application(SharedParts.of(every, database, clients, lambda _: None))
