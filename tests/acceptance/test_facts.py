"""The acceptance facts of domain.md section 20 that apply to automatic orders."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from rs_order.demo.servers.lifecycle import Servers
from rs_order.sandbox.faults import Faults
from tests.acceptance.archives import ArchiveMaker, twelve_files
from tests.acceptance.platform import Platform, running_platform
from tests.acceptance.shared_platform import until_rows
from tests.support.reused_broker import ReusedBroker
from tests.support.servers import FreshBroker, fresh_database


async def test_fact_1_two_sub_orders_run_at_once_and_the_order_is_done_without_a_download(
    broker: FreshBroker, database_url: str, tmp_path: Path
) -> None:
    """Fact 1: 12 files in 1 MB buckets make two storage sub-orders; with limit 2 both run at once."""
    archive = twelve_files(tmp_path)
    async with (
        running_platform(
            broker, database_url, archive=archive.write(), files_bucket_size_mb=1
        ) as platform,
        platform.service(),
    ):
        correlation_id = await platform.peer.order("*")
        final = await platform.peer.until_final(correlation_id)

        assert platform.peer.statuses(correlation_id)[0] == "GRANTED"
        assert platform.peer.statuses(correlation_id).count("SUBORDER_DONE") == 2
        assert final.status == "DONE"
        assert final.body["totalSubOrders"] == 2
        assert [row["asks"] for row in await platform.rows("select asks from sub_order")] == [1, 1]
        (order,) = await platform.rows(
            "select status, available_files, downloaded_files from orders"
        )
        assert dict(order) == {"status": "DONE", "available_files": 12, "downloaded_files": 0}


async def test_fact_2_a_download_lets_the_rest_of_the_order_run(
    broker: FreshBroker, database_url: str, tmp_path: Path
) -> None:
    """Fact 2: two datasets, limit 2: the order waits for a download; after the zip the rest runs."""
    maker = ArchiveMaker(tmp_path)
    for dataset in ("DS1", "DS2"):
        for number in range(2):
            maker.product(dataset, f"{dataset}_{number}", size=1024 * 1024)
    async with (
        running_platform(
            broker, database_url, archive=maker.write(), files_bucket_size_mb=1
        ) as platform,
        platform.service(),
    ):
        correlation_id = await platform.peer.order("*")
        order_id = (await platform.peer.until(correlation_id, "SUBORDER_DONE", 2)).body["orderId"]
        (waiting,) = await platform.rows("select status, waiting_sub_orders from orders")

        assert dict(waiting) == {"status": "RUNNING", "waiting_sub_orders": 2}

        first = await platform.zip_of(order_id)
        final = await platform.peer.until_final(correlation_id)
        second = await platform.zip_of(order_id)

        assert final.status == "DONE"
        assert {**first, **second} == maker.contents
        await until_rows(
            platform,
            "select from orders where waiting_sub_orders = 0 and downloaded_files = 4",
        )


async def test_fact_3_with_limit_1_sub_orders_come_one_after_the_other(
    broker: FreshBroker, database_url: str, tmp_path: Path
) -> None:
    """Fact 3: one SUBORDER_DONE before the download, a second one and DONE after it, with id and link."""
    archive = twelve_files(tmp_path)
    async with (
        running_platform(
            broker,
            database_url,
            archive=archive.write(),
            files_bucket_size_mb=1,
            max_storage_files_jobs_per_user=1,
        ) as platform,
        platform.service(),
    ):
        correlation_id = await platform.peer.order("*")
        first = await platform.peer.until(correlation_id, "SUBORDER_DONE")
        order_id = first.body["orderId"]
        states = await platform.rows("select state from sub_order order by state")

        assert platform.peer.statuses(correlation_id) == ["GRANTED", "SUBORDER_DONE"]
        assert [row["state"] for row in states] == ["READY", "WAITING"]

        await platform.zip_of(order_id)
        final = await platform.peer.until_final(correlation_id)

        assert platform.peer.statuses(correlation_id) == [
            "GRANTED",
            "SUBORDER_DONE",
            "SUBORDER_DONE",
            "DONE",
        ]
        assert final.body == {
            "status": "DONE",
            "orderId": order_id,
            "correlationId": correlation_id,
            "message": "Order of user jane@example.org is finished",
            "downloadLink": f"http://localhost:9043/api/v1/rs-order/user/orders/{order_id}/download",
            "totalSubOrders": 2,
        }
        assert {one.correlation_id for one in platform.peer.received} == {correlation_id}


async def test_fact_4_an_order_without_files_ends_with_one_failed_response(
    broker: FreshBroker, database_url: str, tmp_path: Path
) -> None:
    """Fact 4: no file passes the filters: DONE_WITH_WARNING, and a FAILED response with a link."""
    archive = twelve_files(tmp_path)
    async with (
        running_platform(broker, database_url, archive=archive.write()) as platform,
        platform.service(),
    ):
        correlation_id = await platform.peer.order("*", filters={"dataTypes": ["QUICKLOOK"]})
        final = await platform.peer.until_final(correlation_id)
        order_id = final.body["orderId"]
        (order,) = await platform.rows("select status, message from orders")

        assert final.body == {
            "status": "FAILED",
            "orderId": order_id,
            "correlationId": correlation_id,
            "message": "Order of user jane@example.org is finished with some warnings.",
            "downloadLink": f"http://localhost:9043/api/v1/rs-order/user/orders/{order_id}/download",
            "errorType": "INTERNAL_ERROR",
            "totalSubOrders": 0,
        }
        assert platform.peer.statuses(correlation_id) == ["GRANTED", "FAILED"]
        assert dict(order) == {
            "status": "DONE_WITH_WARNING",
            "message": "No file match filters.",
        }


@pytest.fixture(scope="module")
async def four_files(
    servers: Servers,
    _database_admin: asyncpg.Connection,
    _reused_broker: ReusedBroker,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Platform]:
    """Two products of raw data and a quicklook, no slot limit; one deployment for all filters."""
    maker = ArchiveMaker(tmp_path_factory.mktemp("four-files"))
    maker.product("DS", "A", 2)
    maker.product("DS", "B", 1)
    maker.product("DS", "Q", 1, data_type="QUICKLOOK_MD")
    async with (
        fresh_database(_database_admin, servers.database_url) as database_url,
        _reused_broker.virtual_hosts() as broker,
        running_platform(
            broker, database_url, archive=maker.write(), max_storage_files_jobs_per_user=0
        ) as platform,
        platform.service(),
    ):
        yield platform


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"dataTypes": ["RAWDATA"]}, {"A_0.dat", "A_1.dat", "B_0.dat"}),
        ({"dataTypes": ["QUICKLOOK"]}, {"Q_0.dat"}),
        ({"dataTypes": ["RAWDATA", "QUICKLOOK"]}, {"A_0.dat", "A_1.dat", "B_0.dat", "Q_0.dat"}),
        ({"dataTypes": ["RAWDATA"], "filenameRegExp": "A_.*"}, {"A_0.dat", "A_1.dat"}),
        ({"dataTypes": ["RAWDATA"], "filenameRegExp": "A"}, None),
        ({"dataTypes": ["RAWDATA"], "filenameRegExp": "  "}, {"A_0.dat", "A_1.dat", "B_0.dat"}),
        ({"dataTypes": ["RAWDATA"], "filenameRegExp": ""}, {"A_0.dat", "A_1.dat", "B_0.dat"}),
        (None, {"A_0.dat", "A_1.dat", "B_0.dat", "Q_0.dat"}),
    ],
    ids=["raw", "quicklook", "both", "pattern", "part of a name", "blank", "empty", "none"],
)
async def test_fact_8_filters_choose_the_files(
    filters: dict[str, Any] | None, expected: set[str] | None, four_files: Platform
) -> None:
    """Fact 8: by type and by the whole name; an order without files ends with a warning."""
    platform = four_files
    correlation_id = await platform.peer.order("*", filters=filters)
    final = await platform.peer.until_final(correlation_id)
    order_id = final.body["orderId"]
    names = await platform.rows("select name from data_file where order_id = $1", order_id)
    (order,) = await platform.rows("select status, message from orders where id = $1", order_id)

    assert final.status == ("DONE" if expected else "FAILED")
    assert {row["name"] for row in names} == (expected or set())
    assert tuple(order) == (
        ("DONE", None) if expected else ("DONE_WITH_WARNING", "No file match filters.")
    )


async def test_fact_10_all_files_unavailable_is_failed(
    broker: FreshBroker, database_url: str, tmp_path: Path
) -> None:
    """Fact 10: 12 errors, nothing to download, FAILED without a link."""
    archive = twelve_files(tmp_path)
    folder = archive.write()
    errors = {archive.checksum(name): "tape is broken" for name in archive.contents}
    async with (
        running_platform(
            broker, database_url, archive=folder, faults=Faults(storage_errors=errors)
        ) as platform,
        platform.service(),
    ):
        correlation_id = await platform.peer.order("*")
        final = await platform.peer.until_final(correlation_id)
        (order,) = await platform.rows("select status, error_files, pending_files from orders")
        reasons = await platform.rows("select distinct reason from data_file")

        assert platform.peer.statuses(correlation_id) == ["GRANTED", "FAILED"]
        assert final.body == {
            "status": "FAILED",
            "orderId": final.body["orderId"],
            "correlationId": correlation_id,
            "message": "Order of user jane@example.org is finished with errors. "
            "One or many files could not be retrieved.",
            "errorType": "INTERNAL_ERROR",
            "errors": 12,
            "totalSubOrders": 1,
        }
        assert dict(order) == {"status": "FAILED", "error_files": 12, "pending_files": 0}
        assert [row["reason"] for row in reasons] == ["tape is broken"]
        assert (await platform.download(final.body["orderId"])).status_code == 204
