"""Remote services that are down, slow or give bad responses: a request is retried, then FAILED."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from rs_order.app.consumers import STEPS_AT_ONCE
from rs_order.sandbox.faults import Faults, Outage, OutageMode, Service
from rs_order.sandbox.user_directory import User
from tests.acceptance.archives import ArchiveMaker
from tests.acceptance.peer import REQUESTS
from tests.acceptance.platform import TENANT, Platform, running_platform
from tests.acceptance.shared_platform import EVE_01, fence, new_user, until_rows
from tests.support.servers import FreshBroker

DONE = ["GRANTED", "SUBORDER_DONE", "DONE"]
EVERY_MODE = [
    Outage(mode=OutageMode.DOWN, calls=1),
    Outage(mode=OutageMode.STATUS, status=503, calls=1),
    Outage(mode=OutageMode.SLOW, seconds=0.3, calls=1),
    Outage(mode=OutageMode.NONSENSE, calls=1),
    Outage(mode=OutageMode.GARBAGE, calls=1),
    Outage(mode=OutageMode.EMPTY, calls=1),
]


@pytest.mark.parametrize("outage", EVERY_MODE, ids=[str(outage.mode) for outage in EVERY_MODE])
@pytest.mark.parametrize("service", [Service.ADMIN, Service.CATALOG, Service.DAM])
async def test_a_request_survives_a_short_outage(
    service: Service, outage: Outage, platform: Platform
) -> None:
    """The call is retried, and each response is sent once."""
    platform.sandbox.faults.outages = {service: outage.model_copy()}
    correlation_id = await platform.peer.order(EVE_01, user=new_user(platform))
    await platform.peer.until_final(correlation_id)

    assert platform.sandbox.faults.outages[service].calls == 0

    await fence(platform)

    assert platform.peer.statuses(correlation_id) == DONE


async def test_a_slow_service_delays_nothing_else(broker: FreshBroker, database_url: str) -> None:
    """While all steps that call the catalog wait for it, an order still expires on time."""
    async with (
        running_platform(broker, database_url, faults=Faults(silence=True)) as platform,
        platform.service(),
    ):
        await platform.peer.order(EVE_01)
        await until_rows(platform, "select from orders where status = 'RUNNING'")
        platform.sandbox.faults.outages = {
            Service.CATALOG: Outage(mode=OutageMode.SLOW, seconds=10)
        }
        asked = platform.sandbox.calls.counters[Service.CATALOG]
        waiting = []
        for number in range(STEPS_AT_ONCE):
            waiting.append(await platform.peer.order(EVE_01, user=new_user(platform)))
            await platform.sandbox.calls.wait_for(Service.CATALOG, asked + number + 1)
        platform.clock.ahead = timedelta(hours=6.1)
        await until_rows(platform, "select from orders where status = 'EXPIRED'")
        platform.sandbox.faults.outages = {}

        assert [platform.peer.statuses(correlation_id) for correlation_id in waiting] == [
            [] for _ in waiting
        ]


async def test_a_request_waits_for_the_address_of_its_project(
    broker: FreshBroker, database_url: str
) -> None:
    """Links need it: the call of rs-admin-instance is retried, then FAILED; a known address is cached."""
    async with (
        running_platform(broker, database_url, remote_deadline=2) as platform,
        platform.service(),
    ):
        platform.sandbox.faults.outages = {Service.ADMIN_INSTANCE: Outage(mode=OutageMode.DOWN)}
        failed = await platform.peer.until_final(await platform.peer.order(EVE_01))
        platform.sandbox.faults.outages = {
            Service.ADMIN_INSTANCE: Outage(mode=OutageMode.NONSENSE, calls=1)
        }
        waited = await platform.peer.order(EVE_01)
        await platform.peer.until_final(waited)
        asked = platform.sandbox.calls.counters[Service.ADMIN_INSTANCE]
        platform.sandbox.faults.outages = {Service.ADMIN_INSTANCE: Outage(mode=OutageMode.DOWN)}
        later = await platform.peer.order(EVE_01, user="john@example.org")
        await platform.peer.until_final(later)

        assert failed.body["message"] == (
            "RemoteServiceException: rs-admin-instance gave no usable answer for 2 s. "
            "Please send the request again later."
        )
        assert platform.peer.statuses(waited) == DONE
        assert platform.peer.statuses(later) == DONE
        assert platform.sandbox.calls.counters[Service.ADMIN_INSTANCE] == asked


@pytest.mark.parametrize(
    ("service", "mode"),
    [
        (Service.ADMIN, OutageMode.DOWN),
        (Service.CATALOG, OutageMode.STATUS),
    ],
)
async def test_a_permanent_outage_fails_the_request_at_the_deadline(
    service: Service, mode: OutageMode, platform: Platform
) -> None:
    """One FAILED that names the service, and no further response when the service is available again."""
    platform.sandbox.faults.outages = {service: Outage(mode=mode)}
    correlation_id = await platform.peer.order(EVE_01, user=new_user(platform))
    final = await platform.peer.until_final(correlation_id)
    platform.sandbox.faults.outages = {}
    await fence(platform)

    assert final.body == {
        "status": "FAILED",
        "correlationId": correlation_id,
        "errorType": "INTERNAL_ERROR",
        "message": f"RemoteServiceException: {service} gave no usable answer for 2 s. "
        "Please send the request again later.",
    }
    assert platform.peer.statuses(correlation_id) == ["FAILED"]


async def test_a_rejected_search_is_final(platform: Platform) -> None:
    """A 4xx of the catalog isn't retried: FAILED with the text of amqp.md 2.4."""
    platform.sandbox.faults.outages = {Service.CATALOG: Outage(mode=OutageMode.STATUS, status=400)}
    before = platform.sandbox.calls.counters.get(Service.CATALOG, 0)
    correlation_id = await platform.peer.order(EVE_01, user=new_user(platform))
    final = await platform.peer.until_final(correlation_id)

    assert final.body["message"].startswith("CatalogSearchException: Error applying search")
    assert final.body["errorType"] == "INTERNAL_ERROR"
    assert platform.sandbox.calls.counters[Service.CATALOG] == before + 1


async def test_w3_an_order_whose_dataset_can_never_be_read_fails(platform: Platform) -> None:
    """The granted order is FAILED at the deadline, without files and with a message."""
    platform.sandbox.faults.outages = {Service.DAM: Outage(mode=OutageMode.STATUS, status=500)}
    correlation_id = await platform.peer.order(EVE_01, user=new_user(platform))
    final = await platform.peer.until_final(correlation_id)
    (order,) = await platform.rows(
        "select status, message, sub_orders from orders where id = $1", final.body["orderId"]
    )

    assert platform.peer.statuses(correlation_id) == ["GRANTED", "FAILED"]
    assert final.body["totalSubOrders"] == 0
    assert (order["status"], order["sub_orders"]) == ("FAILED", 0)
    assert "rs-dam" in order["message"]


async def test_an_outage_between_two_pages_neither_loses_nor_repeats_files(
    broker: FreshBroker, database_url: str, tmp_path: Path
) -> None:
    """The completion continues at the same page; after a permanent outage its files are deleted."""
    maker = ArchiveMaker(tmp_path)
    for number in range(6):
        maker.product("DS", f"P{number}", 2)
    async with (
        running_platform(
            broker, database_url, archive=maker.write(), batch_size=1, remote_deadline=2
        ) as platform,
        platform.service(),
    ):
        recovered, _ = await _order_with_outage_after_two_pages(platform, calls=1)
        await platform.peer.until_final(recovered)
        files = await platform.rows("select order_id, name from data_file order by name")

        assert platform.sandbox.faults.outages[Service.CATALOG].calls == 0
        assert platform.peer.statuses(recovered) == DONE
        assert [row["name"] for row in files] == sorted(maker.contents)

        failed, order_id = await _order_with_outage_after_two_pages(platform, calls=None)
        final = await platform.peer.until_final(failed)
        await until_rows(
            platform,
            "select 1 where not exists (select 1 from data_file where order_id = $1)",
            order_id,
        )
        (order,) = await platform.rows("select status, message from orders where id = $1", order_id)

        assert platform.peer.statuses(failed) == ["GRANTED", "FAILED"]
        assert (final.body["totalSubOrders"], "downloadLink" in final.body) == (0, False)
        assert dict(order) == {
            "status": "FAILED",
            "message": "Error trying to search data objects from catalog.",
        }


async def _order_with_outage_after_two_pages(
    platform: Platform, *, calls: int | None
) -> tuple[str, int]:
    """Order, and let the catalog close connections once two pages are stored."""
    platform.sandbox.faults.outages = {Service.CATALOG: Outage(mode=OutageMode.SLOW, seconds=0.3)}
    correlation_id = await platform.peer.order("*", user=new_user(platform))
    order_id = (await platform.peer.until(correlation_id, "GRANTED")).body["orderId"]
    await until_rows(
        platform, "select 1 from data_file where order_id = $1 having count(*) >= 4", order_id
    )
    platform.sandbox.faults.outages = {Service.CATALOG: Outage(mode=OutageMode.DOWN, calls=calls)}
    (stored,) = await platform.rows(
        "select count(*) as files from data_file where order_id = $1", order_id
    )

    assert 4 <= stored["files"] < 12
    return correlation_id, order_id


async def test_w34_a_decision_about_a_user_holds_for_one_tenant(
    broker: FreshBroker, database_url: str
) -> None:
    """A user known to one tenant stays unknown to another, although both results are cached (W34)."""
    async with (
        running_platform(broker, database_url, tenants=[TENANT, "project2"]) as platform,
        platform.service(),
    ):
        platform.sandbox.directory.put(User(email="local@example.org", tenants={TENANT}))
        answers = []
        for number, tenant in enumerate(["project2", TENANT, "project2"]):
            body = {
                "correlationId": f"tenant-{number}",
                "queries": [EVE_01],
                "user": "local@example.org",
            }
            await platform.peer.send(
                REQUESTS, json.dumps(body).encode(), {"regards.tenant": tenant}
            )
            answers.append(await platform.peer.until_final(f"tenant-{number}"))

        calls = platform.sandbox.calls.recent(Service.ADMIN)
        assert [answer.status for answer in answers] == ["DENIED", "DONE", "DENIED"]
        assert [answer.body.get("errorType") for answer in answers] == [
            "FORBIDDEN",
            None,
            "FORBIDDEN",
        ]
        assert len([call for call in calls if call.path.startswith("/users/")]) == 2
