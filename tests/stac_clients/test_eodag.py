"""eodag searches, orders, polls and downloads with the configuration that the service gives (S-24)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median

import pytest

from rs_order.demo.servers.private_resources import free_ports
from rs_order.sandbox.faults import Outage, OutageMode, Service
from rs_order.sandbox.synthetic import SyntheticDataset
from tests.acceptance.platform import Platform
from tests.acceptance.shared_platform import md5_of, until_rows
from tests.stac_clients.conftest import Eodag
from tests.support.stac_clients import files_below

EVE_01 = "URN:AIP:DATA:project1:aa75eb60-f943-521d-a594-fcab7e7cfcc8:V1"
FIFTY = 50


async def orders_of(user: Eodag) -> list[int]:
    rows = await user.here.rows("select id from orders where owner = $1 order by id", user.email)
    return [row["id"] for row in rows]


async def test_search_order_poll_and_download(jane: Eodag) -> None:
    """The unpacked folder has exactly the files of the product, and they are whole."""
    found = await jane.run("search", collection="SDO_EVE", count=True)
    seen = await jane.run("download", collection="SDO_EVE", id=EVE_01)
    (product,), (path,) = seen["products"], seen["paths"]
    (order,) = await orders_of(jane)

    assert found["matched"] == len(found["products"]) == 6
    assert {one["order:status"] for one in found["products"]} == {"orderable"}
    assert product["id"] == EVE_01
    assert int(product["eodag:order_id"]) == order
    assert product["eodag:order_status"] == "succeeded"
    assert Path(path).name == "EVE_01"
    assert files_below(path) == {"eve_01.txt": md5_of("eve_01.txt")}


async def test_only_orders(jane: Eodag) -> None:
    """Each returns within two seconds, also if all files are on tape. A token does for an account."""
    jane.have_token()
    jane.here.sandbox.faults.silence = True
    seen = await jane.run("order", collection="SDO_EVE")

    assert "products" in seen, seen
    assert len(seen["products"]) == len(seen["seconds"]) == 6
    assert sorted(int(one["eodag:order_id"]) for one in seen["products"]) == await orders_of(jane)
    assert median(seen["seconds"]) < 2


async def test_a_tape_that_takes_longer_than_eodag_waits(jane: Eodag) -> None:
    """Eodag gives up; the run of the next day finds the order of the first, and makes no second one (S-8)."""
    jane.here.sandbox.faults.silence = True
    first = await jane.run("download", collection="SDO_EVE", id=EVE_01)
    (order,) = await orders_of(jane)
    jane.here.sandbox.restores.release()
    await until_rows(jane.here, "select from orders where id = $1 and status = 'DONE'", order)
    second = await jane.run("download", collection="SDO_EVE", id=EVE_01)

    assert first["error"] == "NotAvailableError"
    assert await orders_of(jane) == [order]
    assert files_below(second["paths"][0]) == {"eve_01.txt": md5_of("eve_01.txt")}


async def test_a_download_on_another_computer(jane: Eodag) -> None:
    """Everything was delivered before, and can be downloaded again."""
    await jane.run("download", collection="SDO_EVE", id=EVE_01)
    (order,) = await orders_of(jane)
    await until_rows(jane.here, "select from orders where id = $1 and downloaded_files = 1", order)
    for file in jane.downloads.rglob("*"):
        if file.is_file():
            file.unlink()
    seen = await jane.run("download", collection="SDO_EVE", id=EVE_01)

    assert await orders_of(jane) == [order]
    assert files_below(seen["paths"][0]) == {"eve_01.txt": md5_of("eve_01.txt")}


async def test_an_order_that_fails(jane: Eodag) -> None:
    """Eodag shows the sentence that says why (S-12)."""
    broken = md5_of("eve_01.txt")
    jane.here.sandbox.faults.storage_errors = {broken: "the tape is broken"}
    seen = await jane.run("download", collection="SDO_EVE", id=EVE_01)

    assert seen["error"] == "DownloadError"
    assert "Storage can't deliver the files. For example eve_01.txt: " in seen["message"]
    assert "the tape is broken" in seen["message"]


@pytest.mark.parametrize(
    "outage",
    [Outage(mode=OutageMode.DOWN), Outage(mode=OutageMode.SLOW, seconds=30)],
    ids=["away", "slow"],
)
async def test_the_catalog_fails_after_the_search(outage: Outage, jane: Eodag) -> None:
    """Eodag shows what happened, and that nothing was ordered."""
    await jane.run("search", collection="SDO_EVE", id=EVE_01)
    jane.here.sandbox.faults.outages[Service.CATALOG] = outage
    seen = await jane.run("order")

    assert seen["error"] == "DownloadError"
    assert "The catalog gave no usable answer; nothing was ordered." in seen["message"]
    assert await orders_of(jane) == []


async def test_an_item_that_does_not_exist(jane: Eodag) -> None:
    """Eodag shows which one."""
    await jane.run("search", collection="SDO_EVE", id=EVE_01)
    kept = jane.downloads / "found.geojson"
    gone = EVE_01.replace("aa75eb60", "00000000")
    kept.write_text(kept.read_text(encoding="utf-8").replace(EVE_01, gone), encoding="utf-8")
    seen = await jane.run("order")

    assert seen["error"] == "DownloadError"
    assert f"There is no RAWDATA that you may order of {gone}." in seen["message"]


async def test_download_all(jane: Eodag) -> None:
    """50 products become 50 orders, and each is downloaded."""
    await jane.here.sandbox.add_dataset(SyntheticDataset(name="FIFTY", products=FIFTY, size=1000))
    seen = await jane.run("download_all", collection="FIFTY", items_per_page=FIFTY)

    assert len(seen["paths"]) == FIFTY
    assert len(await orders_of(jane)) == FIFTY
    assert all(files_below(path) for path in seen["paths"])


async def test_an_instance_that_dies_between_two_polls(jane: Eodag) -> None:
    """That run ends with an error; the next one goes on with the same order."""
    here, own_port = jane.here, jane.here.port
    (port,) = free_ports(1)
    configuration = jane.home / ".config/eodag/eodag.yml"
    text = configuration.read_text(encoding="utf-8")
    configuration.write_text(text.replace(f":{own_port}/", f":{port}/"), encoding="utf-8")
    here.sandbox.faults.silence = True
    async with instance(here, port):
        running = asyncio.create_task(jane.run("download", collection="SDO_EVE", id=EVE_01))
        await until_rows(here, "select from orders where owner = $1", jane.email)
    first = await running
    (order,) = await orders_of(jane)
    here.sandbox.restores.release()
    async with instance(here, port):
        second = await jane.run("download", collection="SDO_EVE", id=EVE_01)

    assert first["error"]
    assert await orders_of(jane) == [order]
    assert files_below(second["paths"][0]) == {"eve_01.txt": md5_of("eve_01.txt")}


@asynccontextmanager
async def instance(here: Platform, port: int) -> AsyncIterator[None]:
    """Run a second instance of the service at this port."""
    first = here.port
    async with here.service(http_port=port):
        here.port = first
        yield
