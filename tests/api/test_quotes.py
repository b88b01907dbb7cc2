"""Quotes over REST: what an order would be (faces.md 9)."""

import json
import random
from datetime import timedelta
from typing import Any

import httpx
import pytest

from rs_order.sandbox.faults import Outage, OutageMode, Quota, Service
from rs_order.sandbox.simulated_platform import BUNDLED_ARCHIVE
from tests.acceptance.platform import Platform
from tests.acceptance.shared_platform import EVE_01, EVE_01_BYTES, new_user, until_rows
from tests.support.baskets import put_basket
from tests.support.polling import eventually

ASYNC = {"Prefer": "respond-async"}
PATTERNS = (None, r".*\.(fits|txt)", r"[a-m].*")
TYPES = (["RAWDATA"], ["QUICKLOOK"], ["RAWDATA", "QUICKLOOK"])


async def post(
    here: Platform, email: str, path: str, body: Any, headers: dict[str, str] | None = None
) -> httpx.Response:
    async with here.client(email) as client:
        return await client.post(path, json=body, headers=headers)


async def quote_of(here: Platform, email: str, **body: Any) -> dict[str, Any]:
    """Return a quote that is made at once."""
    answer = await post(here, email, "/orders/quote", body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def read(here: Platform, email: str, name: str) -> httpx.Response:
    async with here.client(email) as client:
        return await client.get(f"/orders/quotes/{name}")


async def quotes(here: Platform, email: str) -> list[str]:
    return [
        row["state"] for row in await here.rows("select state from quote where owner = $1", email)
    ]


def problem_of(answer: httpx.Response) -> tuple[int, str, bool]:
    """Return status, code, and whether the client shall try again."""
    body = answer.json()
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert body["messages"]
    return answer.status_code, body["code"], "Retry-After" in answer.headers


async def test_a_quote_of_one_file_on_tape(here: Platform) -> None:
    """Everything is read, so it is exact. Nothing is ordered, and it can be read again."""
    jane = new_user(here)
    made = await quote_of(here, jane, queries=[EVE_01])
    again = (await read(here, jane, made["id"])).json()

    assert again == made
    assert made["state"] == "ready"
    assert (made["exact"], made["products"], made["files"], made["bytes"], made["unknownSize"]) == (
        True,
        1,
        1,
        EVE_01_BYTES,
        0,
    )
    assert made["where"] == {
        "online": {"files": 0, "bytes": 0},
        "nearline": {"files": 1, "bytes": EVE_01_BYTES},
        "external": {"files": 0},
        "unknown": {"files": 0, "bytes": 0},
        "basis": "catalog flags of all files, checked with storage for 1",
    }
    assert made["subOrders"] == {"min": 1, "max": 1}
    assert (made["expected"], made["why"]) == (None, "no-history")
    assert made["limits"] == {"downloadQuota": {"needed": 1}, "expires": "PT6H"}
    assert (made["blocks"], made["advice"]) == ([], [])
    assert made["order"] == {
        "href": f"{here.url}/user/orders/apply",
        "method": "POST",
        "body": {"quoteId": made["id"]},
    }
    assert await here.rows("select from orders where owner = $1", jane) == []


async def test_a_quote_of_the_basket(here: Platform) -> None:
    """It is ordered by the request that orders a basket, with a label. The basket stays."""
    jane = new_user(here)
    await put_basket(here, jane, "productId:EVE_0*")
    made = await quote_of(here, jane, basket=True)
    order = made["order"]
    created = await post(here, jane, "/user/orders", {**order["body"], "label": "quoted"})
    taken = await post(here, jane, "/user/orders", {**order["body"], "label": "quoted"})
    await until_ordered(here, created.json()["content"]["id"])

    assert order["href"] == f"{here.url}/user/orders"
    assert created.status_code == 201
    assert created.json()["content"]["label"] == "quoted"
    assert problem_of(taken) == (422, "label-in-use", False)
    assert await ordered(here, created.json()["content"]["id"]) == quoted(made)
    assert made["files"] > 1
    assert await here.rows("select from basket where owner = $1 and order_id is null", jane)


async def test_an_empty_basket_has_nothing_to_order(here: Platform) -> None:
    """The block is hard: ordering is rejected, too."""
    jane = new_user(here)
    made = await quote_of(here, jane, basket="true")
    order = await post(here, jane, "/user/orders/apply", made["order"]["body"])

    assert made["files"] == 0
    assert [(block["code"], block["hard"]) for block in made["blocks"]] == [
        ("nothing-to-order", True)
    ]
    assert problem_of(order) == (422, "nothing-to-order", False)


def random_selection(seed: int) -> dict[str, Any]:
    """Return queries and filters; some find nothing that passes."""
    drawn = random.Random(seed)  # noqa: S311 - a reproducible choice
    manifest = json.loads((BUNDLED_ARCHIVE / "manifest.json").read_text(encoding="utf-8"))
    ids = [one["providerId"] for dataset in manifest["datasets"] for one in dataset["products"]]
    queries = [
        f"productId:({' OR '.join(drawn.sample(ids, drawn.randint(1, 20)))})"
        for _ in range(drawn.randint(1, 3))
    ]
    if drawn.random() < 0.2:
        queries = ["*:*"]
    body: dict[str, Any] = {"queries": queries}
    if drawn.random() < 0.6:
        body["filters"] = {"dataTypes": drawn.choice(TYPES)}
        if (pattern := drawn.choice(PATTERNS)) is not None:
            body["filters"]["filenameRegExp"] = pattern
    return body


async def until_ordered(here: Platform, order: int) -> None:
    """Wait until all files of an order are known."""
    await until_rows(here, "select from orders where id = $1 and status <> 'PENDING'", order)


async def ordered(here: Platform, order: int) -> tuple[int, int, int, int]:
    """Return the files, the bytes and twice the sub-orders of an order."""
    (found,) = await here.rows(
        "select (select count(*) from data_file where order_id = $1) as files,"
        " (select coalesce(sum(size), 0) from data_file where order_id = $1)::bigint as bytes,"
        " (select count(*) from sub_order where order_id = $1) as sub_orders",
        order,
    )
    return found["files"], found["bytes"], found["sub_orders"], found["sub_orders"]


def quoted(made: dict[str, Any]) -> tuple[int, int, int, int]:
    assert made["exact"]
    assert (
        sum(part["files"] for part in made["where"].values() if isinstance(part, dict))
        == (made["files"])
    )
    return made["files"], made["bytes"], made["subOrders"]["min"], made["subOrders"]["max"]


@pytest.mark.parametrize("seeds", [range(first, first + 10) for first in range(0, 50, 10)], ids=str)
async def test_a_quote_equals_its_order(here: Platform, seeds: range) -> None:
    """Random selections of the archive; each order has the files, bytes and sub-orders of its quote."""
    for seed in seeds:
        jane = new_user(here)
        made = await quote_of(here, jane, **random_selection(seed))
        answer = await post(here, jane, "/user/orders/apply", made["order"]["body"])
        content = answer.json()["content"]
        await until_ordered(here, content["orderId"])

        assert content["status"] == "GRANTED"
        assert await ordered(here, content["orderId"]) == quoted(made), (seed, made)


async def test_a_quote_that_is_made_meanwhile(here: Platform) -> None:
    """202 at once, with its address; a step makes it."""
    jane = new_user(here)
    answer = await post(here, jane, "/orders/quote", {"queries": [EVE_01]}, ASYNC)
    location = answer.headers["Location"]
    name = answer.json()["id"]

    async def ready() -> bool:
        return bool((await read(here, jane, name)).json()["state"] == "ready")

    await eventually(ready, "the quote is ready")

    assert answer.status_code == 202
    assert answer.headers["Preference-Applied"] == "respond-async"
    assert answer.headers["Retry-After"] == "5"
    assert location == f"{here.url}/orders/quotes/{name}"
    assert (await read(here, jane, name)).json()["files"] == 1


async def test_quotes_of_others_are_unknown(here: Platform) -> None:
    """Neither read nor ordered, whatever the role, like quotes that don't exist."""
    jane, john = new_user(here), new_user(here)
    name = (await quote_of(here, jane, queries=[EVE_01]))["id"]
    async with here.client(john, "PROJECT_ADMIN") as client:
        of_jane = await client.get(f"/orders/quotes/{name}")
    answers = [of_jane]
    for unknown in (name, "q-999999999", "q-", "x", "q-1.5", "q-٣", "q-" + "9" * 25):
        answers.append(await read(here, john, unknown))
        answers.append(await post(here, john, "/user/orders/apply", {"quoteId": unknown}))
        answers.append(await post(here, john, "/user/orders", {"quoteId": unknown}))

    assert {problem_of(answer) for answer in answers} == {(404, "unknown-quote", False)}


async def test_an_expired_quote_cannot_be_ordered(here: Platform) -> None:
    """409 after an hour."""
    jane = new_user(here)
    name = (await quote_of(here, jane, queries=[EVE_01]))["id"]
    await here.rows(
        "update quote set created_at = created_at - $1::interval where owner = $2",
        timedelta(hours=1),
        jane,
    )
    answer = await post(here, jane, "/user/orders/apply", {"quoteId": name})

    assert problem_of(answer) == (409, "quote-expired", False)
    assert await here.rows("select from orders where owner = $1", jane) == []


async def test_a_changed_quote_cannot_be_ordered(here: Platform) -> None:
    """409 with both figures, when the catalog counts more than 1 % less."""
    jane = new_user(here)
    made = await quote_of(here, jane, queries=["productId:EVE_0*"])
    here.sandbox.faults.created = {"EVE_01": here.clock.now() + timedelta(days=1)}
    answer = await post(here, jane, "/user/orders/apply", made["order"]["body"])
    body = answer.json()

    assert problem_of(answer) == (409, "quote-changed", False)
    assert body["quoted"] == {"files": made["files"], "bytes": made["bytes"]}
    assert body["now"]["files"] == made["files"] - 1
    assert body["now"]["bytes"] == made["bytes"] - EVE_01_BYTES
    assert await here.rows("select from orders where owner = $1", jane) == []


async def test_later_products_do_not_slip_in(here: Platform) -> None:
    """The order finds what was there at the time of the quote."""
    jane = new_user(here)
    here.sandbox.faults.created = {"EVE_02": here.clock.now() + timedelta(days=1)}
    made = await quote_of(here, jane, queries=["productId:(EVE_01 OR EVE_02)"])
    here.sandbox.faults.created = {"EVE_02": here.clock.now()}
    answer = await post(here, jane, "/user/orders/apply", made["order"]["body"])
    order = answer.json()["content"]["orderId"]
    await until_ordered(here, order)

    assert made["files"] == 1
    assert await ordered(here, order) == quoted(made)


async def test_files_that_storage_was_asked_for(here: Platform) -> None:
    """They are counted, and so are the sub-orders that wait for their owner's download."""
    here.sandbox.faults.silence = True
    jane = new_user(here)
    await post(here, jane, "/user/orders/apply", {"queries": [EVE_01]})
    await until_rows(here, "select from sub_order where owner = $1 and state = 'RUNNING'", jane)
    made = await quote_of(here, new_user(here), queries=[EVE_01])
    here.sandbox.restores.release()

    assert made["alreadyRequested"] == {"files": 1, "bytes": EVE_01_BYTES}


async def test_files_that_storage_has_at_hand(here: Platform) -> None:
    """They are online, whatever the catalog says, after another order brought them back from tape."""
    correlation_id = await here.peer.order(EVE_01, user=new_user(here))
    await here.peer.until_final(correlation_id)
    made = await quote_of(here, new_user(here), queries=[EVE_01])
    where = made["where"]

    assert where["online"] == {"files": 1, "bytes": EVE_01_BYTES}
    assert where["nearline"] == {"files": 0, "bytes": 0}
    assert where["basis"] == "catalog flags of all files, checked with storage for 1"


@pytest.mark.parametrize("outage", [None, Outage(mode=OutageMode.DOWN)], ids=["up", "down"])
async def test_a_quota_that_is_smaller_than_the_order(
    here: Platform, outage: Outage | None
) -> None:
    """A block before anything is downloaded. Without an answer of storage, a quote does without it."""
    jane, john = new_user(here), new_user(here)
    here.sandbox.faults.quotas = {
        jane: Quota(max_files=2),
        john: Quota(max_files=1000),
    }
    if outage:
        here.sandbox.faults.outages = {Service.STORAGE: outage}
    made = await quote_of(here, jane, queries=["productId:EVE_0*"])
    enough = await quote_of(here, john, queries=["productId:EVE_0*"])
    needed = made["limits"]["downloadQuota"]["needed"]

    assert needed == made["files"] > 2
    assert enough["blocks"] == []
    if outage:
        assert made["limits"]["downloadQuota"] == {"needed": needed}
        assert made["where"]["basis"] == "catalog flags of all files, not checked with storage"
        assert made["blocks"] == []
    else:
        assert made["limits"]["downloadQuota"] == {"left": 2, "needed": needed}
        assert made["blocks"] == [
            {
                "code": "download-quota",
                "text": f"Your quota allows 2 more downloads; {needed} files of this order count.",
                "hard": False,
            }
        ]


async def test_advice_about_quicklooks(here: Platform) -> None:
    """Only if there are both, so that it is true."""
    jane = new_user(here)
    both = await quote_of(here, jane, queries=["dataset:SDO_HMI"])
    raw = await quote_of(
        here, jane, queries=["dataset:SDO_HMI"], filters={"dataTypes": ["RAWDATA"]}
    )

    assert both["advice"] == ["Do you need only RAWDATA? Without quicklooks, it is 1 files."]
    assert (raw["files"], raw["advice"]) == (1, [])


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "invalid-input"),
        ({"queries": []}, 422, "invalid-input"),
        ({"queries": ["*"], "basket": True}, 422, "invalid-input"),
        ({"queries": ["*"], "filters": {"dataTypes": ["RAWDATA"], "filenameRegExp": "("}}, 422,
         "invalid-input"),
        ({"queries": ["no_such_field:1"]}, 422, "search-rejected"),
        ({"items": ["URN:AIP:DATA:project1:1:V1"]}, 400, "not-supported"),
        ({"type": "FeatureCollection", "features": []}, 400, "not-supported"),
        ({"queries": "*"}, 400, "malformed-request"),
        ([1], 400, "malformed-request"),
    ],
)  # fmt: skip
async def test_nonsense_is_rejected(here: Platform, body: Any, status: int, code: str) -> None:
    """With a code that can be explained; no quote is kept."""
    jane = new_user(here)
    answer = await post(here, jane, "/orders/quote", body)
    async with here.client(jane) as client:
        explanation = await client.get(f"/problems/{code}")

    assert problem_of(answer) == (status, code, False)
    assert explanation.json()["advice"]
    assert await quotes(here, jane) == []


async def test_a_quote_of_a_catalog_that_is_down(here: Platform) -> None:
    """503 with a code and the time to try again. A quote that is made meanwhile waits for the catalog."""
    here.sandbox.faults.outages = {Service.CATALOG: Outage(mode=OutageMode.DOWN)}
    jane, john = new_user(here), new_user(here)
    answer = await post(here, jane, "/orders/quote", {"queries": [EVE_01]})
    later = await post(here, john, "/orders/quote", {"queries": [EVE_01]}, ASYNC)
    name = later.json()["id"]

    async def failed() -> bool:
        return bool((await read(here, john, name)).json()["state"] == "failed")

    await eventually(failed, "the quote has failed")

    assert problem_of(answer) == (503, "catalog-unreachable", True)
    assert await quotes(here, jane) == []
    assert later.status_code == 202
    assert (await read(here, john, name)).json()["failure"]["code"] == "catalog-unreachable"
    assert problem_of(await post(here, john, "/user/orders/apply", {"quoteId": name})) == (
        409,
        "quote-failed",
        False,
    )


async def test_a_user_may_request_thirty_quotes_an_hour(here: Platform) -> None:
    """429 with the time until the first of them is an hour old; others aren't concerned."""
    jane = new_user(here)
    await here.rows(
        "insert into quote (owner, role, created_at, updated_at, state, failure)"
        " select $1, 'r', $2, $2, 'failed', 'quote-not-made' from generate_series(1, 30)",
        jane,
        here.clock.now() - timedelta(minutes=59),
    )
    answer = await post(here, jane, "/orders/quote", {"queries": [EVE_01]})
    other = await quote_of(here, new_user(here), queries=[EVE_01])

    assert problem_of(answer) == (429, "too-many-quotes", True)
    assert 0 < int(answer.headers["Retry-After"]) <= 60
    assert other["state"] == "ready"


async def test_three_quotes_of_a_project_are_made_at_a_time(here: Platform) -> None:
    """429 while they are at work. One that is an hour old has failed, and doesn't count."""
    jane, now = new_user(here), here.clock.now()
    for number, age in enumerate((0, 0, 0, 61)):
        await here.rows(
            "insert into quote (owner, role, created_at, updated_at) values ($1, 'r', $2, $2)",
            f"{number}-{jane}",
            now - timedelta(minutes=age),
        )
    answer = await post(here, jane, "/orders/quote", {"queries": [EVE_01]})
    (first, *_, old) = await here.rows(
        "select id from quote where owner like '%' || $1 order by id", jane
    )
    at_work = await post(here, f"0-{jane}", "/user/orders/apply", {"quoteId": f"q-{first['id']}"})
    failed = await read(here, f"3-{jane}", f"q-{old['id']}")
    await here.rows("delete from quote where id = $1", first["id"])
    allowed = await quote_of(here, jane, queries=[EVE_01])
    await here.rows("delete from quote where owner like '%' || $1", jane)

    assert problem_of(answer) == (429, "too-many-quotes", True)
    assert problem_of(at_work) == (409, "quote-not-ready", True)
    assert failed.json()["failure"]["code"] == "quote-not-made"
    assert allowed["state"] == "ready"
