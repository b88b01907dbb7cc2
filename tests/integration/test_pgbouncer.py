"""The store works through PgBouncer in transaction mode, where a session may change between transactions."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from rs_order.app.clock import SystemClock
from rs_order.core.shared_steps import ScheduleStep
from rs_order.demo.servers.machine import ThisMachine
from rs_order.demo.servers.private_resources import free_ports, make_folder, unprivileged_account
from rs_order.domain.identity import SERVICE
from rs_order.domain.ids import Tenant
from rs_order.store.migrate import migrate_platform
from rs_order.store.order_views import OrderViews
from rs_order.store.outbox import Outbox
from rs_order.store.pool import LONGEST_IDLE_MS, open_pool, transaction
from rs_order.store.tenants import Tenants
from rs_order.store.unit_of_work import Store
from tests.acceptance.platform import running_platform
from tests.integration.conftest import OTHER, TENANT
from tests.support.polling import eventually
from tests.support.rows import OWNER, TenantRows
from tests.support.servers import FreshBroker

START_SECONDS = 15
_CONFIGURATION = """
[databases]
* = host={host} port={database_port} user={user} password={password}
[pgbouncer]
listen_addr = 127.0.0.1
unix_socket_dir =
listen_port = {port}
auth_type = any
pool_mode = transaction
default_pool_size = 4
max_client_conn = 200
ignore_startup_parameters = extra_float_digits,search_path
"""


async def _program() -> str:
    found = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")
    if found is None and unprivileged_account("postgres") is not None:
        await ThisMachine().install(["pgbouncer"])
        found = "/usr/sbin/pgbouncer"
    return found or pytest.fail("install pgbouncer: the store is tested through it")


@pytest.fixture
async def pooled_url(database_url: str) -> AsyncIterator[str]:
    """Start a PgBouncer with four server connections before the test's database; yield its URL."""
    program, (port,) = await _program(), free_ports(1)
    url, account = urlsplit(database_url), unprivileged_account("postgres")
    text = _CONFIGURATION.format(
        host=url.hostname,
        database_port=url.port,
        user=url.username,
        password=url.password or "",
        port=port,
    )
    folder = make_folder("pgbouncer", account, [("pgbouncer.ini", text)])
    process = await asyncio.create_subprocess_exec(
        program,
        *(("-u", account) if account else ()),
        f"{folder}/pgbouncer.ini",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await _until_listening(port)
        yield f"postgresql://{url.username}@127.0.0.1:{port}{url.path}?sslmode=disable"
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        shutil.rmtree(Path(folder))


async def _until_listening(port: int) -> None:
    async def listens() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            return False
        writer.close()
        return True

    await eventually(listens, "PgBouncer listening", seconds=START_SECONDS)


async def test_tenants_stay_apart_behind_a_pooler(pooled_url: str) -> None:
    """Many clients over four server connections, inside and outside of transactions."""
    async with await open_pool(pooled_url, size=20, statement_cache=False) as pool:
        await migrate_platform(pool)
        tenants = Tenants(pool)
        for tenant in (TENANT, OTHER):
            await tenants.add(tenant)
        store, outbox = Store(pool, lambda _: None), Outbox(pool, SystemClock())
        orders = {
            tenant: await TenantRows(pool, tenant).order(correlation_id=tenant)
            for tenant in (TENANT, OTHER)
        }

        async def read_order(tenant: Tenant) -> str:
            await outbox.check()
            async with store.unit_of_work(tenant) as uow:
                (order,) = await uow.orders.lock([orders[tenant]])
            assert await OrderViews(pool).owner(tenant, orders[tenant]) == OWNER
            await store.send([ScheduleStep(OWNER).to(tenant)])
            await tenants.load()
            return order.correlation_id

        of_tenants = [TENANT, OTHER] * 100

        assert await asyncio.gather(*map(read_order, of_tenants)) == of_tenants
        assert await pool.fetchval("select count(*) from rs_order.outbox") == len(of_tenants)


async def test_the_limits_of_a_transaction_reach_the_server(pooled_url: str) -> None:
    """A client that vanishes behind the pooler loses its locks, too (issue 11, F2)."""
    async with await open_pool(pooled_url, size=1, statement_cache=False) as pool:
        async with transaction(pool) as connection:
            limit = await connection.fetchval("show idle_in_transaction_session_timeout")
            name = await connection.fetchval("show application_name")

        assert name == SERVICE  # by this the watch finds the sessions of frozen clients
        assert limit == f"{LONGEST_IDLE_MS // 1000}s"


async def test_a_whole_order_goes_through_a_pooler(
    platform_broker: FreshBroker, database_url: str, pooled_url: str
) -> None:
    """The only setting it needs is ``database_statement_cache=false``."""
    async with (
        running_platform(platform_broker, database_url, database_statement_cache=False) as here,
        here.service(database_url=SecretStr(pooled_url)),
    ):
        correlation_id = await here.peer.order("*")
        await here.peer.until(correlation_id, "SUBORDER_DONE")
        (order,) = await here.rows("select id from orders")

        assert await here.zip_of(order["id"])
