"""File filters of datasets of the basket (rest.md 6.4, 14; domain.md 3.6)."""

from typing import Any

import pytest

from tests.acceptance.platform import Platform
from tests.api.baskets import BASKET, a_client, add, basket_of, content_of, dataset_path

PATH = "/updateFileFilters"


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        ({"fileNamePattern": ".*\\.txt"}, {"fileTypes": [], "fileNamePattern": ".*\\.txt"}),
        ({"fileTypes": ["QUICKLOOK", "RAWDATA"]}, {"fileTypes": ["QUICKLOOK", "RAWDATA"]}),
        ({"fileTypes": ["RAWDATA", "AIP", None, "RAWDATA"]}, {"fileTypes": ["RAWDATA"]}),
        ({"fileTypes": [], "fileNamePattern": ""}, {"fileTypes": [], "fileNamePattern": ""}),
        ({"fileTypes": None, "fileNamePattern": None}, {"fileTypes": []}),
        ({}, {"fileTypes": []}),
    ],
)
async def test_basket_filters_are_set_and_echoed(
    here: Platform, body: dict[str, Any], kept: dict[str, Any]
) -> None:
    """Absent types restrict nothing, and the counts don't change (rest.md 14, basket filters)."""
    async with a_client(here) as client:
        basket = await add(client)
        filtered = content_of(await client.put(dataset_path(basket, PATH), json=body))
        read = await basket_of(client)
    (dataset,) = filtered["datasetSelections"]

    assert dataset.pop("fileSelectionDescription") == kept
    assert filtered == basket
    assert read["datasetSelections"][0]["fileSelectionDescription"] == kept


@pytest.mark.parametrize("nothing", [b"", b"null"])
async def test_basket_filters_null_body_removes(here: Platform, nothing: bytes) -> None:
    """No body or null: the basket is the same as before the filter (rest.md 14, basket filters)."""
    async with a_client(here) as client:
        basket = await add(client)
        path = dataset_path(basket, PATH)
        content_of(await client.put(path, json={"fileTypes": ["RAWDATA"]}))
        headers = {"Content-Type": "application/json"} if nothing else {}
        answer = await client.put(path, content=nothing, headers=headers)

    assert content_of(answer) == basket


@pytest.mark.parametrize(
    ("pattern", "named"),
    [
        ("test**", "**"),
        ("(?=a)", "(?="),
        ("(a)\\1", "\\1"),
        ("[a", "[a"),
        ("(", "("),
        ("(\\pL\\pN){1,200}17", "too large"),
    ],
)
async def test_basket_filters_pattern_that_re2_rejects_is_400(
    here: Platform, pattern: str, named: str
) -> None:
    """The message names the construct (decisions.md, Regular expressions); nothing is stored.

    rest.md 14, basket filters.
    """
    async with a_client(here) as client:
        basket = await add(client)
        answer = await client.put(dataset_path(basket, PATH), json={"fileNamePattern": pattern})
        left = await basket_of(client)
    (message,) = answer.json()["messages"]

    assert answer.status_code == 400
    assert named in message
    assert left == basket


@pytest.mark.parametrize(
    "body", [[], "RAWDATA", {"fileTypes": "RAWDATA"}, {"fileTypes": {}}, {"fileNamePattern": []}]
)
async def test_filters_of_the_wrong_kind_are_400(here: Platform, body: Any) -> None:
    async with a_client(here) as client:
        basket = await add(client)
        answer = await client.put(dataset_path(basket, PATH), json=body)

    assert answer.status_code == 400
    assert answer.json()["messages"][0]


async def test_filters_without_a_basket_or_dataset(here: Platform) -> None:
    """204 without a basket, 404 for an unknown dataset selection."""
    async with a_client(here) as client:
        nothing = await client.put(f"{BASKET}/dataset/1{PATH}", json={})
        await add(client)
        unknown = await client.put(f"{BASKET}/dataset/-1{PATH}", json={})

    assert nothing.status_code == 204
    assert unknown.status_code == 404
    assert unknown.json() == {"messages": ["Basket selection with id -1 doesn't exist"]}
