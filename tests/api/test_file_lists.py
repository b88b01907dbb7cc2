"""Files of an order are listed (rest.md 5.7, 5.8, 9, 14)."""

from typing import Any

import httpx
import pytest

from tests.acceptance.platform import Platform
from tests.acceptance.shared_platform import EVE_01, EVE_01_BYTES, new_user
from tests.api.given import given_files, given_order, given_task

EVERY_STATE = "adxeqp"
HOST = "http://localhost:9043/api/v1/rs-order"
"""The project's host from rs-admin-instance, the gateway's prefix and the service."""


async def get(here: Platform, email: str, path: str, role: str = "REGISTERED_USER") -> Any:
    async with here.client(email, role) as client:
        return await client.get(path)


def ids(answer: httpx.Response) -> list[int]:
    assert answer.status_code == 200, answer.text
    return [item["content"]["id"] for item in answer.json()["content"]]


def total(answer: httpx.Response) -> int:
    number: int = answer.json()["metadata"]["totalElements"]
    return number


async def test_files_of_a_dataset_in_every_state(here: Platform) -> None:
    """Only files of this dataset, by ascending id, in pages with a total (rest.md 9.1)."""
    jane = new_user(here)
    order = await given_order(here, jane, "RUNNING")
    task, other = await given_task(here, order), await given_task(here, order, "B")
    _, files = await given_files(here, order, task, EVERY_STATE)
    await given_files(here, order, other, "aa")
    _, more = await given_files(here, order, task, "aa")
    path = f"/orders/{order}/dataset/{task}/files"
    first = await get(here, jane, f"{path}?size=5")
    second = await get(here, jane, f"{path}?size=5&page=1&sort=filename,desc")

    assert ids(first) + ids(second) == files + more
    assert [item["content"]["state"] for item in first.json()["content"]] == [
        "AVAILABLE",
        "DOWNLOADED",
        "DOWNLOAD_ERROR",
        "ERROR",
        "PROCESSING_ERROR",
    ]
    assert total(first) == total(second) == 8
    assert (await get(here, jane, path)).json()["metadata"]["size"] == 20


async def test_the_fields_of_a_file(here: Platform) -> None:
    """The fields of rest.md 5.7 of a real file, with a link to its download."""
    jane = new_user(here)
    done = await here.peer.until_final(await here.peer.order(EVE_01, user=jane))
    order = done.body["orderId"]
    (task,) = await here.rows("select id from dataset_task where order_id = $1", order)
    answer = await get(here, jane, f"/api/v1/rs-order/orders/{order}/dataset/{task['id']}/files")
    (item,) = answer.json()["content"]
    (stored,) = await here.rows("select id, sub_order_id from data_file where order_id = $1", order)

    assert item["content"] == {
        "id": stored["id"],
        "state": "AVAILABLE",
        "orderId": order,
        "filesTaskId": stored["sub_order_id"],
        "ipId": "URN:AIP:DATA:project1:aa75eb60-f943-521d-a594-fcab7e7cfcc8:V1",
        "productId": "EVE_01",
        "version": 1,
        "dataType": "RAWDATA",
        "reference": False,
        "uri": item["content"]["uri"],
        "mimeType": "text/plain",
        "online": False,
        "checksum": "e4653cb5da28bfeacedfade2d67b9404",
        "digestAlgorithm": "MD5",
        "filesize": EVE_01_BYTES,
        "filename": "eve_01.txt",
        "types": [],
    }
    assert item["links"] == [
        {
            "rel": "self",
            "href": f"http://127.0.0.1:{here.port}/api/v1/rs-order/orders/files/{stored['id']}",
        }
    ]


async def test_a_file_in_error_has_a_reason(here: Platform) -> None:
    """``downloadError`` has the reason."""
    jane = new_user(here)
    order = await given_order(here, jane, "RUNNING")
    task = await given_task(here, order)
    await given_files(here, order, task, "e")
    await here.rows(
        "update data_file set reason = 'tape is gone', size = null, checksum = null,"
        " checksum_algorithm = null, mime_type = null, product_id = null where order_id = $1",
        order,
    )
    answer = await get(here, jane, f"/orders/{order}/dataset/{task}/files")
    content = answer.json()["content"][0]["content"]

    assert content["downloadError"] == "tape is gone"
    assert not {"filesize", "checksum", "digestAlgorithm", "mimeType", "productId"} & set(content)


async def test_w14_who_may_list_the_files_of_a_dataset(here: Platform) -> None:
    """The owner lists their own; roles that may search orders list all (decisions.md, Ownership)."""
    jane = new_user(here)
    order = await given_order(here, jane, "RUNNING")
    path = f"/orders/{order}/dataset/{await given_task(here, order)}/files"
    statuses = {
        role: (await get(here, new_user(here), path, role)).status_code
        for role in (
            "PUBLIC",
            "REGISTERED_USER",
            "EXPLOIT",
            "ADMIN",
            "PROJECT_ADMIN",
            "INSTANCE_ADMIN",
            "ROLE_SYS_rs-delivery",
        )
    }

    assert (await get(here, jane, path)).status_code == 200
    assert statuses == {
        "PUBLIC": 403,
        "REGISTERED_USER": 403,
        "EXPLOIT": 200,
        "ADMIN": 200,
        "PROJECT_ADMIN": 200,
        "INSTANCE_ADMIN": 200,
        "ROLE_SYS_rs-delivery": 200,
    }


async def test_unknown_datasets_are_404(here: Platform) -> None:
    """404 for an unknown order or dataset and for another order's dataset; 400 if an id isn't a number."""
    jane = new_user(here)
    order, other = await given_order(here, jane), await given_order(here, jane)
    task, foreign = await given_task(here, order), await given_task(here, other)

    for path, status in [
        (f"/orders/{order}/dataset/{foreign}/files", 404),
        (f"/orders/{order}/dataset/-1/files", 404),
        (f"/orders/-1/dataset/{task}/files", 404),
        (f"/orders/{order}/dataset/x/files", 400),
        (f"/orders/x/dataset/{task}/files", 400),
    ]:
        answer = await get(here, jane, path)

        assert (answer.status_code, bool(answer.json()["messages"])) == (status, True)


@pytest.mark.parametrize("status", ["DELETED", "EXPIRED"])
async def test_a_deleted_or_expired_order_has_no_files(status: str, here: Platform) -> None:
    """They are hidden at once, while they are still being deleted in slices."""
    jane = new_user(here)
    order = await given_order(here, jane, status)
    task = await given_task(here, order)
    await given_files(here, order, task, "aaa")

    for path in (
        f"/orders/{order}/dataset/{task}/files",
        f"/orders/{order}/files/available",
    ):
        answer = await get(here, jane, path)

        assert (ids(answer), total(answer)) == ([], 0)


async def test_an_order_whose_completion_failed_has_no_files(here: Platform) -> None:
    """The files are withdrawn, whatever the counters of the datasets say."""
    jane = new_user(here)
    order = await given_order(here, jane, "FAILED")
    task = await given_task(here, order, files_count=7, files_bytes=70)
    answer = await get(here, jane, f"/orders/{order}/dataset/{task}/files")

    assert (ids(answer), total(answer)) == ([], 0)


async def test_available_files_of_an_order_and_of_a_sub_order(here: Platform) -> None:
    """All files that can be downloaded now, including external ones (rest.md 9.2).

    rest.md 14, available files.
    """
    jane = new_user(here)
    order = await given_order(here, jane, "RUNNING")
    task = await given_task(here, order)
    first, files = await given_files(here, order, task, EVERY_STATE + "a")
    second, external = await given_files(here, order, task, "aa", kind="EXTERNAL")
    available = [files[0], files[-1]]
    whole = await get(here, jane, f"/orders/{order}/files/available")
    part = f"/orders/{order}/filesTask/{{}}/files/available?size=100&sort=filesTaskId,asc"
    of_first = await get(here, jane, part.format(first))
    of_second = await get(here, jane, part.format(second))

    assert (ids(whole), total(whole)) == (available + external, 4)
    assert (ids(of_first), total(of_first)) == (available, 2)
    assert (ids(of_second), total(of_second)) == (external, 2)
    assert whole.json()["metadata"]["size"] == 10
    assert whole.json()["links"][0]["href"].endswith("?page=0&size=10&sort=id,asc")


async def test_the_fields_of_an_available_file(here: Platform) -> None:
    """The fields of rest.md 5.8; the download is below the project's address, with single slashes."""
    jane = new_user(here)
    done = await here.peer.until_final(await here.peer.order(EVE_01, user=jane))
    order = done.body["orderId"]
    (stored,) = await here.rows("select id from data_file where order_id = $1", order)
    answer = await get(here, jane, f"/orders/{order}/files/available")

    assert answer.json()["content"] == [
        {
            "content": {
                "id": stored["id"],
                "productId": "EVE_01",
                "version": 1,
                "downloadUrl": f"{HOST}/orders/files/{stored['id']}",
                "mimeType": "text/plain",
                "checksum": "e4653cb5da28bfeacedfade2d67b9404",
                "filesize": EVE_01_BYTES,
                "filename": "eve_01.txt",
            },
            "links": [],
        }
    ]


async def test_a_delivery_reads_page_after_page(here: Platform) -> None:
    """It follows the link ``next`` like rs-delivery (rest.md 13)."""
    jane = new_user(here)
    order = await given_order(here, jane, "RUNNING")
    _, files = await given_files(here, order, await given_task(here, order), "a" * 25)
    walked: list[int] = []
    path: str | None = f"/orders/{order}/files/available?page=0&size=10&sort=id,ASC"
    while path:
        answer = await get(here, jane, path)
        walked += ids(answer)
        links = {link["rel"]: link["href"] for link in answer.json()["links"]}
        path = links.get("next")

    assert walked == files


@pytest.mark.parametrize("scope", ["files", "filesTask/{}/files"])
async def test_sorting_available_files(scope: str, here: Platform) -> None:
    """By every property, up and down, then by id. Sorting by a constant doesn't read all files."""
    jane = new_user(here)
    order = await given_order(here, jane, "RUNNING")
    sub_order, files = await given_files(here, order, await given_task(here, order), "a" * 12)
    path = f"/orders/{order}/{scope.format(sub_order)}/available?size=20&sort="
    by_name = [files[int(name) - 1] for name in sorted(map(str, range(1, 13)))]

    for sort, expected in [
        ("filename", by_name),
        ("filename,desc", by_name[::-1]),
        ("uri,asc", by_name),
        ("productId", files[::-1]),
        ("productId,desc", files),
        ("id,desc", files[::-1]),
        ("state,desc&sort=id,desc", files[::-1]),
        ("state,desc", files),
        ("mimeType,desc", files[::-1]),
        *((name, files) for name in CONSTANT_HERE),
    ]:
        assert ids(await get(here, jane, path + sort)) == expected

    answer = await get(here, jane, path + "price")

    assert answer.status_code == 400
    assert "there is no property price; there are id, state, " in answer.json()["messages"][0]


CONSTANT_HERE = (
    "state",
    "orderId",
    "filesize",
    "filesTaskId",
    "ipId",
    "version",
    "dataType",
    "reference",
    "online",
    "mimeType",
    "digestAlgorithm",
)


async def test_who_may_list_available_files(here: Platform) -> None:
    """The owner lists their own, token administrators all. The 403 has no body (domain.md D9)."""
    jane = new_user(here)
    order = await given_order(here, jane, "RUNNING")
    sub_order, _ = await given_files(here, order, await given_task(here, order), "a")

    for path in (
        f"/orders/{order}/files/available",
        f"/orders/{order}/filesTask/{sub_order}/files/available",
    ):
        for role, status in [
            ("REGISTERED_USER", 403),
            ("ADMIN", 403),
            ("PROJECT_ADMIN", 200),
            ("INSTANCE_ADMIN", 200),
        ]:
            answer = await get(here, new_user(here), path, role)

            assert answer.status_code == status
            assert status == 200 or answer.content == b""


async def test_available_files_of_unknown_orders_and_sub_orders(here: Platform) -> None:
    """404 without a body for an unknown order; an empty page for another order's sub-order."""
    jane = new_user(here)
    order, other = (
        await given_order(here, jane, "RUNNING"),
        await given_order(here, jane, "RUNNING"),
    )
    foreign, _ = await given_files(here, other, await given_task(here, other), "aa")

    for path in ("/orders/-1/files/available", f"/orders/-1/filesTask/{foreign}/files/available"):
        answer = await get(here, jane, path)

        assert (answer.status_code, answer.content) == (404, b"")
    for sub_order in (foreign, -1):
        answer = await get(here, jane, f"/orders/{order}/filesTask/{sub_order}/files/available")

        assert (ids(answer), total(answer)) == ([], 0)
