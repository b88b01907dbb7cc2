"""The metrics of work that waits in the database, with its age."""

from datetime import timedelta

import pytest
from prometheus_client import REGISTRY

from rs_order.app.metric_sources import TenantSource
from rs_order.core.measurements import Measurements
from rs_order.domain.states import FileState, SubOrderKind, SubOrderState
from rs_order.store.backlog import Backlog
from rs_order.store.pool import Pool
from rs_order.store.tenants import Tenants
from tests.integration.conftest import OTHER, TENANT
from tests.support.clock import NOW, ManualClock
from tests.support.rows import TenantRows, in_tenant

SILENCE = timedelta(hours=48)
PENDING = {"a": FileState.PENDING}


@pytest.fixture
async def tenants(pool: Pool) -> Tenants:
    loaded = Tenants(pool)
    await loaded.load()
    return loaded


async def values(pool: Pool, tenants: Tenants, *, tenant_labels: int = 50) -> dict[str, float]:
    """Sample ten hours after NOW. Return the values that aren't 0, by name and labels."""
    measurements = Measurements(tenants, tenant_labels=tenant_labels)
    clock = ManualClock(NOW + timedelta(hours=10))
    backlog = Backlog(pool, processing_silence=SILENCE)
    source = TenantSource(backlog, tenants, measurements, clock).source()
    await source.sample()
    return {
        " ".join([sample.name.removeprefix("rs_order_"), *sample.labels.values()]): sample.value
        for gauge in source.gauges
        for sample in next(iter(gauge.collect())).samples
        if sample.value
    }


async def test_an_empty_database_waits_for_nothing(pool: Pool, tenants: Tenants) -> None:
    """Every tenant has a value, so that a graph shows 0 and not a gap."""
    found = await values(pool, tenants)

    assert found == {}
    for tenant in (TENANT, OTHER):
        assert REGISTRY.get_sample_value("rs_order_restores_in_flight", {"tenant": tenant}) == 0


async def test_what_waits_and_since_when(pool: Pool, tenants: Tenants, rows: TenantRows) -> None:
    """Each state of a sub-order by its oldest one, and the open request."""
    order = await rows.order()
    for state in (SubOrderState.READY, SubOrderState.RUNNING, SubOrderState.PROCESSING):
        kind = (
            SubOrderKind.PROCESSING if state is SubOrderState.PROCESSING else SubOrderKind.STORAGE
        )
        await rows.sub_order(order, {state: FileState.PENDING}, state=state, kind=kind)
    async with in_tenant(pool, TENANT) as connection:
        await connection.execute(
            "insert into order_request (correlation_id, fingerprint, body, received_at)"
            " values ('c', '', '{}', $1), ('d', 'd', '{}', $2)",
            NOW + timedelta(hours=1),
            NOW + timedelta(hours=2),
        )
        # Storage was asked at NOW, and the executions were requested two hours later.
        await connection.execute(
            "update sub_order set due_at = $1 where state = 'RUNNING'", NOW + timedelta(hours=11)
        )
        await connection.execute(
            "update sub_order set due_at = $1 where state = 'PROCESSING'",
            NOW + timedelta(hours=2) + SILENCE,
        )
        await connection.execute(
            "insert into process_batch (sub_order_id, order_id, correlation_id, batch_id)"
            " select id, order_id, 'p', gen_random_uuid() from sub_order where state = 'PROCESSING'"
        )
        await connection.execute(
            "insert into rs_order.running_sub_order (tenant, sub_order_id, owner, started_at, files, bytes)"
            " select $1, id, owner, asked_at, 3, 4000 from sub_order where state = 'RUNNING'",
            TENANT,
        )

    assert await values(pool, tenants) == {
        "request_oldest_seconds project1": 9 * 3600,
        "restores_in_flight project1": 1,
        "files_in_flight project1": 3,
        "bytes_in_flight project1": 4000,
        "sub_order_oldest_seconds project1 READY": 10 * 3600,
        "sub_order_oldest_seconds project1 RUNNING": 10 * 3600,
        "sub_order_oldest_seconds project1 PROCESSING": 8 * 3600,
    }


async def test_a_step_that_is_late_is_seen(pool: Pool, tenants: Tenants, rows: TenantRows) -> None:
    """A sub-order whose executions aren't requested yet has no age, but is overdue."""
    order = await rows.order()
    await rows.sub_order(
        order, PENDING, state=SubOrderState.PROCESSING, kind=SubOrderKind.PROCESSING
    )
    async with in_tenant(pool, TENANT) as connection:
        await connection.execute("update sub_order set due_at = $1", NOW + timedelta(hours=7))

    assert await values(pool, tenants) == {"sub_order_overdue_seconds project1": 3 * 3600}


async def test_an_event_without_a_position_is_seen(pool: Pool, tenants: Tenants) -> None:
    """Nobody can read it. One with a position doesn't count, however old it is."""
    async with in_tenant(pool, TENANT) as connection:
        await connection.execute(
            "insert into event (event_id, order_id, ordinal, owner, type, created_at, position, body, data)"
            " values (gen_random_uuid(), 1, 1, 'o', 't', $1, 1, '{}', null),"
            " (gen_random_uuid(), 1, 2, 'o', 't', $2, null, null, '{}'),"
            " (gen_random_uuid(), 1, 3, 'o', 't', $3, null, null, '{}')",
            NOW,
            NOW + timedelta(hours=7),
            NOW + timedelta(hours=8),
        )

    assert await values(pool, tenants) == {"event_oldest_seconds project1": 3 * 3600}


async def test_tenants_beyond_the_limit_are_added_up(pool: Pool, tenants: Tenants) -> None:
    """Their sub-orders are summed; the oldest of all is reported. An inactive tenant doesn't count."""
    await tenants.add("project3")
    async with pool.acquire() as connection:
        await connection.executemany(
            "insert into rs_order.running_sub_order (tenant, sub_order_id, owner, started_at)"
            " values ($1, $2, 'jane@example.org', $3)",
            [
                (tenant, number, NOW + timedelta(hours=number))
                for number, tenant in enumerate((TENANT, OTHER, OTHER, "project3", "away"))
            ],
        )

    assert await values(pool, tenants, tenant_labels=1) == {
        "restores_in_flight project1": 1,
        "restores_in_flight other": 3,
        "sub_order_oldest_seconds project1 RUNNING": 10 * 3600,
        "sub_order_oldest_seconds other RUNNING": 9 * 3600,
    }
