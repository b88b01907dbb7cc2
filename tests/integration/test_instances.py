"""Processes describe themselves to each other, and keep the figures of each hour."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from rs_order.app.heartbeat import Heartbeat, identity
from rs_order.broker.topology import Vhost
from rs_order.contracts.administration import HealthStatus
from rs_order.contracts.platform_names import PlatformService
from rs_order.core.instance_states import calls_in, health_in
from rs_order.domain.throughput import Throughput, hour_of
from rs_order.ports import ComponentHealth
from rs_order.regards.call_watch import ServiceCalls
from rs_order.store.instances import FORGOTTEN_AFTER, Instances
from rs_order.store.pool import Pool
from rs_order.store.throughputs import KEPT, HourlyThroughput
from tests.integration.app_harness import TENANT, AppHarness
from tests.support.clock import ManualClock
from tests.support.polling import eventually
from tests.support.rows import in_tenant

AT = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
DOWN = {
    "rabbit": ComponentHealth(HealthStatus.DOWN, {"lost": {Vhost.MULTITENANT: "no"}, "blocked": []})
}
CALLS = {
    PlatformService.STORAGE: ServiceCalls(AT, None, 0),
    "webhooks": ServiceCalls(None, AT, 3, of_others=True),
}


class Unwell:
    """Implements ``Health``."""

    async def check(self) -> dict[str, ComponentHealth]:
        return DOWN


def heartbeat(pool: Pool, name: str) -> Heartbeat:
    return Heartbeat(identity(name, ManualClock()), Instances(pool), Unwell(), lambda: CALLS)


async def test_a_process_describes_itself_until_it_stops(pool: Pool) -> None:
    """The description comes back as it was; a process that stops isn't silent, but gone."""
    beating = asyncio.create_task(heartbeat(pool, "worker").run())
    instances = Instances(pool)

    (known,) = await eventually(instances.all, "a process described itself")
    assert known.of.role == "worker"
    assert known.silent_for < timedelta(minutes=1)
    assert health_in(known.state) == DOWN
    assert calls_in(known.state) == CALLS
    beating.cancel()
    await asyncio.wait({beating})
    assert await instances.all() == []


async def test_a_process_that_is_silent_for_long_is_forgotten(pool: Pool) -> None:
    gone, alive = heartbeat(pool, "worker"), heartbeat(pool, "api")
    await gone.beat()
    async with in_tenant(pool, TENANT) as connection:
        await connection.execute(
            "update rs_order.instance set seen_at = seen_at - $1::interval", FORGOTTEN_AFTER
        )
    await alive.beat()
    await alive.beat()

    assert [one.of.role for one in await Instances(pool).all()] == ["api"]


async def test_figures_of_processes_are_added_up_by_hour(pool: Pool) -> None:
    clock = ManualClock()
    one, other = HourlyThroughput(pool, clock), HourlyThroughput(pool, clock)
    long_ago, hour = hour_of(clock.now()), hour_of(clock.now() + KEPT + timedelta(hours=1))
    one.add(TENANT, Throughput(delivered_files=7, delivered_bytes=70))
    await one.write()
    assert await other.since(TENANT, long_ago) == {long_ago: Throughput(0, 0, 7, 70)}
    clock.move(seconds=(KEPT + timedelta(hours=1)).total_seconds())
    one.add(TENANT, Throughput(1, 10))
    one.add(TENANT, Throughput(2, 20))
    other.add(TENANT, Throughput(delivered_files=4, delivered_bytes=40))
    await one.write()
    await other.write()
    await one.write()

    assert await one.since(TENANT, long_ago) == {hour: Throughput(3, 30, 4, 40)}


@pytest.mark.parametrize(("state", "kept"), [("57P03", True), ("P0001", False)])
async def test_figures_that_cannot_be_written_are_kept_unless_it_is_a_defect(
    pool: Pool, state: str, kept: bool
) -> None:
    throughput = HourlyThroughput(pool, ManualClock())
    throughput.add(TENANT, Throughput(1, 10))
    async with in_tenant(pool, TENANT) as connection:
        await connection.execute(
            "create function refuse() returns trigger language plpgsql as"
            f" $$ begin raise exception 'no' using errcode = '{state}'; end $$;"
            " create trigger refuse before insert on hourly_throughput execute function refuse()"
        )
    await throughput.write()
    async with in_tenant(pool, TENANT) as connection:
        await connection.execute("drop trigger refuse on hourly_throughput")
    await throughput.write()

    found = await throughput.since(TENANT, datetime(2020, 1, 1, tzinfo=UTC))
    assert list(found.values()) == ([Throughput(1, 10)] if kept else [])


async def test_restored_and_delivered_files_are_counted(app: AppHarness) -> None:
    """What storage brings back and what is downloaded count once, in the commit that says so."""
    order = await app.order("a", "b", "c")
    await app.run()
    await app.storage_answers("a", "b", c="gone")
    await app.storage_answers("a")
    await app.downloaded(order, "a")
    throughput = app.application.shared.throughput
    await throughput.write()

    (found,) = (await throughput.since(TENANT, hour_of(app.clock.now()))).values()
    assert found == Throughput(2, 20, 1, 10)
