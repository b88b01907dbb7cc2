"""Products are ordered by their ids; who orders the same again gets the same order (faces.md S-4 to S-9)."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from rs_order.sandbox.faults import Outage, OutageMode, Service
from tests.acceptance.platform import Platform
from tests.acceptance.shared_platform import new_user, until_rows
from tests.api.test_quotes import quote_of

ORDERS = "/stac/orders"
EVE_01 = "URN:AIP:DATA:project1:aa75eb60-f943-521d-a594-fcab7e7cfcc8:V1"
EVE_02 = "URN:AIP:DATA:project1:62d365de-1059-5bce-82bf-025fc6b569d4:V1"
NO_SUCH_URN = "URN:AIP:DATA:project1:00000000-0000-0000-0000-000000000000:V1"


async def post(here: Platform, email: str, body: Any, **headers: str) -> httpx.Response:
    async with here.client(email) as client:
        return await client.post(ORDERS, json=body, headers=headers)


def problem_of(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["Content-Type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"]


async def orders_of(here: Platform, email: str) -> list[int]:
    rows = await here.rows("select id from orders where owner = $1 order by id", email)
    return [row["id"] for row in rows]


async def expire(here: Platform, order_id: int) -> None:
    await here.rows("alter table orders disable trigger orders_move")
    await here.rows(
        "update orders set status = 'EXPIRED', waiting_sub_orders = 0 where id = $1", order_id
    )
    await here.rows("alter table orders enable trigger orders_move")


async def until_done(here: Platform, order_id: str | int) -> None:
    await until_rows(here, "select from orders where id = $1 and status = 'DONE'", int(order_id))


async def test_an_order_of_an_item(here: Platform) -> None:
    """201 with the status document and its address; the order has the files of the product (S-7)."""
    jane = new_user(here)
    answer = await post(here, jane, {"items": [EVE_01], "label": "spring 2025"})
    body = answer.json()
    (order,) = await orders_of(here, jane)
    await until_done(here, order)
    files = await here.rows("select product_urn, name from data_file where order_id = $1", order)
    (created,) = await here.rows(
        "select coalesce(data, (body::jsonb)->'data') as data from event where order_id = $1"
        " and ordinal = 1",
        order,
    )

    assert answer.status_code == 201
    assert answer.headers["Location"] == f"{here.url}/stac/collections/order-{order}"
    assert int(answer.headers["Retry-After"]) >= 5
    assert answer.headers["RateLimit-Policy"]
    assert (body["type"], body["id"], body["title"]) == (
        "Collection",
        f"order-{order}",
        "spring 2025",
    )
    assert body["order:id"] == str(order)
    assert body["order:status"] in {"ordered", "shipping", "succeeded"}
    assert "rsorder:unknown_items" not in body
    assert [dict(file) for file in files] == [{"product_urn": EVE_01, "name": "eve_01.txt"}]
    assert '"door": "stac"' in created["data"]


@pytest.mark.parametrize(
    "body",
    [
        {"items": EVE_01},
        {"items": ["EVE_01"]},
        {"items": [EVE_01, EVE_01]},
        {"items": [EVE_01, "EVE_01"]},
        {"type": "Feature", "id": EVE_01, "geometry": None, "properties": {}},
        {"type": "FeatureCollection", "features": [{"type": "Feature", "id": EVE_01}]},
        {"items": [EVE_01], "dataTypes": "RAWDATA", "reuse": ["false"], "label": [""]},
        {"items": [EVE_01], "filenameRegExp": [".*\\.txt"], "unknown": [1, {}]},
    ],
    ids=[
        "one text",
        "the name of the provider",
        "twice",
        "by both names",
        "a feature",
        "features",
        "lists of one",
        "a pattern",
    ],
)
async def test_forms_of_an_order(body: Any, here: Platform) -> None:
    """Each orders the one file (S-4, S-5)."""
    jane = new_user(here)
    answer = await post(here, jane, body)

    assert answer.status_code == 201, answer.text
    assert "rsorder:unknown_items" not in answer.json()
    (order,) = await orders_of(here, jane)
    await until_done(here, order)
    (file,) = await here.rows("select name from data_file where order_id = $1", order)
    assert file["name"] == "eve_01.txt"


async def test_the_same_again_is_the_same_order(here: Platform) -> None:
    """Whatever the sequence of the items, and also while the catalog is down (S-8)."""
    jane, john = new_user(here), new_user(here)
    first = await post(here, jane, {"items": [EVE_01, EVE_02]})
    here.sandbox.faults.outages[Service.CATALOG] = Outage(mode=OutageMode.DOWN)
    again = await post(here, jane, {"items": [EVE_02, EVE_01, EVE_02], "label": "another"})
    here.sandbox.faults.outages.clear()
    others = [
        await post(here, jane, {"items": [EVE_01]}),
        await post(here, jane, {"items": [EVE_01, EVE_02], "filenameRegExp": ".*"}),
        await post(here, jane, {"items": [EVE_01, EVE_02], "dataTypes": ["RAWDATA", "QUICKLOOK"]}),
        await post(here, jane, {"items": [EVE_01, EVE_02], "reuse": False}),
        await post(here, john, {"items": [EVE_01, EVE_02]}),
    ]

    assert (first.status_code, again.status_code) == (201, 200)
    assert again.headers["Location"] == first.headers["Location"]
    assert again.json()["id"] == first.json()["id"]
    assert [answer.status_code for answer in others] == [201] * 5
    assert len({answer.json()["id"] for answer in (first, *others)}) == 6


@pytest.mark.parametrize(
    ("status", "available", "left", "reused"),
    [
        ("PENDING", 0, None, True),
        ("RUNNING", 0, 2, True),
        ("PAUSED", 0, 2, True),
        ("DONE", 1, 2, True),
        ("DONE", 1, 0.9, False),
        ("DONE_WITH_WARNING", 1, 2, True),
        ("DONE_WITH_WARNING", 0, 2, False),
        ("FAILED", 0, 2, False),
        ("ERROR", 1, 2, False),
        ("EXPIRED", 0, 2, False),
        ("DELETED", 0, 2, False),
    ],
)
async def test_which_orders_are_used_again(
    status: str, available: int, left: float | None, reused: bool, here: Platform
) -> None:
    """Those whose files can be downloaded for another hour, or are on their way."""
    jane = new_user(here)
    first = await post(here, jane, {"items": [EVE_01]})
    (order,) = await orders_of(here, jane)
    await until_done(here, order)
    expires = datetime.now(UTC) + timedelta(hours=left) if left else None
    await here.rows("alter table orders disable trigger orders_move")
    await here.rows(
        "update orders set status = $2, available_files = $3, expires_at = $4,"
        " waiting_sub_orders = 0 where id = $1",
        *(order, status, available, expires),
    )
    await here.rows("alter table orders enable trigger orders_move")
    again = await post(here, jane, {"items": [EVE_01]})

    assert first.status_code == 201
    assert again.status_code == (200 if reused else 201)
    assert len(await orders_of(here, jane)) == (1 if reused else 2)


async def test_equal_requests_at_once_make_one_order(here: Platform) -> None:
    jane = new_user(here)
    answers = await asyncio.gather(*(post(here, jane, {"items": [EVE_01]}) for _ in range(20)))
    statuses = [answer.status_code for answer in answers]

    assert len(await orders_of(here, jane)) == 1
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert (statuses.count(201), statuses.count(200)) == (1, 19)


async def test_unknown_items_are_named(here: Platform) -> None:
    """What is known is ordered (S-7)."""
    jane = new_user(here)
    answer = await post(here, jane, {"items": ["NO_SUCH", EVE_01, NO_SUCH_URN, "EVE_02"]})
    async with here.client(jane) as client:
        read = await client.get(answer.headers["Location"])

    assert answer.status_code == 201
    assert answer.json()["rsorder:unknown_items"] == ["NO_SUCH", NO_SUCH_URN]
    assert read.json()["rsorder:unknown_items"] == ["NO_SUCH", NO_SUCH_URN]


@pytest.mark.parametrize(
    ("body", "code", "named"),
    [
        ({"items": [NO_SUCH_URN]}, "nothing-to-order", NO_SUCH_URN),
        ({"items": ["NO_SUCH"]}, "nothing-to-order", "NO_SUCH"),
        ({"items": [EVE_01], "dataTypes": ["QUICKLOOK"]}, "nothing-to-order", "QUICKLOOK"),
        ({"items": [str(n) for n in range(1001)]}, "too-many-items", "1001"),
        ({"items": ["x" * 129]}, "invalid-input", "128"),
        ({"items": []}, "invalid-input", "items"),
        ({}, "invalid-input", "items"),
        ({"items": [EVE_01], "dataTypes": []}, "invalid-input", "dataTypes"),
        ({"items": [EVE_01], "filenameRegExp": "("}, "invalid-input", "filenameRegExp"),
        ({"items": [EVE_01], "label": "x" * 51}, "label-too-long", "LABEL"),
    ],
    ids=[
        "an unknown URN",
        "an unknown name",
        "no quicklook",
        "1001 items",
        "a long id",
        "no item",
        "an empty body",
        "no data type",
        "a bad pattern",
        "a long label",
    ],
)
async def test_rejections(body: Any, code: str, named: str, here: Platform) -> None:
    """Nothing is ordered, and the sentence stands alone: eodag shows the body to its user (C-4)."""
    jane = new_user(here)
    answer = await post(here, jane, body)

    assert problem_of(answer) == (422, code)
    assert named in answer.json()["detail"]
    assert await orders_of(here, jane) == []


async def test_a_label_in_use(here: Platform) -> None:
    jane = new_user(here)
    await post(here, jane, {"items": [EVE_01], "label": "taken"})
    answer = await post(here, jane, {"items": [EVE_02], "label": "taken"})

    assert problem_of(answer) == (422, "label-in-use")


async def test_a_quote(here: Platform) -> None:
    """It is ordered like items, once. A quote expires before its order, so it isn't offered again then."""
    jane = new_user(here)
    quote = await quote_of(here, jane, queries=["productId:EVE_01"])
    first = await post(here, jane, {"quoteId": quote["id"], "label": ["quoted"]})
    again = await post(here, jane, {"quoteId": [quote["id"]]})
    (order,) = await orders_of(here, jane)
    await until_done(here, order)
    files = await here.rows("select name from data_file where order_id = $1", order)
    await expire(here, order)
    async with here.client(jane) as client:
        expired = (await client.get(first.headers["Location"])).json()

    assert (first.status_code, again.status_code) == (201, 200)
    assert (first.json()["title"], first.json()["order:id"]) == ("quoted", str(order))
    assert again.headers["Location"] == first.headers["Location"]
    assert [file["name"] for file in files] == ["eve_01.txt"]
    assert expired["rsorder:status"] == "EXPIRED"
    assert "retrieve" not in {link["rel"] for link in expired["links"]}


async def test_quotes_that_cannot_be_ordered(here: Platform) -> None:
    """The answers are those of the other requests that order quotes (Q-6)."""
    jane = new_user(here)
    quote = await quote_of(here, jane, queries=["productId:EVE_0*"])
    both = await post(here, jane, {"quoteId": quote["id"], "items": [EVE_01]})
    of_nobody = await post(here, jane, {"quoteId": "q-987654321"})
    here.sandbox.faults.created = {"EVE_01": here.clock.now() + timedelta(days=1)}
    changed = await post(here, jane, {"quoteId": quote["id"]})

    assert problem_of(both) == (422, "invalid-input")
    assert problem_of(of_nobody) == (404, "unknown-quote")
    assert problem_of(changed) == (409, "quote-changed")
    assert changed.json()["quoted"]["files"] == changed.json()["now"]["files"] + 1
    assert await orders_of(here, jane) == []


@pytest.mark.parametrize("body", ["{", "[]", '"x"', '{"items": {"a": 1}}', '{"dataTypes": ["X"]}'])
async def test_unreadable_bodies(body: str, here: Platform) -> None:
    async with here.client(new_user(here)) as client:
        answer = await client.post(
            ORDERS, content=body, headers={"Content-Type": "application/json"}
        )

    assert answer.status_code == 400
    assert answer.json()["messages"]


@pytest.mark.parametrize(
    "outage",
    [Outage(mode=OutageMode.DOWN), Outage(mode=OutageMode.STATUS, status=500)],
    ids=["down", "500"],
)
async def test_without_the_catalog_nothing_is_ordered(outage: Outage, here: Platform) -> None:
    """503 with the time to come again (S-6)."""
    jane = new_user(here)
    here.sandbox.faults.outages[Service.CATALOG] = outage
    answer = await post(here, jane, {"items": [EVE_01]})

    assert problem_of(answer) == (503, "catalog-unreachable")
    assert answer.headers["Retry-After"] == "30"
    assert "nothing was ordered" in answer.json()["detail"]
    assert await orders_of(here, jane) == []


async def test_a_key_counts_before_the_items(here: Platform) -> None:
    """S-9: its repetition gets the first answer, and it isn't kept that the catalog was down."""
    jane, key = new_user(here), uuid4().hex
    here.sandbox.faults.outages[Service.CATALOG] = Outage(mode=OutageMode.DOWN)
    down = await post(here, jane, {"items": [EVE_01], "reuse": False}, **{"Idempotency-Key": key})
    here.sandbox.faults.outages.clear()
    first = await post(here, jane, {"items": [EVE_01], "reuse": False}, **{"Idempotency-Key": key})
    again = await post(here, jane, {"items": [EVE_01], "reuse": False}, **{"Idempotency-Key": key})
    other = await post(here, jane, {"items": [EVE_02]}, **{"Idempotency-Key": key})

    assert down.status_code == 503
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert (again.content, again.headers["Location"]) == (first.content, first.headers["Location"])
    assert problem_of(other) == (422, "idempotency-key-reused")
    assert len(await orders_of(here, jane)) == 1


async def test_equal_requests_with_a_key_at_once_make_one_order(here: Platform) -> None:
    jane, key = new_user(here), uuid4().hex
    answers = await asyncio.gather(
        *(post(here, jane, {"items": [EVE_01]}, **{"Idempotency-Key": key}) for _ in range(20))
    )

    assert len(await orders_of(here, jane)) == 1
    assert {answer.status_code for answer in answers} <= {201, 409}


async def test_minimal_answers(here: Platform) -> None:
    jane = new_user(here)
    answer = await post(here, jane, {"items": [EVE_01]}, Prefer="return=minimal")

    assert (answer.status_code, answer.content) == (201, b"")
    assert answer.headers["Preference-Applied"] == "return=minimal"
    assert answer.headers["Location"].endswith(f"order-{(await orders_of(here, jane))[0]}")


async def test_50_orders_of_single_items_at_once(here: Platform) -> None:
    """As eodag orders product by product (S-10): each is accepted, and has a label of its own."""
    jane = new_user(here)
    answers = await asyncio.gather(
        *(post(here, jane, {"items": ["EVE_01", f"NO_SUCH_{number}"]}) for number in range(50))
    )

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["title"] for answer in answers}) == 50
