"""Adding searches to the basket (rest.md 6.1, 14; domain.md 3.2, 3.3)."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rs_order.domain.instants import parse_instant, wire_instant
from rs_order.sandbox.faults import Outage, OutageMode, Service
from rs_order.sandbox.process_catalog import SizeLimit
from rs_order.sandbox.simulated_catalog import Searcher
from rs_order.sandbox.synthetic import SyntheticDataset
from tests.acceptance.platform import TENANT, Platform
from tests.acceptance.shared_platform import EVE_01, new_user
from tests.api.baskets import (
    BASKET,
    CATALOG_FAILED,
    EVE,
    FIVE,
    NOTHING,
    SELECTION,
    a_client,
    a_search,
    add,
    basket_of,
    content_of,
    offer,
    totals_of,
)

TOTALS = dict.fromkeys(("documentsCount", "filesCount", "filesSize"), 1)


@pytest.fixture
async def twins(here: Platform) -> AsyncIterator[list[str]]:
    """Create two datasets whose labels differ only in case, and one without a label; yield their names."""
    specs = [("first", "Twin"), ("second", "TWIN"), ("nameless", "")]
    for name, label in specs:
        await here.sandbox.add_dataset(SyntheticDataset(name=name, label=label, products=2))
    yield [name for name, _ in specs]
    for name, _ in specs:
        here.sandbox.holdings.remove(name)


async def test_basket_add_empty_object_is_422(here: Platform) -> None:
    """Without an engine no search is possible, and no basket is created (rest.md 14, basket add)."""
    async with a_client(here) as client:
        for body in ({}, {"engineType": "  "}, {"engineType": None}):
            answer = await client.post(SELECTION, json=body)

            assert answer.status_code == 422
            assert answer.json() == {"messages": ["engineType: Engine type may not be empty"]}

        assert (await client.get(BASKET)).status_code == 204


async def test_basket_add_without_files_is_204(here: Platform) -> None:
    """Nothing is added, but the basket is created (rest.md 6.1).

    rest.md 14, basket add.
    """
    async with a_client(here) as client:
        answer = await client.post(SELECTION, json=a_search(NOTHING))
        basket = await basket_of(client)

    assert (answer.status_code, answer.content) == (204, b"")
    assert (basket["datasetSelections"], basket["quota"]) == ([], 0)


async def test_basket_add_rejected_by_the_catalog_is_422(here: Platform) -> None:
    """For an unknown field; the contract fixes the message (rest.md 14, basket add)."""
    async with a_client(here) as client:
        answer = await client.post(SELECTION, json=a_search("nosuchfield:1"))
        basket = await basket_of(client)

    assert (answer.status_code, answer.json()) == (422, CATALOG_FAILED)
    assert basket["datasetSelections"] == []


@pytest.mark.parametrize(
    ("outage", "status"),
    [
        (Outage(mode=OutageMode.STATUS, status=400), 422),
        (Outage(mode=OutageMode.STATUS, status=404), 422),
        (Outage(mode=OutageMode.STATUS, status=500), 422),
        (Outage(mode=OutageMode.GARBAGE), 422),
        (Outage(mode=OutageMode.EMPTY), 422),
        (Outage(mode=OutageMode.DOWN), 503),
    ],
    ids=["400", "404", "500", "garbage", "empty", "no answer"],
)
async def test_basket_add_with_a_failing_catalog(
    here: Platform, outage: Outage, status: int
) -> None:
    """A response that isn't a summary is 422, no response 503. Nothing is added."""
    async with a_client(here) as client:
        here.sandbox.faults.outages = {Service.CATALOG: outage}
        answer = await client.post(SELECTION, json=a_search())
        here.sandbox.faults.outages = {}
        basket = await basket_of(client)

    assert answer.status_code == status
    if status == 422:
        assert answer.json() == CATALOG_FAILED
    else:
        (message,) = answer.json()["messages"]
        assert message == "rs-catalog gave no answer; nothing was changed. Try again."
    assert basket["datasetSelections"] == []


UNUSABLE: dict[str, Any] = {
    "a list": [],
    "no totals": {},
    "a negative count": {"documentsCount": -1},
    "a huge count": {"filesSize": 2**63},
    "half a file": {"filesCount": 0.5},
    "a count as a text": {"filesCount": "1"},
    "datasets as a list": {"subSummariesMap": [{}]},
    "a dataset without totals": {"subSummariesMap": {EVE: {}}},
    "a dataset that can't be stored": {"subSummariesMap": {EVE + "\0": TOTALS}},
    "a type that is no object": {
        "subSummariesMap": {EVE: TOTALS | {"fileTypesSummaryMap": {"RAWDATA": 1}}}
    },
    "a huge count of a type": {
        "subSummariesMap": {
            EVE: TOTALS | {"fileTypesSummaryMap": {"RAWDATA": {"filesCount": 2**63}}}
        }
    },
    "a negative count of a type": {
        "subSummariesMap": {
            EVE: TOTALS | {"fileTypesSummaryMap": {"RAWDATA_ref": {"filesCount": -1}}}
        }
    },
}
"""Per fault: a summary with it, or its members that differ from a good one."""


@pytest.mark.parametrize("fault", UNUSABLE)
async def test_f9d_basket_add_with_an_unusable_summary(
    here: Platform, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is 422, and nothing is added: neither at the first search nor at one that is counted again."""
    bad = UNUSABLE[fault]
    summary = TOTALS | {"subSummariesMap": {EVE: TOTALS}} | bad if bad else bad
    async with a_client(here) as client:
        before = await add(client)
        monkeypatch.setattr(Searcher, "summarize", lambda *_, **__: summary)
        answer = await client.post(SELECTION, json=a_search(EVE_01))
        basket = await basket_of(client)

    assert (answer.status_code, answer.json()) == (422, CATALOG_FAILED)
    assert basket == before


async def test_f9d_a_summary_with_strange_counts_gives_no_negative_quota(
    here: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A catalog may count more external files than files, and the largest numbers that can be stored."""
    types = {"RAWDATA": {"filesCount": 1, "filesSize": 2**63 - 1}, "RAWDATA_ref": {"filesCount": 2}}
    huge = dict.fromkeys(TOTALS, 2**63 - 1) | {"fileTypesSummaryMap": types}
    summary = huge | {"subSummariesMap": {EVE: huge}}
    async with a_client(here) as client:
        monkeypatch.setattr(Searcher, "summarize", lambda *_, **__: summary)
        (dataset,) = (await add(client))["datasetSelections"]

    assert totals_of(dataset) == (2**63 - 1, 1, 2**63 - 1, 0)


async def test_a_search_touches_every_dataset_it_finds_files_in(here: Platform) -> None:
    """B4: each gets one dated item with the same request. Datasets are sorted by label, ignoring case."""
    async with a_client(here) as client:
        basket = await add(client, "*", selectionDate="2026-01-01T00:00:00Z")
    datasets = basket["datasetSelections"]
    labels = [dataset["datasetLabel"] for dataset in datasets]

    assert len(datasets) == 11
    assert labels == sorted(labels, key=str.casefold)
    for dataset in datasets:
        (item,) = dataset["itemsSelections"]
        assert item["selectionRequest"] == {
            "engineType": "legacy",
            "searchParameters": {"q": ["*"]},
            "selectionDate": "2026-01-01T00:00:00Z",
        }
        assert totals_of(item) == totals_of(dataset)


async def test_a_search_of_one_dataset_touches_it_alone(here: Platform) -> None:
    async with a_client(here) as client:
        basket = await add(client, "*", datasetUrn=EVE)
    (dataset,) = basket["datasetSelections"]

    assert totals_of(dataset) == (6, 7, 6 * 4159 + 89280, 7)
    assert dataset["itemsSelections"][0]["selectionRequest"]["datasetUrn"] == EVE


async def test_fact_14_an_overlapping_selection_does_not_change_the_totals(here: Platform) -> None:
    """Fact 14: overlaps count once. Each dated item keeps what its own search found."""
    async with a_client(here) as client:
        first = await add(client)
        second = await add(client, EVE_01)
        third = await add(client, "productId:(EVE_05 OR EVE_ESP_2011046)")
    (before,) = first["datasetSelections"]
    (after,) = second["datasetSelections"]
    (wider,) = third["datasetSelections"]

    assert totals_of(before) == totals_of(after) == (5, 5, 5 * 4159, 5)
    assert [totals_of(item) for item in after["itemsSelections"]] == [
        (5, 5, 5 * 4159, 5),
        (1, 1, 4159, 1),
    ]
    assert totals_of(wider) == (6, 7, 6 * 4159 + 89280, 7)
    assert (after["id"], third["quota"]) == (before["id"], 7)


async def test_w36_datasets_of_equal_labels_both_stay(here: Platform, twins: list[str]) -> None:
    """The labels differ only in case. The dataset without a label is shown by its URN."""
    async with a_client(here) as client:
        basket = await add(client, f"dataset:({' OR '.join(twins)})")
        again = await add(client, f"dataset:({' OR '.join(twins)})")
    shown = [(one["datasetLabel"], one["datasetIpid"]) for one in basket["datasetSelections"]]
    labels = [label for label, _ in shown]
    nameless = next(urn for label, urn in shown if label.startswith("URN"))

    assert sorted(labels[:2]) == ["TWIN", "Twin"]
    assert shown[2] == (nameless, nameless)
    assert [one["id"] for one in again["datasetSelections"]] == [
        one["id"] for one in basket["datasetSelections"]
    ]


@pytest.mark.parametrize("limit_type", [SizeLimit.FEATURES, SizeLimit.FILES, SizeLimit.BYTES])
async def test_w37_a_selection_above_the_limit_of_a_process_is_rejected(
    here: Platform, limit_type: SizeLimit
) -> None:
    """A selection at the limit is accepted, overlaps count once. One more is 409 and changes nothing."""
    unit = 4159 if limit_type is SizeLimit.BYTES else 1
    process = offer(here, limit_type, 2 * unit)
    async with a_client(here) as client:
        basket = await add(client, EVE_01)
        path = f"{BASKET}/dataset/{basket['datasetSelections'][0]['id']}/updateProcessing"
        content_of(await client.put(path, json={"processBusinessId": process}))
        full = await add(client, "productId:(EVE_01 OR EVE_02)")
        refused = await client.post(
            SELECTION, json=a_search("productId:EVE_03 OR dataset:GOES_XRS")
        )
        left = await basket_of(client)

    assert refused.status_code == 409
    assert refused.json() == {
        "messages": [
            (
                f'The number of selected "{limit_type}" in the basket [{3 * unit}] exceeds the maximum '
                f'number of "{limit_type}" allowed [{2 * unit}]. Please, decrease the number of selected '
                "items or contact the administrator for more information."
            )
        ]
    }
    assert left == full


@pytest.mark.parametrize("mode", [OutageMode.DOWN, OutageMode.GARBAGE])
async def test_nothing_is_added_while_the_process_cannot_be_read(
    here: Platform, mode: OutageMode
) -> None:
    """503 if rs-processing is unavailable, 500 if its response can't be parsed."""
    process = offer(here, SizeLimit.FEATURES, 10)
    async with a_client(here) as client:
        basket = await add(client, EVE_01)
        path = f"{BASKET}/dataset/{basket['datasetSelections'][0]['id']}/updateProcessing"
        attached = content_of(await client.put(path, json={"processBusinessId": process}))
        here.sandbox.faults.outages = {Service.PROCESSING: Outage(mode=mode)}
        answer = await client.post(SELECTION, json=a_search())
        left = await basket_of(client)
    (message,) = answer.json()["messages"]

    assert left == attached
    if mode is OutageMode.DOWN:
        assert answer.status_code == 503
        assert "rs-processing gave no answer" in message
    else:
        assert answer.status_code == 500
        assert message == f"Unparsable description info from process plugin with id {process}"


async def test_searches_are_made_as_the_caller(here: Platform) -> None:
    """Search, label and union are called with the caller's e-mail address and role."""
    jane = new_user(here)
    async with here.client(jane, "EXPLOIT") as client:
        await add(client)
        await add(client, EVE_01)
    calls = [call for call in here.sandbox.calls.recent("rs-catalog") if call.email == jane]

    assert {(call.tenant, call.role) for call in calls} == {(TENANT, "EXPLOIT")}
    assert [call.path for call in calls].count("/complex/search/summary") == 3


async def test_products_that_came_later_are_not_selected(here: Platform) -> None:
    """The selection date is now, or the client's date in any UTC offset."""
    today = datetime.now(UTC)
    here.sandbox.faults.created = {"EVE_01": today - timedelta(hours=1)}
    async with a_client(here) as client:
        now = await add(client, EVE_01)
        before = await client.post(
            SELECTION, json=a_search(EVE_01, selectionDate=wire_instant(today - timedelta(days=1)))
        )
    (item,) = now["datasetSelections"][0]["itemsSelections"]

    assert abs(parse_instant(item["date"]) - today) < timedelta(minutes=1)
    assert item["date"] == item["selectionRequest"]["selectionDate"]
    assert before.status_code == 204


async def test_searches_of_the_same_date_get_different_dates(here: Platform) -> None:
    """Dates identify items, so each item gets its own date; an equal search is stored once."""
    date = "2026-01-23T09:21:50.720512Z"
    async with a_client(here) as client:
        for query in (EVE_01, "productId:EVE_02", EVE_01):
            basket = await add(client, query, selectionDate=date)
    (dataset,) = basket["datasetSelections"]

    assert [item["date"] for item in dataset["itemsSelections"]] == [
        "2026-01-23T09:21:50.720511Z",
        date,
    ]
    assert dataset["objectsCount"] == 2


async def test_products_to_include_or_exclude_are_stored_once(here: Platform) -> None:
    """The interface's ``"q": null`` is dropped, and numbers become texts."""
    async with a_client(here) as client:
        whole = await add(client, "dataset:NOAA_CYCLE")
        await client.delete(BASKET)
        urns = [f"URN:AIP:DATA:{TENANT}:{'0' * 8}-0000-0000-0000-{'0' * 12}:V1"]
        answer = await client.post(
            SELECTION,
            json=a_search(
                None, entityIdsToInclude=urns * 2, searchParameters={"q": None, "a": [1]}
            ),
        )
        excluded = await add(client, "dataset:NOAA_CYCLE", entityIdsToExclude=urns * 2)
    (dataset,) = excluded["datasetSelections"]
    (item,) = dataset["itemsSelections"]

    assert answer.status_code == 204
    assert totals_of(dataset) == totals_of(whole["datasetSelections"][0])
    assert item["selectionRequest"]["entityIdsToExclude"] == urns


async def test_more_selections_than_the_catalog_can_count_are_rejected(here: Platform) -> None:
    """A dataset takes 100 searches (B7). The next is rejected without a call of the catalog."""
    async with a_client(here) as client:
        basket = await add(client, EVE_01)
        selection = basket["datasetSelections"][0]["id"]
        await here.rows(
            "insert into dated_selection select dataset_selection_id, "
            "selection_date - number * interval '1 s', 0, request || jsonb_build_object('selectionDate',"
            " to_char((selection_date - number * interval '1 s') at time zone 'UTC',"
            ' \'YYYY-MM-DD"T"HH24:MI:SS.US"Z"\')), products_count, type_totals '
            "from dated_selection, generate_series(1, 98) as number where dataset_selection_id = $1 "
            "returning 1",
            selection,
        )
        full = await add(client, FIVE)
        refused = await client.post(SELECTION, json=a_search(FIVE))
        left = await basket_of(client)

    assert len(full["datasetSelections"][0]["itemsSelections"]) == 100
    assert refused.status_code == 409
    assert refused.json()["messages"] == [
        (
            "A dataset takes at most 100 selections; order what is in the basket, or take selections of "
            "dataset SDO EVE irradiance out of it"
        )
    ]
    assert left == full


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b'"legacy"',
        b"7",
        b"null",
        b"",
        b"{",
        b'{"engineType": {}}',
        b'{"engineType": "legacy", "searchParameters": []}',
        b'{"engineType": "legacy", "searchParameters": {"q": "EVE"}}',
        b'{"engineType": "legacy", "searchParameters": {"q": [{}]}}',
        b'{"engineType": "legacy", "entityIdsToInclude": "URN"}',
        b'{"engineType": "legacy", "selectionDate": "2026-01-23"}',
        b'{"engineType": "legacy", "selectionDate": "0001-01-01T00:00:00+14:00"}',
        b'{"engineType": "legacy", "selectionDate": 5}',
        b'{"engineType": "le\\u0000gacy"}',
        b'{"engineType": "legacy", "searchParameters": {"\\u0000": ["a"]}}',
        b'{"engineType": "legacy", "searchParameters": {"q": ["\\ud800"]}}',
        b'{"engineType": "\xff"}',
        b"[" * 100_000,
    ],
)
async def test_json_of_the_wrong_kind_is_400(here: Platform, body: bytes) -> None:
    """The response has a message, and no basket is created."""
    async with a_client(here) as client:
        answer = await client.post(
            SELECTION, content=body, headers={"Content-Type": "application/json"}
        )
        after = await client.get(BASKET)

    assert answer.status_code == 400
    assert answer.json()["messages"][0]
    assert after.status_code == 204


@pytest.mark.parametrize("media_type", ["text/plain", "multipart/form-data; boundary=x", None])
async def test_a_body_that_is_not_json_is_415(here: Platform, media_type: str | None) -> None:
    headers = {"Content-Type": media_type} if media_type else {}
    async with a_client(here) as client:
        answer = await client.post(SELECTION, content=b'{"engineType": "legacy"}', headers=headers)

    assert answer.status_code == 415
    assert answer.json() == {
        "messages": [f"The body must be application/json, not {media_type or 'of no type'}"]
    }


async def test_unknown_members_are_ignored(here: Platform) -> None:
    body: dict[str, Any] = a_search(EVE_01, engineRequestType="x", page=3)
    async with a_client(here) as client:
        basket = content_of(await client.post(SELECTION, json=body))
    request = basket["datasetSelections"][0]["itemsSelections"][0]["selectionRequest"]

    assert request.keys() == {"engineType", "searchParameters", "selectionDate"}
