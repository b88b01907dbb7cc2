"""Reads of one statement in the schema of a tenant, in one round trip (decision 0036)."""

import re
from functools import lru_cache
from typing import Any, Final

from rs_order.domain.ids import Tenant
from rs_order.store.errors import store_errors
from rs_order.store.pool import Pool, Row, single_statement, tenant_schema

_TABLE: Final = re.compile(
    r"\b(from|join|into|update) (archive|basket|completion|data_file|dataset_selection|dataset_task"
    r"|dated_selection|delivery|event|event_log|fan_out|history|hourly_throughput|listed_product|order_request|orders"
    r"|process_batch|product_list|quote|repeated_step|restore_sample|retry|setting|stac_order|sub_order"
    r"|subscription|webhook)\b"
)
_FUNCTION: Final = re.compile(r"\borders\.(files_known|has_process)\b")
_SEQUENCE: Final = "pg_get_serial_sequence('"
_WRITE: Final = re.compile(r"\b(insert|update|delete|merge|nextval|lock|set_config)\b")
_KNOWN: Final = 4096
"""Statements whose text with schema names is kept."""


async def read_rows(pool: Pool, tenant: Tenant, statement: str, *parameters: Any) -> list[Row]:
    """Return the rows of a statement that only reads, and names the tables of a tenant without a schema.

    Raises:
        StoreUnavailable: the database can't be reached.
    """
    with store_errors():
        async with single_statement(pool, tenant) as connection:
            return await connection.fetch(in_schema(statement, tenant), *parameters)


@lru_cache(maxsize=_KNOWN)
def in_schema(statement: str, tenant: Tenant) -> str:
    """Return a statement that only reads with the schema of the tenant before its names.

    Raises:
        ValueError: the statement may write.
    """
    qualified = with_schema(statement, tenant)
    if _WRITE.search(qualified):
        raise ValueError(f"not only a read: {statement}")
    return qualified


def with_schema(statement: str, tenant: Tenant) -> str:
    """Return the statement with the schema of the tenant before the names of its tables and functions.

    The session has no search path of a tenant, so a name that was missed is an error, never the table of
    another tenant.
    """
    sql = "\n".join(line.partition("--")[0] for line in statement.splitlines())
    schema = tenant_schema(tenant)
    tables = _TABLE.sub(rf"\1 {schema}.\2", sql)
    sequences = tables.replace(_SEQUENCE, f"{_SEQUENCE}{schema}.")
    return _FUNCTION.sub(rf"{schema}.\1(orders)", sequences).strip()
