"""Taking datasets and dated items out of the basket (rest.md 6.5, 14; domain.md 3.7)."""

from urllib.parse import quote

import pytest

from rs_order.sandbox.faults import Outage, OutageMode, Service
from tests.acceptance.platform import Platform
from tests.acceptance.shared_platform import EVE_01
from tests.api.baskets import (
    BASKET,
    CATALOG_FAILED,
    a_client,
    add,
    basket_of,
    content_of,
    dataset_path,
    totals_of,
)

AT = "2026-01-23T09:21:50.72Z"
LATER = "2026-01-23T09:21:51Z"


async def test_basket_delete_dataset_leaves_an_empty_basket(here: Platform) -> None:
    """Not 204: the basket exists and is empty (rest.md 14, basket delete)."""
    async with a_client(here) as client:
        basket = await add(client)
        emptied = content_of(await client.delete(dataset_path(basket)))

        assert emptied == {**basket, "datasetSelections": [], "quota": 0}
        assert await basket_of(client) == emptied


async def test_basket_delete_dataset_leaves_the_others(here: Platform) -> None:
    async with a_client(here) as client:
        eve = await add(client)
        both = await add(client, "dataset:GOES_XRS")
        left = content_of(await client.delete(dataset_path(eve)))

    assert [one["datasetLabel"] for one in both["datasetSelections"]] == [
        "GOES X-ray sensor",
        "SDO EVE irradiance",
    ]
    assert left["datasetSelections"] == both["datasetSelections"][:1]
    assert left["quota"] == 7


async def test_basket_delete_dated_item_by_its_date(here: Platform) -> None:
    """The path has the raw date, as the interface sends it. The rest is counted again.

    rest.md 14, basket delete.
    """
    async with a_client(here) as client:
        await add(client, selectionDate=AT)
        basket = await add(client, "productId:(EVE_05 OR EVE_ESP_2011046)", selectionDate=LATER)
        path = dataset_path(basket)
        left = content_of(await client.delete(f"{path}/{AT}"))
        emptied = content_of(await client.delete(f"{path}/{LATER}"))
    (dataset,) = left["datasetSelections"]

    assert [item["date"] for item in dataset["itemsSelections"]] == [LATER]
    assert totals_of(dataset) == (2, 3, 2 * 4159 + 89280, 3)
    assert (emptied["datasetSelections"], emptied["quota"]) == ([], 0)


@pytest.mark.parametrize(
    "date",
    [
        "2026-01-23T09:21:50.720Z",
        "2026-01-23T09:21:50.720000z",
        "2026-01-23T09:21:50.72",
        "2026-01-23T11:21:50.72+02:00",
        "2026-01-23T11:21:50.72%2B02:00",
        "2026-01-23T11:21:50.72%252B02:00",
        "2026-01-23T11:21:50.72%2002:00",
        "2026-01-23T04:21:50.72-05:00",
        "%222026-01-23T09:21:50.72Z%22",
        quote(quote('"2026-01-23T11:21:50.72+02:00"')),
        quote(AT, safe=""),
    ],
)
async def test_a_date_is_accepted_in_every_spelling(here: Platform, date: str) -> None:
    """Any UTC offset, with a plus or a space, with or without quotes, encoded once or twice."""
    async with a_client(here) as client:
        basket = await add(client, selectionDate=AT)
        answer = await client.delete(f"{dataset_path(basket)}/{date}")

    assert content_of(answer)["datasetSelections"] == []


@pytest.mark.parametrize(
    "date", ["yesterday", "2026-01-23", "1700000000", "2026-13-23T09:21:50Z", "%00", "%22%22"]
)
async def test_an_invalid_date_is_400(here: Platform, date: str) -> None:
    async with a_client(here) as client:
        basket = await add(client)
        answer = await client.delete(f"{dataset_path(basket)}/{date}")

        assert answer.status_code == 400
        assert answer.json()["messages"][0].startswith("itemsSelectionDate: ")
        assert await basket_of(client) == basket


async def test_unknown_dataset_or_date_changes_nothing(here: Platform) -> None:
    """200 with the basket as it is (B14, B15); 204 without a basket."""
    async with a_client(here) as client:
        for path in (f"{BASKET}/dataset/1", f"{BASKET}/dataset/1/{AT}"):
            assert (await client.delete(path)).status_code == 204

        basket = await add(client, selectionDate=AT)
        for path in (
            f"{BASKET}/dataset/-1",
            f"{BASKET}/dataset/-1/{AT}",
            f"{dataset_path(basket)}/{LATER}",
        ):
            assert content_of(await client.delete(path)) == basket

        assert (await client.delete(f"{BASKET}/dataset/x")).status_code == 400


@pytest.mark.parametrize("mode", [OutageMode.STATUS, OutageMode.DOWN])
async def test_w38_a_removal_that_cannot_be_counted_is_an_error(
    here: Platform, mode: OutageMode
) -> None:
    """The response is an error and nothing is removed. The removal works once the catalog answers."""
    async with a_client(here) as client:
        await add(client, EVE_01, selectionDate=AT)
        basket = await add(client, selectionDate=LATER)
        path = f"{dataset_path(basket)}/{LATER}"
        here.sandbox.faults.outages = {Service.CATALOG: Outage(mode=mode, status=500)}
        refused = await client.delete(path)
        left = await basket_of(client)
        here.sandbox.faults.outages = {}
        removed = content_of(await client.delete(path))

    if mode is OutageMode.STATUS:
        assert (refused.status_code, refused.json()) == (422, CATALOG_FAILED)
    else:
        assert refused.status_code == 503
        assert "rs-catalog gave no answer" in refused.json()["messages"][0]
    assert left == basket
    assert totals_of(removed["datasetSelections"][0]) == (1, 1, 4159, 1)


async def test_removing_keeps_filter_and_process(here: Platform) -> None:
    """Only the searches are removed. No limit is checked, since fewer files can't exceed one."""
    async with a_client(here) as client:
        await add(client, EVE_01, selectionDate=AT)
        basket = await add(client, selectionDate=LATER)
        chosen = {"fileTypes": ["RAWDATA"], "fileNamePattern": "eve.*"}
        await client.put(dataset_path(basket, "/updateFileFilters"), json=chosen)
        left = content_of(await client.delete(f"{dataset_path(basket)}/{LATER}"))
    (dataset,) = left["datasetSelections"]

    assert dataset["fileSelectionDescription"] == chosen
    assert totals_of(dataset) == (1, 1, 4159, 1)
