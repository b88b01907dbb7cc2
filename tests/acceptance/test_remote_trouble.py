"""Remote services that are down, slow, or answer nonsense: a request waits, then gets its FAILED."""

from pathlib import Path
from typing import Any

import pytest

from rs_order.sandbox.faults import Outage, OutageMode, Service
from tests.acceptance.archives import ArchiveMaker
from tests.acceptance.guests import EVE_01, fence, guest
from tests.acceptance.platform import Platform, platform
from tests.support.servers import FreshBroker

DONE = ["GRANTED", "SUBORDER_DONE", "DONE"]
EVERY_MODE = [
    Outage(mode=OutageMode.DOWN, calls=1),
    Outage(mode=OutageMode.STATUS, status=503, calls=1),
    Outage(mode=OutageMode.SLOW, seconds=0.3, calls=1),
    Outage(mode=OutageMode.NONSENSE, calls=1),
    Outage(mode=OutageMode.GARBAGE, calls=1),
]


@pytest.mark.parametrize("outage", EVERY_MODE, ids=[str(outage.mode) for outage in EVERY_MODE])
@pytest.mark.parametrize(
    "service", [Service.ADMIN, Service.CATALOG, Service.DAM, Service.ADMIN_INSTANCE]
)
async def test_a_request_outlives_a_short_trouble(
    service: Service, outage: Outage, here: Platform
) -> None:
    """It is asked again, and each response is told once."""
    here.sandbox.faults.outages = {service: outage.model_copy()}
    correlation_id = await here.peer.order(EVE_01, user=guest(here))
    await here.peer.until_final(correlation_id)
    await fence(here)

    assert here.peer.statuses(correlation_id) == DONE


@pytest.mark.parametrize(
    ("service", "mode"),
    [
        (Service.ADMIN, OutageMode.DOWN),
        (Service.CATALOG, OutageMode.STATUS),
    ],
)
async def test_a_trouble_without_end_fails_the_request_at_the_deadline(
    service: Service, mode: OutageMode, here: Platform
) -> None:
    """One FAILED that names the service, and nothing after it, also when the service is back."""
    here.sandbox.faults.outages = {service: Outage(mode=mode)}
    correlation_id = await here.peer.order(EVE_01, user=guest(here))
    final = await here.peer.until_final(correlation_id)
    here.sandbox.faults.outages = {}
    await fence(here)

    assert final.body == {
        "status": "FAILED",
        "correlationId": correlation_id,
        "errorType": "INTERNAL_ERROR",
        "message": f"RemoteServiceException: {service} gave no usable answer for 2 s. "
        "Please send the request again later.",
    }
    assert here.peer.statuses(correlation_id) == ["FAILED"]


async def test_a_catalog_that_refuses_is_a_verdict(here: Platform) -> None:
    """A 4xx is not asked again: FAILED with the text of amqp.md 2.4."""
    here.sandbox.faults.outages = {Service.CATALOG: Outage(mode=OutageMode.STATUS, status=400)}
    before = here.sandbox.calls.counters.get(Service.CATALOG, 0)
    correlation_id = await here.peer.order(EVE_01, user=guest(here))
    final = await here.peer.until_final(correlation_id)

    assert final.body["message"].startswith("CatalogSearchException: Error applying search")
    assert final.body["errorType"] == "INTERNAL_ERROR"
    assert here.sandbox.calls.counters[Service.CATALOG] == before + 1


async def test_an_order_whose_dataset_can_never_be_read_fails(here: Platform) -> None:
    """It was granted; at the deadline it ends FAILED, without a file, and says why."""
    here.sandbox.faults.outages = {Service.DAM: Outage(mode=OutageMode.STATUS, status=500)}
    correlation_id = await here.peer.order(EVE_01, user=guest(here))
    final = await here.peer.until_final(correlation_id)
    (order,) = await here.rows(
        "select status, message, sub_orders from orders where id = $1", final.body["orderId"]
    )

    assert here.peer.statuses(correlation_id) == ["GRANTED", "FAILED"]
    assert final.body["totalSubOrders"] == 0
    assert (order["status"], order["sub_orders"]) == ("FAILED", 0)
    assert "rs-dam" in order["message"]


async def test_a_trouble_between_two_pages_loses_and_repeats_no_file(
    broker: FreshBroker, database_url: str, tmp_path: Path
) -> None:
    """The completion waits at its page and goes on there; every file is ordered once."""
    maker = ArchiveMaker(tmp_path)
    for number in range(6):
        maker.product("DS", f"P{number}", 2)
    async with (
        platform(broker, database_url, archive=maker.write(), batch_size=2) as here,
        here.service(),
    ):
        here.sandbox.faults.outages = {
            Service.DAM: Outage(mode=OutageMode.SLOW, seconds=0.5, calls=1)
        }
        correlation_id = await here.peer.order("*")
        await here.sandbox.calls.wait_for(Service.DAM, 1)
        here.sandbox.faults.outages = {
            Service.CATALOG: Outage(mode=OutageMode.STATUS, status=503, calls=2)
        }
        final = await here.peer.until_final(correlation_id)
        names: list[Any] = await here.rows("select name from data_file order by name")

        assert final.status == "DONE"
        assert [row["name"] for row in names] == sorted(maker.contents)


async def test_a_verdict_on_a_user_is_that_of_one_tenant(here: Platform) -> None:
    """Unknown is remembered for 30 s, and trouble of rs-admin is no verdict at all (W34)."""
    user = f"late-{guest(here)}"
    first = await here.peer.until_final(await here.peer.order(EVE_01, user=user))
    guest(here, user)
    again = await here.peer.until_final(await here.peer.order(EVE_01, user=user))

    assert first.body["errorType"] == "FORBIDDEN"
    assert again.body["errorType"] == "FORBIDDEN"

    here.sandbox.faults.outages = {Service.ADMIN: Outage(mode=OutageMode.STATUS, calls=1)}
    other = await here.peer.order(EVE_01, user=guest(here))
    await here.peer.until_final(other)

    assert here.peer.statuses(other) == DONE
