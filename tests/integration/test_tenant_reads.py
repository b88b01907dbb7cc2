"""A read of one statement finds the tables of its tenant without a search path, in one round trip."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from rs_order.domain.ids import Tenant
from rs_order.store.order_views import SQL, OrderViews
from rs_order.store.pool import Pool
from rs_order.store.tenant_reads import in_schema
from tests.support.counting import counted
from tests.support.rows import OWNER, TenantRows
from tests.support.stores import MigratedDatabases

ONE, TWO = Tenant("one"), Tenant("two")


@pytest.fixture
async def pool(migrated_databases: MigratedDatabases) -> AsyncIterator[Pool]:
    async with migrated_databases.pool(ONE, TWO, size=1) as (opened, _):
        yield opened


async def test_promise_7_a_read_of_one_statement_stays_in_its_tenant(pool: Pool) -> None:
    """The same connection serves both tenants, one after the other."""
    views, counts = OrderViews(pool), {ONE: 1, TWO: 2}
    for tenant, count in counts.items():
        for _ in range(count):
            await TenantRows(pool, tenant).order()
    await views.of_owner(ONE, OWNER, limit=5, offset=0)  # lets the driver read the types
    async with counted(pool) as statements:
        for tenant in (ONE, TWO) * 2:
            found = await views.of_owner(tenant, OWNER, limit=5, offset=0)
            assert found.total == len(found.items) == counts[tenant]

    assert statements
    assert all(statement.startswith("select") for statement in statements)


async def test_a_name_without_its_schema_finds_no_table(pool: Pool) -> None:
    """So a read that misses a name fails, and never reaches another tenant."""
    with pytest.raises(asyncpg.UndefinedTableError):
        await pool.fetch(SQL["owner"], 1)


@pytest.mark.parametrize(
    "statement",
    [
        "with gone as (delete from orders returning id) select * from gone",
        "select nextval('orders_id_seq')",
        "select id from orders for update",
    ],
)
def test_a_statement_that_may_write_is_no_read(statement: str) -> None:
    with pytest.raises(ValueError, match="not only a read"):
        in_schema(statement, ONE)
