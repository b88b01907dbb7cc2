"""Reading single orders and pages of orders (rest.md 3.3, 3.4, 7.4, 7.5)."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from tests.acceptance.platform import Platform
from tests.acceptance.shared_platform import new_user
from tests.api.given import CREATED, given_order, given_task

STATUSES = (
    "PENDING",
    "RUNNING",
    "PAUSED",
    "EXPIRED",
    "FAILED",
    "DONE_WITH_WARNING",
    "DONE",
    "ERROR",
)


async def get(here: Platform, email: str, path: str, role: str = "REGISTERED_USER") -> Any:
    async with here.client(email, role) as client:
        return await client.get(path)


def ids(answer: httpx.Response) -> list[int]:
    return [item["content"]["id"] for item in answer.json()["content"]]


def rels(links: list[dict[str, str]]) -> list[str]:
    assert all(set(link) == {"rel", "href"} for link in links)
    return [link["rel"] for link in links]


async def test_own_orders_newest_first(here: Platform) -> None:
    """Only the caller's orders, in every status but DELETED; equal dates by descending id.

    rest.md 14, user list.
    """
    jane, john = new_user(here), new_user(here)
    await given_order(here, john)
    await given_order(here, jane, "DELETED")
    same_moment = [await given_order(here, jane, status) for status in STATUSES]
    oldest = await given_order(here, jane, created_at=CREATED - timedelta(days=1))
    newest = await given_order(here, jane, created_at=CREATED + timedelta(days=1))
    answer = await get(here, jane, "/user/orders?page=0&size=20&sort=id,asc")

    assert answer.status_code == 200
    assert ids(answer) == [newest, *reversed(same_moment), oldest]
    assert answer.json()["metadata"] == {
        "size": 20,
        "totalElements": 10,
        "totalPages": 1,
        "number": 0,
    }


async def test_pages_follow_one_another(here: Platform) -> None:
    """A page links to the others with the same parameters, but without the token."""
    jane = new_user(here)
    orders = [
        await given_order(here, jane, created_at=CREATED + timedelta(minutes=number))
        for number in range(5)
    ]
    token = here.sandbox.token(jane, "REGISTERED_USER", "project1")
    path = "/api/v1/rs-order/user/orders"
    middle = await get(here, jane, f"{path}?page=1&size=2&offset=0&token={token}")
    links = {link["rel"]: link["href"] for link in middle.json()["links"]}

    assert ids(middle) == [orders[2], orders[1]]
    assert list(links) == ["first", "prev", "self", "next", "last"]
    assert {rel: href.partition("?")[2] for rel, href in links.items()} == {
        "first": "offset=0&page=0&size=2",
        "prev": "offset=0&page=0&size=2",
        "self": "offset=0&page=1&size=2",
        "next": "offset=0&page=2&size=2",
        "last": "offset=0&page=2&size=2",
    }
    assert links["self"].startswith(f"http://127.0.0.1:{here.port}{path}?")

    last = await get(here, jane, links["next"])

    assert ids(last) == [orders[0]]
    assert rels(last.json()["links"]) == ["first", "prev", "self", "last"]


@pytest.mark.parametrize(
    ("query", "metadata"),
    [
        ("", (20, 0)),
        ("?size=0&page=-1", (20, 0)),
        ("?size=many&page=first", (20, 0)),
        ("?size=100000", (2000, 0)),
        ("?page=7", (20, 7)),
        ("?page=99999999999999999999&size=2000", (2000, 2**31 - 1)),
    ],
)
async def test_an_empty_page(query: str, metadata: tuple[int, int], here: Platform) -> None:
    """200 with no pages; unreadable parameters have their defaults (rest.md 3.4)."""
    answer = await get(here, new_user(here), f"/user/orders{query}")
    size, number = metadata

    assert answer.status_code == 200
    assert answer.json()["content"] == []
    assert answer.json()["metadata"] == {
        "size": size,
        "totalElements": 0,
        "totalPages": 0,
        "number": number,
    }


async def test_the_fields_of_an_order(here: Platform) -> None:
    """Dataset tasks are sorted by label, capitals first; unknown fields are left out (rest.md 5.5)."""
    jane = new_user(here)
    order = await given_order(
        here,
        jane,
        "RUNNING",
        files="ppaadxeeq",
        label="Mine",
        sub_orders=1,
        waiting_sub_orders=1,
        expires_at=CREATED + timedelta(hours=1, microseconds=20),
    )
    second = await given_task(here, order, "b", files_count=2, files_bytes=20, products_count=2)
    first = await given_task(here, order, "Z", file_kinds=["RAWDATA"], file_name_pattern=".*")
    answer = await get(here, jane, f"/user/orders/{order}")

    assert answer.status_code == 200
    assert answer.json()["content"] == {
        "id": order,
        "owner": jane,
        "label": "Mine",
        "creationDate": "2026-01-01T12:00:00Z",
        "expirationDate": "2026-01-01T13:00:00.00002Z",
        "percentCompleted": 77,
        "filesInErrorCount": 3,
        "availableFilesCount": 2,
        "status": "RUNNING",
        "statusDate": "2026-01-01T12:00:00Z",
        "waitingForUser": True,
        "datasetTasks": [
            {
                "id": first,
                "datasetLabel": "Z",
                "objectsCount": 1,
                "filesCount": 0,
                "filesSize": 0,
                "fileSelectionDescription": {"fileTypes": ["RAWDATA"], "fileNamePattern": ".*"},
            },
            {
                "id": second,
                "datasetLabel": "b",
                "objectsCount": 2,
                "filesCount": 2,
                "filesSize": 20,
            },
        ],
        "waitingReason": "request-queued",
        "waitingText": "Files that are about to be requested from storage: 2.",
    }


async def test_unknown_fields_are_left_out(here: Platform) -> None:
    """So for an order whose completion has not started."""
    jane = new_user(here)
    order = await given_order(here, jane, "PENDING")
    content = (await get(here, jane, f"/user/orders/{order}")).json()["content"]

    assert "expirationDate" not in content
    assert (content["percentCompleted"], content["datasetTasks"]) == (0, [])


@pytest.mark.parametrize(
    ("role", "status"),
    [
        ("REGISTERED_USER", 403),
        ("EXPLOIT", 403),
        ("ADMIN", 403),
        ("PROJECT_ADMIN", 200),
        ("INSTANCE_ADMIN", 200),
    ],
)
async def test_who_may_read_the_order_of_another_user(
    role: str, status: int, here: Platform
) -> None:
    """Token administrators may. The 403 of others has no body (rest.md 7.5, domain.md 18)."""
    order = await given_order(here, new_user(here))
    answer = await get(here, new_user(here), f"/user/orders/{order}", role)

    assert answer.status_code == status
    assert status == 200 or answer.content == b""


@pytest.mark.parametrize(("number", "status"), [("-12", 404), ("9" * 19, 400), ("one", 400)])
async def test_an_unknown_order(number: str, status: int, here: Platform) -> None:
    """404 without a body; 400 if the id isn't a number (rest.md 14, get)."""
    answer = await get(here, new_user(here), f"/user/orders/{number}")

    assert answer.status_code == status
    assert (answer.content == b"") is (status == 404)


async def test_a_deleted_order_can_still_be_read(here: Platform) -> None:
    """It is readable by its id until it is removed; it has no available files (rest.md 7.5)."""
    jane = new_user(here)
    order = await given_order(here, jane, "DELETED", files="aa")
    answer = await get(here, jane, f"/user/orders/{order}")

    assert answer.json()["content"]["status"] == "DELETED"
    assert answer.json()["content"]["availableFilesCount"] == 0


async def test_without_a_token(here: Platform) -> None:
    """401 with the usual error body; 403 for the public of a project."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{here.port}", timeout=60) as client:
        nobody = await client.get("/user/orders")
        public = await client.get("/user/orders?scope=project1")

    assert (nobody.status_code, public.status_code) == (401, 403)
    assert nobody.json()["messages"]
    assert public.json()["messages"]
