"""Requests and response readers for the basket tests."""

from typing import Any
from uuid import UUID

import httpx

from rs_order.sandbox.process_catalog import Process, SizeLimit
from tests.acceptance.platform import TENANT, Platform
from tests.acceptance.shared_platform import new_user

BASKET = "/order/basket"
SELECTION = f"{BASKET}/selection"
UPLOAD = f"{SELECTION}/upload"

EVE = f"URN:AIP:DATASET:{TENANT}:f7994e1d-96d5-58ea-acc4-3f9f48692fb9:V1"
"""Dataset SDO_EVE: EVE_01 to EVE_05 with a RAWDATA file of 4159 bytes each, and EVE_ESP_2011046 with two."""
FIVE = "productId:(EVE_01 OR EVE_02 OR EVE_03 OR EVE_04 OR EVE_05)"
NOTHING = "productId:NO_SUCH_PRODUCT"
CATALOG_FAILED = {
    "messages": [
        (
            "Error applying search queries. Please correct your requests. "
            "Maybe your queries contains unknown attributes"
        )
    ]
}


def a_search(query: str | None = FIVE, **members: Any) -> dict[str, Any]:
    """Return a selection as the web interface sends it."""
    return {
        "engineType": "legacy",
        "datasetUrn": None,
        "searchParameters": {"q": None if query is None else [query]},
        "entityIdsToInclude": None,
        "entityIdsToExclude": None,
        **members,
    }


async def add(client: httpx.AsyncClient, query: str | None = FIVE, **members: Any) -> Any:
    """Add a search that finds something and return the basket's content."""
    return content_of(await client.post(SELECTION, json=a_search(query, **members)))


def content_of(answer: httpx.Response) -> Any:
    """Return the basket in a 200 response; a basket never has links (rest.md 5.1)."""
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body.keys() == {"content", "links"}
    assert body["links"] == []
    return body["content"]


async def basket_of(client: httpx.AsyncClient) -> Any:
    return content_of(await client.get(BASKET))


def dataset_path(basket: Any, tail: str = "") -> str:
    """Return the path of a basket's only dataset selection."""
    (selection,) = basket["datasetSelections"]
    return f"{BASKET}/dataset/{selection['id']}{tail}"


def totals_of(counted: Any) -> tuple[int, int, int, int]:
    """Return products, files, bytes and quota of a dataset selection or of one of its items."""
    return (
        counted["objectsCount"],
        counted["filesCount"],
        counted["filesSize"],
        counted["quota"],
    )


def a_client(here: Platform) -> httpx.AsyncClient:
    """Return a client of a new user, who has no basket yet."""
    return here.client(new_user(here))


def offer(
    here: Platform, limit_type: SizeLimit, limit: int, *, forbids_split: bool = True, **others: Any
) -> str:
    """Add a process with a limit to the fake rs-processing and return its id."""
    process = Process(
        id=UUID(int=abs(hash((limit_type, limit, forbids_split)))),
        name="limited",
        limit_type=limit_type,
        limit=limit,
        forbids_split=forbids_split,
        **others,
    )
    here.sandbox.processes.add(process)
    return str(process.id)
