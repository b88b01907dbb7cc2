"""Reading and emptying the basket (rest.md 6, 14)."""

import asyncio
from pathlib import Path

import pytest

from rs_order.sandbox.archive_folder import ArchiveHolding
from tests.acceptance.archives import ArchiveMaker
from tests.acceptance.platform import Platform
from tests.acceptance.shared_platform import EVE_01, new_user
from tests.api.baskets import (
    BASKET,
    EVE,
    SELECTION,
    a_client,
    add,
    basket_of,
    content_of,
    dataset_path,
    totals_of,
)


async def test_basket_get_no_basket_is_204(here: Platform) -> None:
    """Before the first selection the response has no body (rest.md 14, basket get)."""
    async with a_client(here) as client:
        answer = await client.get(BASKET)

    assert (answer.status_code, answer.content) == (204, b"")


async def test_basket_get_quota_counts_what_storage_holds_at_three_levels(
    here: Platform, tmp_path: Path
) -> None:
    """Of 10 RAWDATA files 8 are not external: item, dataset and basket have the quota 8.

    rest.md 14, basket get.
    """
    maker = ArchiveMaker(tmp_path)
    maker.product("MIXED", "INTERNAL", 8, size=100)
    maker.product("MIXED", "EXTERNAL", 2, location="external")
    (mixed,) = ArchiveHolding.read(maker.write())
    here.sandbox.holdings.add(mixed)
    async with a_client(here) as client:
        basket = await add(client, "dataset:MIXED")
        read = await basket_of(client)
    here.sandbox.holdings.remove("MIXED")
    (dataset,) = basket["datasetSelections"]
    (item,) = dataset["itemsSelections"]

    assert read == basket
    assert basket["quota"] == 8
    assert totals_of(dataset) == totals_of(item) == (2, 10, 800, 8)


async def test_basket_has_the_documented_members(here: Platform) -> None:
    """It equals the example of rest.md 5.1; absent members stay absent."""
    jane = new_user(here)
    async with here.client(jane) as client:
        await add(client, EVE_01, selectionDate="2026-01-23T10:21:50.720512+01:00")
        basket = await basket_of(client)
    (dataset,) = basket.pop("datasetSelections")
    (item,) = dataset.pop("itemsSelections")

    assert basket == {"id": basket["id"], "owner": jane, "quota": 1}
    assert dataset == {
        "id": dataset["id"],
        "datasetIpid": EVE,
        "datasetLabel": "SDO EVE irradiance",
        "objectsCount": 1,
        "filesCount": 1,
        "filesSize": 4159,
        "quota": 1,
    }
    assert item == {
        "date": "2026-01-23T09:21:50.720512Z",
        "selectionRequest": {
            "engineType": "legacy",
            "searchParameters": {"q": [EVE_01]},
            "selectionDate": "2026-01-23T09:21:50.720512Z",
        },
        "objectsCount": 1,
        "filesCount": 1,
        "filesSize": 4159,
        "quota": 1,
    }


async def test_basket_delete_whole_basket_is_204(here: Platform) -> None:
    """204 with or without a basket (rest.md 14, basket delete)."""
    async with a_client(here) as client:
        await add(client)
        for _ in range(2):
            answer = await client.delete(BASKET)

            assert (answer.status_code, answer.content) == (204, b"")

        assert (await client.get(BASKET)).status_code == 204


async def test_baskets_of_others_cannot_be_reached(here: Platform) -> None:
    """Another user, or the same user in another project, can't see or change it (promise 7)."""
    jane = new_user(here)
    async with (
        here.client(jane) as own,
        a_client(here) as other,
        here.client(jane, tenant="project2") as elsewhere,
    ):
        basket = await add(own)
        for stranger in (other, elsewhere):
            assert (await stranger.get(BASKET)).status_code == 204
            assert (await stranger.delete(BASKET)).status_code == 204
            assert (await stranger.delete(dataset_path(basket))).status_code == 204
            await add(stranger, EVE_01)
            filtered = dataset_path(basket, "/updateFileFilters")
            if stranger is other:
                assert (await stranger.put(filtered, json={})).status_code == 404

        assert await basket_of(own) == basket


async def test_w12_an_automatic_order_leaves_the_basket_alone(here: Platform) -> None:
    """The automatic order has its own basket (W12)."""
    jane = new_user(here)
    async with here.client(jane) as client:
        basket = await add(client)
        await here.peer.until_final(await here.peer.order(EVE_01, user=jane))

        assert await basket_of(client) == basket


@pytest.mark.parametrize("role", ["PUBLIC", "REGISTERED_USER", "EXPLOIT", "PROJECT_ADMIN"])
async def test_roles_that_may_have_a_basket(here: Platform, role: str) -> None:
    """Roles from REGISTERED_USER up, but not PUBLIC."""
    async with here.client(new_user(here), role) as client:
        answer = await client.get(BASKET)

    assert answer.status_code == (403 if role == "PUBLIC" else 204)


async def test_a_basket_keeps_its_id_when_its_selections_are_removed(here: Platform) -> None:
    """It keeps its id while it is edited. After a deletion the next basket has a new id."""
    async with a_client(here) as client:
        first = await add(client)
        emptied = content_of(await client.delete(dataset_path(first)))
        await client.delete(BASKET)
        second = await add(client)

    assert emptied["id"] == first["id"] != second["id"]


async def test_w8_two_adds_at_once_both_stay(here: Platform) -> None:
    """No write overwrites another (W8): one basket has all selections."""
    async with a_client(here) as client:
        await asyncio.gather(
            *(add(client, f"productId:EVE_0{number}") for number in range(1, 6)),
            add(client, "dataset:GOES_XRS"),
        )
        basket = await basket_of(client)
    goes, eve = basket["datasetSelections"]

    assert (goes["objectsCount"], eve["objectsCount"]) == (7, 5)
    assert len(eve["itemsSelections"]) == 5


async def test_a_basket_is_the_same_behind_the_public_prefix(here: Platform) -> None:
    async with a_client(here) as client:
        answer = await client.post(
            f"/api/v1/rs-order{SELECTION}", json={"engineType": "legacy", "searchParameters": {}}
        )

    assert content_of(answer)["datasetSelections"]
