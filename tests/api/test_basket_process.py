"""Processes attached to datasets of the basket (rest.md 6.3, 14; domain.md 3.5)."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

from rs_order.sandbox.faults import Outage, OutageMode, Service
from rs_order.sandbox.process_catalog import Process, SizeLimit, process_id
from tests.acceptance.platform import Platform
from tests.acceptance.shared_platform import new_user
from tests.api.baskets import (
    BASKET,
    a_client,
    add,
    basket_of,
    content_of,
    dataset_path,
    offer,
)

REPROJECT = str(process_id("reproject"))
BOTH = {"messages": ["Impossible to have file filters and processing on the same dataset"]}


async def attach(client: httpx.AsyncClient, basket: Any, body: Any) -> httpx.Response:
    return await client.put(dataset_path(basket, "/updateProcessing"), json=body)


def attached_to(basket: Any) -> Any:
    (dataset,) = basket["datasetSelections"]
    return dataset.get("processDatasetDescription")


@pytest.mark.parametrize(
    ("limit_type", "limit", "status"),
    [
        (SizeLimit.FEATURES, 5, 200),
        (SizeLimit.FEATURES, 4, 409),
        (SizeLimit.FILES, 5, 200),
        (SizeLimit.FILES, 4, 409),
        (SizeLimit.BYTES, 5 * 4159, 200),
        (SizeLimit.BYTES, 5 * 4159 - 1, 409),
        (SizeLimit.FEATURES, 0, 200),
        (SizeLimit.NO_LIMIT, 1, 200),
    ],
)
async def test_basket_processing_limits(
    here: Platform, limit_type: SizeLimit, limit: int, status: int
) -> None:
    """Up to the limit or without a limit: 200 with the process. Above: 409 and nothing changes.

    rest.md 14, basket processing.
    """
    process = offer(here, limit_type, limit)
    async with a_client(here) as client:
        basket = await add(client)
        answer = await attach(
            client, basket, {"processBusinessId": process, "parameters": {"epsg": "4326"}}
        )
        left = await basket_of(client)

    assert answer.status_code == status
    if status == 200:
        assert attached_to(content_of(answer)) == {
            "processBusinessId": process,
            "parameters": {"epsg": "4326"},
        }
    else:
        count = 5 * 4159 if limit_type is SizeLimit.BYTES else 5
        assert answer.json()["messages"] == [
            (
                f'The number of selected "{limit_type}" in the basket [{count}] exceeds the maximum number '
                f'of "{limit_type}" allowed [{limit}]. Please, decrease the number of selected items or '
                "contact the administrator for more information."
            )
        ]
        assert left == basket


async def test_a_process_that_allows_splitting_takes_everything(here: Platform) -> None:
    """The limit then holds for each sub-order (B10)."""
    process = offer(here, SizeLimit.FEATURES, 1, forbids_split=False)
    async with a_client(here) as client:
        answer = await attach(client, await add(client), {"processBusinessId": process})

    assert attached_to(content_of(answer))["processBusinessId"] == process


async def test_only_files_that_the_process_takes_count(here: Platform) -> None:
    """SDO_HMI has a RAWDATA and a QUICKLOOK_SD file; only the type that the process takes counts."""
    for datatypes, status in ((("RAWDATA",), 200), (("RAWDATA", "QUICKLOOK_SD"), 409)):
        process = offer(here, SizeLimit.FILES, 1, datatypes=datatypes)
        async with a_client(here) as client:
            basket = await add(client, "dataset:SDO_HMI")
            answer = await attach(client, basket, {"processBusinessId": process})

        assert answer.status_code == status


@pytest.mark.parametrize("nothing", [b"", b"null"])
async def test_basket_processing_without_body_removes(here: Platform, nothing: bytes) -> None:
    """The property disappears from the JSON (rest.md 14, basket processing)."""
    async with a_client(here) as client:
        basket = await add(client)
        with_process = content_of(await attach(client, basket, {"processBusinessId": REPROJECT}))
        path = dataset_path(basket, "/updateProcessing")
        headers = {"Content-Type": "application/json"} if nothing else {}
        answer = await client.put(path, content=nothing, headers=headers)

    assert attached_to(with_process) == {"processBusinessId": REPROJECT, "parameters": {}}
    assert content_of(answer) == basket


async def test_basket_processing_of_a_random_unknown_process_is_200(here: Platform) -> None:
    """Its limits are unknown, so none is checked (rest.md 14, basket processing)."""
    unknown = str(uuid4())
    async with a_client(here) as client:
        answer = await attach(client, await add(client), {"processBusinessId": unknown})

    assert attached_to(content_of(answer))["processBusinessId"] == unknown


async def test_parameters_are_texts(here: Platform) -> None:
    """Numbers and booleans become texts; a null parameter is dropped."""
    parameters = {"epsg": 4326, "exact": True, "factor": 1.5, "name": "x", "gone": None}
    async with a_client(here) as client:
        basket = await add(client)
        answer = await attach(
            client, basket, {"processBusinessId": REPROJECT, "parameters": parameters}
        )

    assert attached_to(content_of(answer))["parameters"] == {
        "epsg": "4326",
        "exact": "true",
        "factor": "1.5",
        "name": "x",
    }


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"parameters": {}},
        {"processBusinessId": "not-a-uuid"},
        {"processBusinessId": REPROJECT, "parameters": {"a": {"nested": 1}}},
        {"processBusinessId": REPROJECT, "parameters": ["a"]},
        {"processBusinessId": REPROJECT, "parameters": {"a": "\0"}},
        {"processBusinessId": REPROJECT, "parameters": {"\0": "a"}},
        [],
        "text",
    ],
)
async def test_an_invalid_process_request_is_400(here: Platform, body: Any) -> None:
    async with a_client(here) as client:
        basket = await add(client)
        answer = await attach(client, basket, body)

        assert answer.status_code == 400
        assert answer.json()["messages"][0]
        assert await basket_of(client) == basket


async def test_fact_9_process_and_filter_exclude_each_other(here: Platform) -> None:
    """Fact 9: either one blocks the other, even a filter that accepts every file, until it is removed (B9).

    rest.md 14, basket filters.
    """
    async with a_client(here) as client:
        basket = await add(client)
        filters = dataset_path(basket, "/updateFileFilters")
        process = {"processBusinessId": REPROJECT}
        content_of(await client.put(filters, json={}))
        refused = await attach(client, basket, process)

        assert (refused.status_code, refused.json()) == (400, BOTH)

        content_of(await client.put(filters))
        content_of(await attach(client, basket, process))
        for wanted in ({}, {"fileTypes": ["RAWDATA"]}, {"fileNamePattern": "a.*"}):
            refused = await client.put(filters, json=wanted)

            assert (refused.status_code, refused.json()) == (400, BOTH)

        content_of(await client.put(dataset_path(basket, "/updateProcessing")))
        filtered = content_of(await client.put(filters, json={"fileTypes": ["RAWDATA"]}))

        assert attached_to(filtered) is None
        assert filtered["datasetSelections"][0]["fileSelectionDescription"] == {
            "fileTypes": ["RAWDATA"]
        }


async def test_an_unknown_dataset_selection_is_404(here: Platform) -> None:
    """The reference answers 500 (decisions.md). Without a basket it is 204."""
    async with a_client(here) as client:
        for number, status in (("1", 204), ("x", 400), (str(2**63), 400)):
            answer = await client.put(f"{BASKET}/dataset/{number}/updateProcessing")

            assert answer.status_code == status

        await add(client)
        answer = await client.put(f"{BASKET}/dataset/-12/updateProcessing")

    assert answer.status_code == 404
    assert answer.json() == {"messages": ["Basket selection with id -12 doesn't exist"]}


async def test_the_process_is_looked_up_as_the_caller(here: Platform) -> None:
    jane = new_user(here)
    async with here.client(jane, "EXPLOIT") as client:
        await attach(client, await add(client), {"processBusinessId": REPROJECT})
    (call,) = (call for call in here.sandbox.calls.recent("rs-processing") if call.email == jane)

    assert (call.path, call.role) == (f"/process/{REPROJECT}", "EXPLOIT")


@pytest.mark.parametrize(
    ("outage", "status"),
    [
        (Outage(mode=OutageMode.DOWN), 503),
        (Outage(mode=OutageMode.STATUS, status=500), 503),
        (Outage(mode=OutageMode.STATUS, status=403), 500),
        (Outage(mode=OutageMode.NONSENSE), 500),
        (Outage(mode=OutageMode.STATUS, status=404), 200),
        (Outage(mode=OutageMode.EMPTY), 200),
    ],
    ids=["no answer", "500", "403", "nonsense", "404", "empty"],
)
async def test_a_failing_rs_processing(here: Platform, outage: Outage, status: int) -> None:
    """A 404 or an empty response means that the process is unknown. Any other failure changes nothing."""
    here.sandbox.faults.outages = {Service.PROCESSING: outage}
    async with a_client(here) as client:
        basket = await add(client)
        answer = await attach(client, basket, {"processBusinessId": REPROJECT})
        left = await basket_of(client)

    assert answer.status_code == status
    if status != 200:
        assert answer.json()["messages"][0]
        assert left == basket


async def test_an_unreadable_process_is_500(here: Platform) -> None:
    unreadable = Process(id=uuid4(), name="unreadable", info={"scope": None})
    here.sandbox.processes.add(unreadable)
    async with a_client(here) as client:
        basket = await add(client)
        answer = await attach(client, basket, {"processBusinessId": str(unreadable.id)})

    assert answer.status_code == 500
    assert answer.json() == {
        "messages": [f"Unparsable description info from process plugin with id {unreadable.id}"]
    }
