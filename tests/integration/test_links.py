"""Links in responses: the settlement reads an address that another instance stored."""

import asyncio

import orjson

from rs_order.core.links import Links
from rs_order.core.policies import SlotLimits
from rs_order.core.settlement import Settlement
from rs_order.domain.ids import Checksum, Tenant
from rs_order.ports import RemoteUnavailable
from rs_order.scheduling.restoration import ApplyAvailability
from rs_order.store.pool import Pool, open_pool
from rs_order.store.tenants import Tenants
from rs_order.store.unit_of_work import Store
from tests.integration.app_harness import TENANT, AppHarness
from tests.support.polling import WAIT_SECONDS

ADDRESS = "https://project.example.org"


class UnavailableProjects:
    """An rs-admin-instance that the settlement must not call."""

    async def host(self, tenant: Tenant) -> str | None:
        raise RemoteUnavailable("rs-admin-instance", f"asked for {tenant}")


async def test_an_address_stored_by_another_instance_needs_no_second_connection(
    pool: Pool, migrated_url: str
) -> None:
    """A pool of one connection doesn't block, and the process remembers the address."""
    app = AppHarness(pool)
    await app.order("a")
    await app.run()
    async with await open_pool(migrated_url, size=1) as only_one:
        tenants = Tenants(only_one)
        await tenants.load()
        await Tenants(pool).save_host(TENANT, ADDRESS)
        links = Links(UnavailableProjects(), tenants, prefix="/api/v1", fallback="http://nowhere")
        store = Store(only_one, lambda _: None)
        settlement = Settlement(SlotLimits(), links)
        async with asyncio.timeout(WAIT_SECONDS):
            await ApplyAvailability(store, settlement, app.clock).handle(
                TENANT, [Checksum("a")], {}
            )
        known = tenants.host(TENANT)

    responses = [
        orjson.loads(row["body"]) for row in await app.rows("select body from order_response")
    ]
    assert [response["status"] for response in responses] == ["SUBORDER_DONE", "DONE"]
    assert {
        response["downloadLink"].startswith(f"{ADDRESS}/api/v1/") for response in responses
    } == {True}
    assert known == ADDRESS
