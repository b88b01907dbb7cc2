"""Orders are collections of STAC, and their products are items (faces.md 2.3, 2.5, 2.6)."""

import asyncio
import hashlib
import io
import re
import tarfile
import zipfile
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.acceptance.platform import Platform
from tests.acceptance.shared_platform import new_user, until_rows
from tests.api.given import given_files, given_order, given_task
from tests.api.test_stac_orders import EVE_01, EVE_02, expire, until_done
from tests.support.stac_documents import AUTH, FILE, ORDER, TIMESTAMPS, broken_rules


async def get(here: Platform, email: str, path: str, **headers: str) -> httpx.Response:
    """Get a document, which keeps the rules of the extensions."""
    async with here.client(email) as client:
        answer = await client.get(path, headers=headers)
    if "json" in answer.headers.get("Content-Type", ""):
        assert broken_rules(answer.json()) == []
    return answer


async def ordered(here: Platform, email: str, *items: str) -> int:
    """Order items, wait until all files are available, and return the number of the order."""
    async with here.client(email) as client:
        answer = await client.post("/stac/orders", json={"items": list(items)})
    order = int(answer.json()["order:id"])
    await until_done(here, order)
    return order


def link(document: dict[str, Any], rel: str) -> dict[str, Any]:
    (found,) = [one for one in document["links"] if one["rel"] == rel]
    return dict(found)


async def test_the_landing_page(here: Platform) -> None:
    jane = new_user(here)
    landing = (await get(here, jane, "/api/v1/rs-order/stac")).json()
    conformance = await get(here, jane, "/stac/conformance")

    assert landing["type"] == "Catalog"
    assert link(landing, "self")["href"] == f"{here.url}/api/v1/rs-order/stac"
    assert conformance.json()["conformsTo"] == landing["conformsTo"]
    assert "https://api.stacspec.org/v1.0.0/item-search" in landing["conformsTo"]
    for rel in ("data", "conformance", "service-desc"):
        assert (await get(here, jane, link(landing, rel)["href"])).status_code == 200


async def test_an_order_that_is_done(here: Platform) -> None:
    jane = new_user(here)
    order = await ordered(here, jane, EVE_01, EVE_02)
    answer = await get(here, jane, f"/stac/collections/order-{order}")
    document = answer.json()
    assets = document["assets"]

    assert answer.headers["Content-Type"] == "application/json"
    assert "Retry-After" not in answer.headers
    assert (document["stac_version"], document["license"]) == ("1.1.0", "other")
    assert document["stac_extensions"] == [ORDER, TIMESTAMPS, AUTH]
    assert (document["order:status"], document["rsorder:status"]) == ("succeeded", "DONE")
    assert (document["rsorder:percent"], document["rsorder:failed"]) == (100, False)
    assert document["rsorder:files"] == {"total": 2, "available": 2, "delivered": 0, "failed": 0}
    assert document["rsorder:reason"] == "ready-for-you"
    assert document["rsorder:message"] == "Files that are ready for your download: 2."
    assert document["description"].startswith("2 products ordered on ")
    assert document["extent"]["temporal"]["interval"] == [
        [document["order:date"], document["expires"]]
    ]
    assert set(assets) == {"archive", "archive-tar", "metalink", "manifest"}
    assert link(document, "enclosure")["href"] == assets["archive"]["href"]
    assert {
        one["href"].rpartition("/")[2] for one in document["links"] if one["rel"] == "item"
    } == {
        EVE_01,
        EVE_02,
    }
    for rel in ("root", "items", "order", "monitor"):
        assert (await get(here, jane, link(document, rel)["href"])).status_code == 200
    for name in ("metalink", "manifest"):
        downloaded = await get(here, jane, assets[name]["href"])
        assert downloaded.status_code == 200
        assert downloaded.headers["Content-Type"].startswith(assets[name]["type"])


@pytest.mark.parametrize(
    ("status", "files", "expected", "failed"),
    [
        ("PENDING", "", "ordered", False),
        ("RUNNING", "pa", "shipping", False),
        ("PAUSED", "pa", "pending", False),
        ("DONE", "ad", "succeeded", False),
        ("DONE_WITH_WARNING", "ae", "succeeded", False),
        ("DONE_WITH_WARNING", "de", "succeeded", False),
        ("DONE_WITH_WARNING", "ee", "failed", True),
        ("DONE_WITH_WARNING", "", "failed", True),
        ("FAILED", "ee", "failed", True),
        ("ERROR", "", "failed", True),
        ("EXPIRED", "aa", "failed", True),
    ],
)
async def test_statuses(
    status: str, files: str, expected: str, failed: bool, here: Platform
) -> None:
    """One failure: everything that ends without something to download (S-12)."""
    jane = new_user(here)
    order = await given_order(here, jane, status, files=files, expires_at=soon())
    document = (await get(here, jane, f"/stac/collections/order-{order}")).json()

    assert (document["order:status"], document["rsorder:failed"]) == (expected, failed)
    assert document["rsorder:message"]
    assert bool(document["assets"]) is (expected != "failed" and bool({"a", "d"} & set(files)))
    assert any(one["rel"] == "enclosure" for one in document["links"]) is (expected == "succeeded")


@pytest.mark.parametrize(
    ("before", "expected"),
    [("DONE", "succeeded"), ("DONE_WITH_WARNING", "succeeded"), ("RUNNING", "failed")],
)
async def test_an_expired_order(before: str, expected: str, here: Platform) -> None:
    """It has no downloads any more, and says how to order the same again."""
    jane = new_user(here)
    order = await ordered(here, jane, EVE_01)
    await expire(here, order)
    await here.rows(
        "insert into history (order_id, before, after, reason, actor)"
        " values ($1, $2, 'EXPIRED', 'expired', 'rs-order')",
        *(order, before),
    )
    document = (await get(here, jane, f"/stac/collections/order-{order}")).json()
    again = link(document, "retrieve")
    async with here.client(jane) as client:
        answer = await client.request(again["method"], again["href"], json=again["body"])
        archive = await client.get(f"/user/orders/{order}/archive.zip")

    assert (document["order:status"], document["assets"]) == (expected, {})
    assert "Order again" in document["rsorder:message"]
    assert answer.status_code == 201
    assert (archive.status_code, archive.json()["code"]) == (410, "order-gone")


async def test_who_may_read_an_order(here: Platform) -> None:
    """S-3: the owner and administrators; a deleted order is gone."""
    jane = new_user(here)
    order, deleted = await given_order(here, jane), await given_order(here, jane, "DELETED")
    paths = {
        f"/stac/collections/order-{order}": ("not-owner", 403),
        "/stac/collections/order-987654321": ("unknown-order", 404),
    }
    for path, (code, status) in paths.items():
        for suffix in ("", "/items", f"/items/{EVE_01}"):
            answer = await get(here, new_user(here), path + suffix)
            assert (answer.status_code, answer.json()["code"]) == (status, code)
    gone = await get(here, jane, f"/stac/collections/order-{deleted}")
    async with here.client(new_user(here), "PROJECT_ADMIN") as client:
        admin = await client.get(f"/stac/collections/order-{order}")

    assert (gone.status_code, gone.json()["code"]) == (410, "order-gone")
    assert admin.status_code == 200


async def test_an_order_that_failed_says_why(here: Platform) -> None:
    """The message is what eodag shows to its user."""
    jane = new_user(here)
    order = await given_order(here, jane, "FAILED")
    task = await given_task(here, order)
    await given_files(here, order, task, "ee")
    await here.rows(
        "update data_file set reason = 'the tape is broken.' where order_id = $1", order
    )
    await here.rows(
        "insert into history (order_id, before, after, reason, actor)"
        " values ($1, 'RUNNING', 'FAILED', 'storage-answered', 'storage')",
        order,
    )
    english = (await get(here, jane, f"/stac/collections/order-{order}")).json()
    french = await get(here, jane, f"/stac/collections/order-{order}", **{"Accept-Language": "fr"})

    assert english["rsorder:message"] == (
        "Storage can't deliver the files. For example f1: the tape is broken."
    )
    assert french.json()["rsorder:message"] == (
        "Le stockage ne peut pas livrer les fichiers. Par exemple f1 : the tape is broken."
    )
    assert french.headers["Content-Language"] == "fr"


async def test_an_order_with_failures_leads_to_their_list(here: Platform) -> None:
    jane = new_user(here)
    order = await given_order(here, jane, "DONE_WITH_WARNING", files="aae")
    document = (await get(here, jane, f"/stac/collections/order-{order}")).json()

    assert document["assets"]["archive"]["title"] == "2 of 3 files"
    assert document["rsorder:message"].endswith(
        "Files that failed: 1 of 3. The asset manifest names them, and why."
    )


async def test_a_status_that_is_known_is_not_sent_again(here: Platform) -> None:
    """C-7, E-21: 304 for its ETag, and a waiting request is answered as soon as something changes."""
    jane = new_user(here)
    order = await given_order(here, jane, "PAUSED", files="p", expires_at=soon())
    path = f"/stac/collections/order-{order}"
    first = await get(here, jane, path)
    tag = first.headers["ETag"]
    known = await get(here, jane, path, **{"If-None-Match": tag})
    waiting = asyncio.create_task(
        get(here, jane, path, **{"If-None-Match": tag, "Prefer": "wait=40"})
    )
    await here.rows("update orders set available_files = 1 where id = $1", order)
    changed = await waiting
    async with here.client(jane) as client:
        head = await client.head(path)

    assert tag.startswith('W/"')
    assert 5 <= int(first.headers["Retry-After"]) <= 300
    assert (known.status_code, known.headers["ETag"]) == (304, tag)
    # The change may have come before the request, which then didn't wait.
    assert changed.headers.get("Preference-Applied", "wait=40") == "wait=40"
    assert changed.status_code == 200
    assert changed.json()["rsorder:files"]["available"] == 1
    assert (head.status_code, head.headers["ETag"]) == (200, changed.headers["ETag"])


async def test_the_list_of_orders(here: Platform) -> None:
    """The caller's own, newest first, in pages, without the deleted ones."""
    jane, john = new_user(here), new_user(here)
    orders = [
        await given_order(here, jane, created_at=datetime(2026, 1, 1 + number // 2, tzinfo=UTC))
        for number in range(5)
    ]
    await given_order(here, jane, "DELETED")
    await given_order(here, john)
    listed: list[str] = []
    address: str | None = "/stac/collections?limit=2"
    while address:
        page = (await get(here, jane, address)).json()
        listed += [one["id"] for one in page["collections"]]
        address = next((one["href"] for one in page["links"] if one["rel"] == "next"), None)

    assert listed == [f"order-{order}" for order in reversed(orders)]


async def test_an_item(here: Platform) -> None:
    """Its asset is the file: the link downloads it, and the multihash is that of its bytes (S-17)."""
    jane = new_user(here)
    order = await ordered(here, jane, EVE_01)
    answer = await get(here, jane, f"/stac/collections/order-{order}/items/{EVE_01}")
    document = answer.json()
    (name,) = document["assets"]
    asset = document["assets"][name]
    downloaded = await get(here, jane, asset["href"])
    md5 = hashlib.md5(downloaded.content, usedforsecurity=False).hexdigest()
    sha256 = hashlib.sha256(downloaded.content).hexdigest()
    await until_rows(
        here,
        "select from data_file where order_id = $1 and sha256 is not null and verified_at is not null",
        order,
    )
    after = await get(here, jane, f"/stac/collections/order-{order}/items/{EVE_01}")

    assert answer.headers["Content-Type"] == "application/geo+json"
    assert (document["id"], document["collection"]) == (EVE_01, f"order-{order}")
    assert (document["geometry"], "bbox" in document) == (None, False)
    assert document["stac_extensions"] == [ORDER, TIMESTAMPS, AUTH, FILE]
    assert document["properties"]["order:status"] == "succeeded"
    assert document["properties"]["rsorder:product_id"] == "EVE_01"
    assert name == "eve_01.txt"
    assert asset["roles"] == ["data"]
    assert asset["file:size"] == len(downloaded.content)
    assert asset["file:checksum"] == f"d50110{md5}"
    assert asset["file:local_path"] == "EVE_01/eve_01.txt"
    assert asset["auth:refs"] == ["bearer"]
    assert after.json()["assets"][name]["file:checksum"] == f"1220{sha256}"


async def of_catalog(here: Platform, email: str, id_: str) -> dict[str, Any]:
    """Return the item that the catalog has."""
    async with here.client(email) as client:
        url = f"{here.settings.catalog_stac_url}/search"
        (found,) = (await client.post(url, json={"ids": [id_]})).json()["features"]
    return dict(found)


async def test_items_have_what_the_catalog_knows(here: Platform) -> None:
    """Time and properties are the catalog's, and its item is linked (S-16)."""
    jane = new_user(here)
    order = await ordered(here, jane, EVE_01)
    (item,) = (await get(here, jane, f"/stac/collections/order-{order}/items")).json()["features"]
    known = await of_catalog(here, jane, EVE_01)

    assert known["properties"].items() <= item["properties"].items()
    assert item["properties"]["datetime"] != item["properties"]["order:date"]
    assert EVE_01.replace(":", "%3A") in link(item, "derived_from")["href"]


async def test_ids_of_providers(here: Platform) -> None:
    """If the catalog's items have them, those of orders have them, too; URNs are still found (S-16)."""
    jane = new_user(here)
    order = await ordered(here, jane, EVE_01, EVE_02)
    path = f"/stac/collections/order-{order}"
    here.sandbox.faults.stac_ids_of_providers = True
    async with here.client("admin@example.org", "ADMIN") as admin:
        rejected = await admin.put("/settings/stac_item_ids", json={"value": "name"})
        await admin.put("/settings/stac_item_ids", json={"value": "provider"})
        try:
            listed = (await get(here, jane, f"{path}/items")).json()["features"]
            one = await get(here, jane, f"{path}/items/EVE_01")
            unknown = await get(here, jane, f"{path}/items/EVE_03")
            found = [await searched(here, jane, ids=[name]) for name in ("EVE_02", EVE_02, "EVE")]
            collection = (await get(here, jane, path)).json()
        finally:
            await admin.delete("/settings/stac_item_ids")
    known = await of_catalog(here, jane, "EVE_01")

    assert rejected.status_code == 422
    assert sorted(item["id"] for item in listed) == ["EVE_01", "EVE_02"]
    assert (one.json()["id"], link(one.json(), "self")["href"]) == (
        "EVE_01",
        f"{here.url}{path}/items/EVE_01",
    )
    assert known["properties"].items() <= one.json()["properties"].items()
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown-item")
    assert found == [[(f"order-{order}", "EVE_02")]] * 2 + [[]]
    items = [one["href"] for one in collection["links"] if one["rel"] == "item"]
    assert sorted(items) == [f"{here.url}{path}/items/EVE_0{number}" for number in (1, 2)]


async def test_products_of_large_orders_are_not_linked(here: Platform) -> None:
    """A collection links to at most 1000 products (S-14)."""
    jane = new_user(here)
    linked = []
    for products in (1000, 1001):
        order = await given_products(here, jane, products)
        document = (await get(here, jane, f"/stac/collections/order-{order}")).json()
        linked.append(len([one for one in document["links"] if one["rel"] == "item"]))

    assert linked == [1000, 0]


async def test_quicklooks_are_overviews(here: Platform) -> None:
    jane = new_user(here)
    order = await given_order(here, jane, "DONE", expires_at=soon())
    await given_files(here, order, await given_task(here, order), "aa")
    await here.rows(
        "update data_file set data_type = 'QUICKLOOK_SD' where order_id = $1 and name = 'f2'", order
    )
    (item,) = (await get(here, jane, f"/stac/collections/order-{order}/items")).json()["features"]

    assert {name: asset["roles"] for name, asset in item["assets"].items()} == {
        "f1": ["data"],
        "f2": ["overview"],
    }


async def test_files_that_an_order_gets_later(here: Platform) -> None:
    """Outputs of processes: they join their product, or are a new one."""
    jane = new_user(here)
    order = await given_order(here, jane, "RUNNING", expires_at=soon())
    task = await given_task(here, order)
    await given_files(here, order, task, "a")
    path = f"/stac/collections/order-{order}/items"
    first = (await get(here, jane, path)).json()["features"]
    _, later = await given_files(here, order, task, "aaa")
    await here.rows(
        "update data_file set product_urn = 'URN:AIP:DATA:project1:2:V1' where id = $1", later[2]
    )
    again = (await get(here, jane, path)).json()["features"]

    assert [len(item["assets"]) for item in first] == [1]
    assert sorted((item["id"][-4:], len(item["assets"])) for item in again) == [
        ("1:V1", 3),
        ("2:V1", 1),
    ]


async def test_the_list_of_products_is_deleted_with_the_files(here: Platform) -> None:
    jane = new_user(here)
    order = await ordered(here, jane, EVE_01)
    await get(here, jane, f"/stac/collections/order-{order}/items")
    listed = await here.rows("select from listed_product where order_id = $1", order)
    async with here.client(jane) as client:
        deleted = await client.delete(f"/user/orders/{order}")
    await until_rows(
        here, "select where not exists (select from listed_product where order_id = $1)", order
    )

    assert len(listed) == 1
    assert deleted.status_code == 200


async def test_links_with_tokens(here: Platform) -> None:
    """Programs that can't send headers download with them (C-9)."""
    jane = new_user(here)
    order = await ordered(here, jane, EVE_01)
    path = f"/stac/collections/order-{order}"
    collection = (await get(here, jane, f"{path}?links=token")).json()
    items = (await get(here, jane, f"{path}/items?links=token")).json()
    (item,) = items["features"]
    async with httpx.AsyncClient(follow_redirects=True, timeout=60) as client:
        assets = [*collection["assets"].values(), *item["assets"].values()]
        answers = [await client.get(asset["href"]) for asset in assets]

    assert [answer.status_code for answer in answers] == [200] * 5
    assert all("auth:refs" not in asset for asset in assets)
    for document in (collection, item):
        assert AUTH not in document["stac_extensions"]
        assert "auth:schemes" not in document | document.get("properties", {})


async def given_products(here: Platform, email: str, products: int, files: int = 1) -> int:
    """Insert an order with products of so many files, and return its number."""
    order = await given_order(here, email, "DONE", expires_at=soon())
    task = await given_task(here, order, products_count=products)
    await given_files(here, order, task, "a" * products * files)
    await here.rows(
        "update data_file set product_urn = 'URN:AIP:DATA:project1:' || $1 || '-' || id % $2 || ':V1'"
        " where order_id = $3",
        *(str(order), products, order),
    )
    return order


async def test_items_in_pages(here: Platform) -> None:
    """Each product once, with all its files, however large the pages are."""
    jane = new_user(here)
    order = await given_products(here, jane, 23, files=3)
    for limit in (1, 7, 23, 1000):
        address: str | None = f"/stac/collections/order-{order}/items?limit={limit}"
        found: list[Any] = []
        while address:
            page = (await get(here, jane, address)).json()
            assert page["numberReturned"] == len(page["features"]) <= limit
            found += page["features"]
            address = next((one["href"] for one in page["links"] if one["rel"] == "next"), None)

        assert len({one["id"] for one in found}) == len(found) == 23
        assert all(len(one["assets"]) == 3 for one in found)


async def test_a_page_ends_before_products_with_many_files(here: Platform) -> None:
    """A page stays small, whatever its limit: 12 products of 1100 files need three."""
    jane = new_user(here)
    order = await given_products(here, jane, 12, files=1100)
    address: str | None = f"/stac/collections/order-{order}/items?limit=1000"
    pages: list[Any] = []
    while address:
        page = (await get(here, jane, address)).json()
        pages.append(page["features"])
        address = next((one["href"] for one in page["links"] if one["rel"] == "next"), None)

    assert [len(page) for page in pages] == [5, 5, 2]
    assert all(len(one["assets"]) == 1000 for page in pages for one in page)
    assert all(one["properties"]["rsorder:has_more_files"] for page in pages for one in page)


async def test_items_that_are_not_known(here: Platform) -> None:
    """A pending order has no items yet, an expired one none any more, and a deleted file no asset."""
    jane = new_user(here)
    pending = await given_order(here, jane, "PENDING", files="a")
    expired = await given_order(here, jane, "EXPIRED", files="a")
    running = await given_order(here, jane, "RUNNING")
    await given_files(here, running, await given_task(here, running), "pade")
    for order in (pending, expired):
        assert (await get(here, jane, f"/stac/collections/order-{order}/items")).json()[
            "features"
        ] == []
    (item,) = (await get(here, jane, f"/stac/collections/order-{running}/items")).json()["features"]
    unknown = await get(here, jane, f"/stac/collections/order-{running}/items/{EVE_01}")

    assert item["properties"]["order:status"] == "shipping"
    assert {name: one["rsorder:state"] for name, one in item["assets"].items()} == {
        "f2": "AVAILABLE",
        "f3": "DOWNLOADED",
    }
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown-item")


async def searched(here: Platform, email: str, **conditions: Any) -> list[tuple[str, str]]:
    """Return collection and id of all items found, page by page with POST and with GET."""
    by_post, by_get = [], []
    async with here.client(email) as client:
        body: dict[str, Any] | None = conditions
        while body is not None:
            page = (await client.post("/stac/search", json=body)).json()
            by_post += page["features"]
            following = [one for one in page["links"] if one["rel"] == "next"]
            assert all(one["merge"] and one["method"] == "POST" for one in following)
            body = {**body, **following[0]["body"]} if following else None
        values = {
            name: ",".join(value) if isinstance(value, list) else value
            for name, value in conditions.items()
        }
        address: str | None = str(httpx.URL("/stac/search", params=values))
        while address:
            page = (await client.get(address)).json()
            by_get += page["features"]
            address = next((one["href"] for one in page["links"] if one["rel"] == "next"), None)

    assert by_get == by_post
    return [(one["collection"], one["id"]) for one in by_post]


async def test_a_search(here: Platform) -> None:
    """Over the caller's own orders, the newest first; conditions are orders and ids (S-18)."""
    jane = new_user(here)
    await given_products(here, new_user(here), 2)
    orders = [await given_products(here, jane, number) for number in (3, 1, 2)]
    first, second, third = [f"order-{order}" for order in orders]
    everything = await searched(here, jane, limit=2)
    urn = f"URN:AIP:DATA:project1:{orders[0]}-1:V1"

    assert [collection for collection, _ in everything] == [*[third] * 2, second, *[first] * 3]
    assert len(set(everything)) == 6
    assert sorted(await searched(here, jane)) == sorted(everything)
    assert {one for one, _ in await searched(here, jane, collections=[first, third])} == {
        first,
        third,
    }
    assert await searched(here, jane, ids=[urn, "no such"]) == [(first, urn)]
    assert await searched(here, jane, ids=[urn], collections=[second]) == []
    assert await searched(here, jane, collections=["landsat"]) == []
    assert await searched(here, new_user(here)) == []


@pytest.mark.parametrize("name", ["bbox", "intersects", "datetime", "query", "filter", "sortby"])
async def test_conditions_that_only_catalogs_know(name: str, here: Platform) -> None:
    jane = new_user(here)
    order = await given_order(here, jane)
    async with here.client(jane) as client:
        answers = [
            await client.post("/stac/search", json={name: "1,2,3,4"}),
            await client.get(f"/stac/search?{name}=1,2,3,4"),
            await client.get(f"/stac/collections/order-{order}/items?{name}=1"),
        ]

    for answer in answers:
        assert answer.status_code == 400
        assert (answer.json()["code"], answer.json()["member"]) == ("not-supported", name)


@pytest.mark.parametrize(
    "path", ["/stac/collections", "/stac/search", "/stac/collections/order-{order}/items"]
)
@pytest.mark.parametrize("token", ["x", "o1", "p99999999999999999-1-0000000000000000", "p1-1-zz"])
async def test_tokens_that_are_none(path: str, token: str, here: Platform) -> None:
    jane = new_user(here)
    order = await given_order(here, jane)
    answer = await get(here, jane, f"{path.format(order=order)}?token={token}")

    assert (answer.status_code, answer.json()["code"]) == (400, "malformed-request")


async def test_the_archive_of_an_order(here: Platform) -> None:
    """It is made for the first who asks, and stays the same, also once everything was delivered (S-8)."""
    jane = new_user(here)
    order = await ordered(here, jane, EVE_01, EVE_02)
    path = f"/stac/collections/order-{order}"
    before = (await get(here, jane, path)).json()["assets"]["archive"]
    async with here.client(jane) as client:
        client.follow_redirects = True
        first = await client.get(before["href"])
        cut = await client.get(before["href"], headers={"Range": "bytes=100-"})
        again = await client.get(before["href"])
        tar = await client.get(f"/user/orders/{order}/archive.tar")
        other = await client.get(f"/user/orders/{order}/archive.rar")
    after = (await get(here, jane, path)).json()
    with zipfile.ZipFile(io.BytesIO(first.content)) as archive:
        names = archive.namelist()

    assert "file:size" not in before
    assert sorted(names) == ["eve_01.txt", "eve_02.txt"]
    assert re.search(r"/archives/a\d+/order_\d+\.zip$", str(first.url))
    assert (cut.status_code, cut.content) == (206, first.content[100:])
    assert again.content == first.content
    assert after["rsorder:files"] == {"total": 2, "available": 0, "delivered": 2, "failed": 0}
    assert after["assets"]["archive"]["file:size"] == len(first.content)
    assert FILE in after["stac_extensions"]
    with tarfile.open(fileobj=io.BytesIO(tar.content)) as unpacked:
        assert sorted(unpacked.getnames()) == ["eve_01.txt", "eve_02.txt"]
    assert other.status_code == 400


async def test_an_archive_of_files_of_unknown_size(here: Platform) -> None:
    """The zip is then made while it is sent; a tar can't be."""
    jane = new_user(here)
    order = await given_order(here, jane, "DONE", expires_at=soon())
    await given_files(here, order, await given_task(here, order), "a")
    await here.rows("update data_file set size = null where order_id = $1", order)
    zipped = await get(here, jane, f"/user/orders/{order}/archive.zip")
    tar = await get(here, jane, f"/user/orders/{order}/archive.tar")

    assert zipped.status_code == 307
    assert zipped.headers["Location"] == f"{here.url}/user/orders/{order}/download"
    assert (tar.status_code, tar.json()["code"]) == (409, "cannot-be-archived")


def soon() -> datetime:
    return datetime.now(UTC) + timedelta(days=1)
