"""A migrated database with two tenants for each test of the store."""

from collections.abc import AsyncIterator

import pytest

from rs_order.domain.ids import Tenant
from rs_order.store.pool import Pool, open_pool
from rs_order.store.unit_of_work import Store
from tests.integration import app_harness
from tests.integration.app_harness import AppHarness
from tests.support.history import HISTORY, unexplained_moves
from tests.support.rows import TenantRows
from tests.support.stores import MigratedDatabases

TENANT = app_harness.TENANT
OTHER = Tenant("project2")


@pytest.fixture
async def migrated_url(migrated_databases: MigratedDatabases) -> AsyncIterator[str]:
    """The URL of a database in which both tenants are provisioned."""
    async with migrated_databases.url(TENANT, OTHER) as url:
        yield url


@pytest.fixture
def commands_here(migrated_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands run in this process, on the migrated database, without changing where it logs."""
    monkeypatch.setenv("RS_ORDER_DATABASE_URL", migrated_url)
    monkeypatch.setenv("RS_ORDER_JWT_KEY_HS512", "k" * 64)
    monkeypatch.setattr("rs_order.cli.terminal.configure_command_logs", lambda _: None)


@pytest.fixture
async def pool(migrated_url: str) -> AsyncIterator[Pool]:
    """Open the pool of one process."""
    async with await open_pool(migrated_url, size=10) as opened:
        yield opened


@pytest.fixture
def committed() -> list[str]:
    """Return a list that gets one entry per commit that wrote to the outbox."""
    return []


@pytest.fixture
def store(pool: Pool, committed: list[str]) -> Store:
    return Store(pool, lambda _: committed.append("committed"))


@pytest.fixture
async def app(pool: Pool) -> AsyncIterator[AppHarness]:
    """The use cases. After the test every counter must be right and every move in the history allowed."""
    harness = AppHarness(pool)
    yield harness
    assert await harness.miscounted() == []
    assert unexplained_moves(await harness.rows(HISTORY)) == []


@pytest.fixture
def rows(pool: Pool) -> TenantRows:
    return TenantRows(pool, TENANT)
