"""Promise 6: instances of two versions side by side. Promise 3: nothing twice when they are replaced."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest

from rs_order.domain.ids import Tenant
from rs_order.store.migrate import Migration, migrate_tenant, migrations
from rs_order.store.pool import Pool, open_pool
from tests.acceptance.platform import TENANT, Platform
from tests.promises.checks import ALL_STATUSES, unique_responses
from tests.promises.process import ALL_MESSAGES_SENT, Instance, instance, until
from tests.support.polling import eventually

NEXT_COLUMN = Migration.of(
    "9001_next.before.sql",
    "alter table orders add column next_version text;"
    " alter table data_file add column next_version text;"
    " create index next_version on data_file (next_version)",
)
NEXT_CLEANUP = Migration.of(
    "9002_next.after.sql",
    "alter table orders drop column next_version; alter table data_file drop column next_version",
)


class Traffic:
    """Orders over AMQP, and requests over HTTP through a load balancer, until ``stop``."""

    def __init__(self, platform: Platform, balancer: list[str]) -> None:
        self._platform = platform
        self._balancer = balancer
        self._stopped = asyncio.Event()
        self.orders: list[str] = []
        self.answers: Counter[str] = Counter()
        """By status, or by the kind of error."""

    async def place_orders(self) -> None:
        """Place an order, and the next one when the first is granted."""
        while not self._stopped.is_set():
            self.orders.append(await self._platform.peer.order("*"))
            await self._platform.peer.until(self.orders[-1], "GRANTED")

    async def read_orders(self) -> None:
        """Read the list over kept connections, of one instance after the other."""
        token = self._platform.sandbox.token("jane@example.org", tenant=TENANT)
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(headers=headers, timeout=60, trust_env=False) as client:
            while not self._stopped.is_set():
                for url in list(self._balancer):
                    await self._read(client, url)

    async def _read(self, client: httpx.AsyncClient, url: str) -> None:
        try:
            answer = await client.get(f"{url}/user/orders")
        except httpx.ConnectError:
            return  # it no longer listens: a load balancer takes another one
        except httpx.TransportError as error:
            self.answers[type(error).__name__] += 1
        else:
            self.answers[str(answer.status_code)] += 1

    async def until_orders(self, count: int) -> None:
        """Wait until so many more orders are granted than now."""
        wanted = len(self.orders) + count
        await eventually(lambda: len(self.orders) > wanted, f"{count} more orders")

    def stop(self) -> None:
        self._stopped.set()


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_promise_6_a_rolling_upgrade_under_load_loses_and_doubles_nothing(
    platform: Platform,
) -> None:
    """The schema changes before and after; instances get SIGTERM one by one. Clients see no error."""
    async with AsyncExitStack() as stack, await open_pool(platform.database_url, size=1) as pool:
        old = [await stack.enter_async_context(instance(platform, **_named(n))) for n in "ab"]
        balancer = [_url(one) for one in old]
        async with _traffic(platform, balancer) as traffic:
            await traffic.until_orders(2)
            await _migrate(pool, after=False)
            await traffic.until_orders(2)
            for retired, name in zip(old, "cd", strict=True):
                new = await stack.enter_async_context(instance(platform, **_named(name)))
                balancer.append(_url(new))
                await retired.stop()
                balancer.remove(_url(retired))
                await traffic.until_orders(2)
            await _migrate(pool, after=True)
            await traffic.until_orders(2)

        await until(platform.database_url, ALL_MESSAGES_SENT)

        for correlation_id in traffic.orders:
            received = platform.peer.responses(correlation_id)
            assert [
                one.status for one in unique_responses(platform, correlation_id)
            ] == ALL_STATUSES
            assert len(received) == len(ALL_STATUSES)
        # A kept connection may be closed while a request is on its way; nothing else may happen.
        assert traffic.answers.keys() <= {"200", "RemoteProtocolError", "ReadError"}
        assert traffic.answers["200"] > 10


@asynccontextmanager
async def _traffic(platform: Platform, balancer: list[str]) -> AsyncIterator[Traffic]:
    """Run the traffic for the block, then wait until each order is final."""
    traffic = Traffic(platform, balancer)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(traffic.place_orders())
        tasks.create_task(traffic.read_orders())
        try:
            yield traffic
        finally:
            traffic.stop()
    for correlation_id in traffic.orders:
        await platform.peer.until_final(correlation_id)


async def _migrate(pool: Pool, *, after: bool) -> None:
    """Apply the migrations of the next version, which add columns first and drop them at last."""
    known = [*migrations("tenant"), NEXT_COLUMN, NEXT_CLEANUP]
    await migrate_tenant(pool, Tenant(TENANT), after=after, known=known)


def _named(name: str) -> dict[str, str]:
    return {"amqp_microservice_instance_identifier": f"rolling-{name}"}


def _url(running: Instance) -> str:
    (line,) = [line for line in running.lines if line.startswith("rs-order is ready on ")]
    return line.split()[4]
