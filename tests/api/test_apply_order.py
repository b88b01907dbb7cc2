"""Automatic orders over HTTP (rest.md 7.3, domain.md 13.1)."""

from typing import Any

import httpx
import pytest

from rs_order.sandbox.faults import Outage, OutageMode, Service
from tests.acceptance.platform import Platform
from tests.acceptance.shared_platform import EVE_01, new_user
from tests.support.baskets import put_basket

NO_TYPE = "There should be at least one datatype to order. DataType can be RAWDATA or QUICKLOOK"


async def apply(here: Platform, email: str, role: str = "REGISTERED_USER", **body: Any) -> Any:
    async with here.client(email, role) as client:
        return await client.post("/user/orders/apply", json={"queries": [EVE_01], **body})


def content_of(answer: httpx.Response) -> dict[str, Any]:
    assert answer.json()["links"] == []
    content: dict[str, Any] = answer.json()["content"]
    return content


async def test_an_order_is_granted_at_once(here: Platform) -> None:
    """200 with its number. Peers get messages about ready files, but no GRANTED (rest.md 14, auto order)."""
    answer = await apply(here, new_user(here))
    content = content_of(answer)
    correlation_id = content["correlationId"]
    await here.peer.until_final(correlation_id)

    assert answer.status_code == 200
    assert content == {
        "status": "GRANTED",
        "orderId": content["orderId"],
        "correlationId": correlation_id,
    }
    assert correlation_id.startswith("auto-correlation-id-")
    assert here.peer.statuses(correlation_id) == ["SUBORDER_DONE", "DONE"]


async def test_a_given_correlation_id_comes_back(here: Platform) -> None:
    """It is in the response and stored with the order."""
    content = content_of(await apply(here, new_user(here), correlationId="c-42"))
    (stored,) = await here.rows("select * from orders where id = $1", content["orderId"])

    assert content["correlationId"] == stored["correlation_id"] == "c-42"
    assert stored["label"].startswith("Generated order 20")
    assert stored["label"].endswith("Z")
    assert stored["sub_order_hours"] == 2
    assert stored["front_url"] is None


async def test_w12_the_basket_of_the_caller_is_not_touched(here: Platform) -> None:
    """The order has its own basket, which contains only what the queries found."""
    jane = new_user(here)
    basket = await put_basket(here, jane, "productId:EVE_02")
    order = content_of(await apply(here, jane))["orderId"]
    baskets = await here.rows(
        "select basket.id, order_id, request->'searchParameters'->'q'->>0 as query, version from basket"
        " join dataset_selection selection on selection.basket_id = basket.id"
        " join dated_selection on dataset_selection_id = selection.id where owner = $1"
        " order by basket.id",
        jane,
    )

    assert [(one["order_id"], one["query"], one["version"]) for one in baskets] == [
        (None, "productId:EVE_02", 0),
        (order, EVE_01, 0),
    ]
    assert baskets[0]["id"] == basket


async def test_the_order_belongs_to_the_caller_with_the_role_of_the_token(here: Platform) -> None:
    """The user in the body is ignored. The catalog is called as the caller; rs-admin isn't called."""
    jane = new_user(here)
    before = here.sandbox.calls.counters[Service.ADMIN]
    answer = await apply(
        here, jane, "EXPLOIT", user="somebody@example.org", sizeLimitInBytes=1, filters=None
    )
    (stored,) = await here.rows(
        "select owner, role from orders where id = $1", content_of(answer)["orderId"]
    )
    asked = [call for call in here.sandbox.calls.recent(Service.CATALOG) if call.email == jane]

    assert dict(stored) == {"owner": jane, "role": "EXPLOIT"}
    assert {call.role for call in asked} == {"EXPLOIT"}
    assert here.sandbox.calls.counters[Service.ADMIN] == before


async def test_filters_hold_for_every_dataset(here: Platform) -> None:
    """The order's own basket stores data types and name pattern."""
    filters = {"dataTypes": ["QUICKLOOK", "RAWDATA"], "filenameRegExp": r".*\.txt"}
    order = content_of(await apply(here, new_user(here), filters=filters))["orderId"]
    (stored,) = await here.rows(
        "select file_kinds, file_name_pattern from dataset_selection"
        " join basket on basket.id = basket_id where order_id = $1",
        order,
    )

    assert dict(stored) == {"file_kinds": ["QUICKLOOK", "RAWDATA"], "file_name_pattern": r".*\.txt"}


async def test_an_owner_longer_than_the_column_is_cut(here: Platform) -> None:
    """The store keeps 128 characters (domain.md 13.1)."""
    email = f"{new_user(here)}{'x' * 128}"
    order = content_of(await apply(here, email, "PROJECT_ADMIN"))["orderId"]
    (stored,) = await here.rows("select owner from orders where id = $1", order)

    assert stored["owner"] == email[:128]


@pytest.mark.parametrize("query", ["productId:NOTHING", "dataset:NONE"])
async def test_nothing_to_order(query: str, here: Platform) -> None:
    """422 with a correlation id and the reason in the usual wrapper.

    rest.md 14, auto order.
    """
    jane = new_user(here)
    answer = await apply(here, jane, queries=[EVE_01, query])

    assert answer.status_code == 422
    assert content_of(answer) == {
        "status": "FAILED",
        "correlationId": content_of(answer)["correlationId"],
        "message": "EmptySelectionException: This selection contains no file that can be ordered",
        "errorType": "EMPTY_ORDER",
    }
    assert await here.rows("select from orders where owner = $1", jane) == []


@pytest.mark.parametrize(
    ("outage", "text"),
    [
        (Outage(mode=OutageMode.STATUS, status=400), "Error applying search queries."),
        (Outage(mode=OutageMode.STATUS, status=500), "rs-catalog gave no usable answer"),
        (Outage(mode=OutageMode.DOWN), "rs-catalog gave no usable answer"),
        (Outage(mode=OutageMode.GARBAGE), "rs-catalog gave no usable answer"),
    ],
    ids=lambda value: value.mode if isinstance(value, Outage) else "",
)
async def test_an_unavailable_catalog_fails_the_order_at_once(
    outage: Outage, text: str, here: Platform
) -> None:
    """422 FAILED without a retry, since a person waits (decisions.md, Remote service in trouble).

    rest.md 14, auto order.
    """
    here.sandbox.faults.outages = {Service.CATALOG: outage}
    jane = new_user(here)
    answer = await apply(here, jane, correlationId="c-7")
    content = content_of(answer)

    assert answer.status_code == 422
    assert (content["status"], content["errorType"]) == ("FAILED", "INTERNAL_ERROR")
    assert content["message"].startswith(f"CatalogSearchException: {text}")
    assert await here.rows("select from orders where owner = $1", jane) == []


@pytest.mark.parametrize(
    ("body", "messages"),
    [
        ({"queries": []}, ["list of queries should not be empty"]),
        ({"queries": None}, ["list of queries should not be empty"]),
        ({"filters": {"dataTypes": ["UNKNOWN"]}}, [NO_TYPE]),
        (
            {"correlationId": "c" * 256, "user": "u" * 129},
            [
                "provided correlationId must not exceed 255 characters.",
                "user must not exceed 128 characters.",
            ],
        ),
        (
            {"queries": [], "filters": {}},
            ["list of queries should not be empty", NO_TYPE],
        ),
    ],
)
async def test_requests_that_break_rules(
    body: dict[str, Any], messages: list[str], here: Platform
) -> None:
    """422 with one message for each rule (rest.md 4.3)."""
    answer = await apply(here, new_user(here), **body)

    assert (answer.status_code, answer.json()) == (422, {"messages": messages})


async def test_a_pattern_that_re2_rejects(here: Platform) -> None:
    """422 that names the member and the rejected construct."""
    filters = {"dataTypes": ["RAWDATA"], "filenameRegExp": "(?=a)"}
    answer = await apply(here, new_user(here), filters=filters)
    (message,) = answer.json()["messages"]

    assert answer.status_code == 422
    assert message.startswith("filters.filenameRegExp: ")
    assert "(?=" in message


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"queries": "*"}'])
async def test_bodies_that_cannot_be_read(content: bytes, here: Platform) -> None:
    """400."""
    headers = {"Content-Type": "application/json"}
    async with here.client(new_user(here)) as client:
        answer = await client.post("/user/orders/apply", content=content, headers=headers)

    assert answer.status_code == 400
