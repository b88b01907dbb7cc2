"""Facts that the chapters require and no other file tests (rest.md 14, domain.md 20)."""

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest

from rs_order.sandbox.archive_folder import ArchiveHolding
from tests.acceptance.archives import ArchiveMaker
from tests.acceptance.platform import Platform
from tests.acceptance.shared_platform import EVE_01, new_user, until_rows
from tests.api.baskets import NOTHING, add, basket_of, dataset_path
from tests.api.downloading import files_of, ordered, until_state
from tests.api.given import given_order


@pytest.mark.parametrize(
    ("body", "numbers"),
    [
        ({"fileNamePattern": r"eve_0[13]\.txt"}, "13"),
        ({"fileTypes": ["RAWDATA"]}, "12345"),
        ({}, "12345"),
        ({"fileTypes": ["QUICKLOOK"]}, ""),
    ],
    ids=["pattern only", "types only", "empty filter", "no match"],
)
async def test_fact_8_filters_of_the_basket_choose_the_files(
    body: dict[str, Any], numbers: str, here: Platform
) -> None:
    """Fact 8: a filter may have a pattern, types or neither. No match ends as DONE_WITH_WARNING."""
    jane = new_user(here)
    async with here.client(jane) as client:
        basket = await add(client)
        await client.put(dataset_path(basket, "/updateFileFilters"), json=body)
        created = (await client.post("/user/orders", json={})).json()["content"]["id"]
    await until_rows(here, "select from orders where id = $1 and status like 'DONE%'", created)
    files = await files_of(here, created)
    (order,) = await here.rows("select status, message from orders where id = $1", created)

    assert {file["name"] for file in files} == {f"eve_0{number}.txt" for number in numbers}
    assert tuple(order) == (
        ("DONE", None) if numbers else ("DONE_WITH_WARNING", "No file match filters.")
    )


async def test_fact_12_equal_files_are_stored_once_and_all_downloaded(
    here: Platform, tmp_path: Path
) -> None:
    """Fact 12: two products have equal files. The zip has the file once, and both are DOWNLOADED."""
    maker = ArchiveMaker(tmp_path)
    (first,), (second,) = (maker.product("TWINS", name) for name in ("ONE", "TWO"))
    maker.give_same_content(first, second)
    maker.datasets["TWINS"]["products"][1]["files"][0]["filename"] = first
    (twins,) = ArchiveHolding.read(maker.write())
    here.sandbox.holdings.add(twins)
    jane = new_user(here)
    try:
        order_id = await ordered(here, jane, "dataset:TWINS")
        answer = await here.download(order_id, jane)
        files = await files_of(here, order_id)
        for file in files:
            await until_state(here, file["id"], "DOWNLOADED")
    finally:
        here.sandbox.holdings.remove("TWINS")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.namelist() == [first]
        assert archive.read(first) == maker.contents[first]

    assert [file["name"] for file in files] == [first, first]


@pytest.mark.parametrize("status", ["RUNNING", "PENDING", "PAUSED", "DONE"])
async def test_rest_14_an_order_is_removed_only_once_it_is_deleted(
    status: str, here: Platform
) -> None:
    """401 even for an owner whose role may remove (rest.md 14, pause / resume / delete / remove)."""
    jane = new_user(here)
    order = await given_order(here, jane, status, files="p" if status == "RUNNING" else "")
    async with here.client(jane, "PROJECT_ADMIN") as client:
        answer = await client.delete(f"/user/orders/remove/{order}")

    assert answer.status_code == 401
    assert answer.json() == {"messages": ["ORDER_MUST_BE_DELETED"]}


async def test_rest_14_a_pending_order_of_an_owner_is_found(here: Platform) -> None:
    """A search by owner and ``INCLUDE`` finds one of two orders (rest.md 14, search)."""
    jane = new_user(here)
    pending = await given_order(here, jane, "PENDING")
    await given_order(here, jane, "DONE")
    body = {"owner": jane, "statuses": {"values": ["PENDING"], "mode": "INCLUDE"}}
    async with here.client(new_user(here), "EXPLOIT") as client:
        page = (await client.post("/orders/search", json=body)).json()

    assert [item["content"]["id"] for item in page["content"]] == [pending]
    assert page["metadata"]["totalElements"] == 1


@pytest.mark.parametrize("queries", [[NOTHING], ["nosuchfield:1"]], ids=["no files", "an error"])
async def test_rest_14_the_basket_exists_after_an_automatic_order_failed(
    queries: list[str], here: Platform
) -> None:
    """The basket is unchanged, since the order has its own (decisions.md; rest.md 14, auto order)."""
    async with here.client(new_user(here)) as client:
        before = await add(client, EVE_01)
        answer = await client.post("/user/orders/apply", json={"queries": queries})

        assert answer.status_code == 422
        assert answer.json()["content"]["status"] == "FAILED"
        assert answer.json()["content"]["message"]
        assert await basket_of(client) == before
