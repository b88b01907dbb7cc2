"""The pool and the tenant's schema, looked at from outside."""

import asyncio
from typing import Final

import asyncpg

from rs_order.adapters.postgres.driver import Pool
from rs_order.adapters.postgres.errors import store_errors
from rs_order.adapters.postgres.pool import IDLE_SECONDS, transaction, use_tenant
from rs_order.adapters.postgres.statements import statements
from rs_order.domain.ids import Tenant
from rs_order.ports.data_source import ConnectionUse
from rs_order.ports.store import StoreUnavailable

SQL = statements("settings")
LONGEST_TEST_SECONDS: Final = 5.0


class PostgresDataSource:
    """Implements :class:`rs_order.ports.data_source.DataSource`."""

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
