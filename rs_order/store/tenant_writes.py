"""Writes of one statement in the schema of a tenant, in one round trip (decision 0057)."""

from functools import lru_cache
from typing import Any, Final

from rs_order.domain.ids import Tenant
from rs_order.store.errors import store_errors
from rs_order.store.pool import Pool, Row, single_statement
from rs_order.store.tenant_reads import with_schema

_KNOWN: Final = 4096
"""Statements whose text with schema names is kept."""


async def write_rows(pool: Pool, tenant: Tenant, statement: str, *parameters: Any) -> list[Row]:
    """Return the rows of a statement that is a transaction by itself, and names tables without a schema.

    It writes no row of the outbox: only a unit of work notifies the relay.

    Raises:
        StoreUnavailable: the database can't be reached. The outcome may be unknown.
        StoreConflict: nothing was changed; start again.
    """
    with store_errors():
        async with single_statement(pool, tenant) as connection:
            return await connection.fetch(_in_schema(statement, tenant), *parameters)


_in_schema = lru_cache(maxsize=_KNOWN)(with_schema)
