"""Administrators search the orders of all users and export them as CSV (rest.md 8)."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from rs_order.domain.states import OrderStatus
from tests.acceptance.platform import Platform
from tests.acceptance.shared_platform import new_user
from tests.api.given import CREATED, given_order, given_task

HEADER = (
    "ORDER_ID;CREATION_DATE;EXPIRATION_DATE;OWNER;STATUS;STATUS_DATE;PERCENT_COMPLETE;"
    "FILES_IN_ERROR;FILES_SIZE;FILES_COUNT"
)


async def post(
    here: Platform, path: str, body: Any, role: str = "EXPLOIT", **headers: str
) -> httpx.Response:
    async with here.client("erin@example.org", role) as client:
        return await client.post(path, json=body, headers=headers)


async def found(here: Platform, query: str = "", **body: Any) -> list[int]:
    answer = await post(here, f"/orders/search{query}", body)
    assert answer.status_code == 200, answer.text
    return [item["content"]["id"] for item in answer.json()["content"]]


def statuses(*values: Any, mode: Any = "INCLUDE", **others: Any) -> dict[str, Any]:
    return {"values": list(values), "mode": mode, **others}


async def test_orders_of_all_users_the_deleted_ones_too(here: Platform) -> None:
    """Newest first, in pages of ten by default (rest.md 14, search)."""
    mark = uuid4().hex[:8]
    owners = [new_user(here, f"{mark}-{number}@example.org") for number in range(3)]
    orders = [
        await given_order(
            here, owners[number % 3], status, created_at=CREATED + timedelta(minutes=number)
        )
        for number, status in enumerate(OrderStatus)
    ]
    answer = await post(here, "/orders/search?size=4", {"owner": mark})
    page = answer.json()

    assert [item["content"]["id"] for item in page["content"]] == orders[::-1][:4]
    assert page["metadata"]["totalElements"] == len(OrderStatus) == 9
    assert page["links"][-1]["href"].endswith("page=2&size=4&sort=creationDate,desc")
    assert await found(here, owner=mark) == orders[::-1]
    assert (await post(here, "/orders/search", {})).json()["metadata"]["size"] == 10


async def test_owners_are_searched_by_a_part_of_the_address(here: Platform) -> None:
    """The text may be anywhere in the e-mail address; case counts, and there are no wildcards."""
    mark = uuid4().hex[:8]
    order = await given_order(here, new_user(here, f"a_B%c\\d-{mark}@example.org"))
    await given_order(here, new_user(here, f"axBxcxd-{mark}@example.org"))

    for part in (f"_B%c\\d-{mark}", f"B%c\\d-{mark}@exa", f"c\\d-{mark}"):
        assert await found(here, owner=part) == [order]
    for part in (f"b%c\\d-{mark}", f"_B_c\\d-{mark}", f"%{mark}", f"a_B%c\\\\d-{mark}"):
        assert await found(here, owner=part) == []


async def test_restrictions_on_statuses(here: Platform) -> None:
    """Statuses are included or excluded. Unknown names are ignored; an empty exclusion restricts nothing.

    rest.md 14, search.
    """
    jane = new_user(here)
    done, failed, running = [
        await given_order(
            here, jane, status, created_at=CREATED + timedelta(minutes=9 - number), files="e"
        )
        for number, status in enumerate(("DONE", "FAILED", "RUNNING"))
    ]

    for restriction, expected in [
        (statuses("DONE", "FAILED", ignoreCase=True, matchMode="STRICT"), [done, failed]),
        (statuses("DONE", "NONE", None, 7), [done]),
        (statuses("DONE", mode="EXCLUDE"), [failed, running]),
        (statuses("NONE", mode="EXCLUDE"), [done, failed, running]),
        (statuses(mode="EXCLUDE"), [done, failed, running]),
        (None, [done, failed, running]),
        (statuses("DONE", ignoreCase=None, matchMode=None), [done]),
    ]:
        assert await found(here, owner=jane, statuses=restriction) == expected


@pytest.mark.parametrize("path", ["/orders/search", "/orders/csv"])
@pytest.mark.parametrize(
    "restriction",
    [
        statuses(),
        statuses("NONE"),
        statuses("DONE", mode=None),
        statuses("DONE", mode="ANY"),
        {"mode": "INCLUDE"},
        {"values": None, "mode": "EXCLUDE"},
        statuses(*["DONE"] * 1001),
        {},
    ],
    ids=["none", "unknown", "no mode", "unknown mode", "no values", "null", "too many", "empty"],
)
async def test_restrictions_that_break_rules(
    restriction: dict[str, Any], path: str, here: Platform
) -> None:
    """422 that names the broken rule, on both endpoints (decisions.md, INCLUDE with no value)."""
    answer = await post(here, path, {"statuses": restriction})

    assert answer.status_code == 422
    assert all(message.startswith("statuses.") for message in answer.json()["messages"])


async def test_1000_statuses_are_not_too_many(here: Platform) -> None:
    """A list of 1000 values is accepted."""
    jane = new_user(here)
    order = await given_order(here, jane)

    assert await found(here, owner=jane, statuses=statuses(*["DONE"] * 1000)) == [order]


async def test_restrictions_on_dates_include_their_ends(here: Platform) -> None:
    """Either end may be absent; UTC offsets are applied."""
    jane = new_user(here)
    first, second = [
        await given_order(here, jane, created_at=CREATED + timedelta(microseconds=number))
        for number in (0, 1)
    ]

    for dates, expected in [
        ({"after": "2026-01-01T12:00:00.000001Z"}, [second]),
        ({"after": "2026-01-01T12:00:00.000002Z", "before": None}, []),
        ({"before": "2026-01-01T12:00:00Z"}, [first]),
        ({"before": "2026-01-01T11:59:59.999Z"}, []),
        ({"after": "2026-01-01T14:00:00+02:00", "before": "2026-01-01T12:00"}, [first]),
        ({"after": "2026-01-01T12:00:00.000Z", "before": None}, [second, first]),
        ({}, [second, first]),
        (None, [second, first]),
    ]:
        assert await found(here, owner=jane, creationDate=dates) == expected


@pytest.mark.parametrize(("flag", "waits"), [("true", True), (True, True), ("false", False)])
async def test_orders_that_wait_for_their_users(flag: Any, waits: bool, here: Platform) -> None:
    """The flag may be a text, as the interface sends it."""
    jane = new_user(here)
    waiting = await given_order(here, jane, files="a", waiting_sub_orders=1, sub_orders=1)
    other = await given_order(here, jane)

    assert await found(here, owner=jane, waitingForUser=flag) == [waiting if waits else other]


LATER = CREATED + timedelta(days=1)


async def test_sorting_is_by_what_is_shown(here: Platform) -> None:
    """By every property of the contract, up and down, then by id."""
    jane = new_user(here)
    columns: list[dict[str, Any]] = [
        {"label": "c", "files": "pppad", "status": "RUNNING"},
        {"label": "a", "files": "eeaa", "status": "DONE_WITH_WARNING", "waiting_sub_orders": 1},
        {"label": "b", "files": "aaaaa", "status": "EXPIRED", "expires_at": CREATED},
        {"label": "d", "files": "p", "status": "PENDING"},
        {
            "label": "e",
            "files": "pa",
            "status": "PAUSED",
            "available_bytes": 90,
            "expires_at": LATER,
        },
        {"label": "f", "files": "pa", "status": "PAUSED"},
    ]
    for number, one in enumerate(columns):
        moment = CREATED + timedelta(minutes=(5 * number) % 6)
        await given_order(here, jane, created_at=moment, status_at=moment, **one)
    shown = (await post(here, "/orders/search?size=6", {"owner": jane})).json()["content"]
    orders = [item["content"] for item in shown]

    for name in (
        "id",
        "label",
        "creationDate",
        "percentCompleted",
        "filesInErrorCount",
        "status",
        "statusDate",
        "availableFilesCount",
        "waitingForUser",
        "owner",
    ):
        ascending = sorted(orders, key=lambda order: (order[name], order["id"]))
        expected = [order["id"] for order in ascending]

        assert await found(here, f"?sort={name}", owner=jane) == expected
        assert await found(here, f"?sort={name},DESC", owner=jane) == expected[::-1]

    assert {order["percentCompleted"] for order in orders} == {0, 40, 90, 100}
    first, second = sorted(
        (order for order in orders if "expirationDate" in order),
        key=lambda order: order["expirationDate"],
    )

    by_expiry = await found(here, "?sort=expirationDate,asc", owner=jane)
    assert by_expiry[:2] == [first["id"], second["id"]]
    by_expiry = await found(here, "?sort=expirationDate,desc", owner=jane)
    assert by_expiry[-2:] == [second["id"], first["id"]]


async def test_sorting_by_several_properties(here: Platform) -> None:
    """The first has priority; a repeated one is ignored."""
    jane = new_user(here)
    b_done = await given_order(here, jane, "DONE", label="b")
    a_done = await given_order(here, jane, "DONE", label="a")
    failed = await given_order(here, jane, "FAILED", label="c", files="e")
    query = "?sort=status,desc&sort=label&sort=status,asc&sort="

    assert await found(here, query, owner=jane) == [failed, a_done, b_done]


async def test_an_unknown_property_to_sort_by(here: Platform) -> None:
    """400 that lists the known properties."""
    answer = await post(here, "/orders/search?sort=id&sort=price,desc", {})

    assert answer.status_code == 400
    (message,) = answer.json()["messages"]

    assert message == (
        "sort: there is no property price; there are id, owner, label, creationDate, expirationDate, "
        "percentCompleted, filesInErrorCount, status, statusDate, availableFilesCount, waitingForUser"
    )


@pytest.mark.parametrize("path", ["/orders/search", "/orders/csv"])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b'{"owner": {}}',
        b'{"creationDate": {"after": "2026-01-01"}}',
        b'{"creationDate": {"after": "0001-01-01T00:00:00+23:00"}}',
        rb'{"owner": "\u0000"}',
    ],
)
async def test_bodies_that_cannot_be_read(content: bytes, path: str, here: Platform) -> None:
    """400; only an empty object finds everything."""
    async with here.client("erin@example.org", "EXPLOIT") as client:
        headers = {"Content-Type": "application/json"}
        answer = await client.post(path, content=content, headers=headers)

    assert answer.status_code == 400
    assert answer.json()["messages"]


@pytest.mark.parametrize("path", ["/orders/search", "/orders/csv"])
async def test_searching_is_for_administrators(path: str, here: Platform) -> None:
    """Roles from EXPLOIT up may search; GET isn't offered (rest.md 12.4)."""
    refused = await post(here, path, {}, "REGISTERED_USER")
    async with here.client("erin@example.org", "EXPLOIT") as client:
        wrong_verb = await client.get(path)

    assert (refused.status_code, refused.json()) == (403, {"messages": ["Access is denied"]})
    assert wrong_verb.status_code == 405


async def test_csv(here: Platform) -> None:
    """Fact 13: all matches by ascending id, in exactly the documented format (rest.md 8.3).

    rest.md 14, CSV.
    """
    jane = new_user(here)
    moment = CREATED + timedelta(microseconds=500)
    first = await given_order(
        here, jane, "DONE_WITH_WARNING", files="aaeq", expires_at=moment, status_at=moment
    )
    await given_task(here, first, files_count=3, files_bytes=5_000_000_000)
    await given_task(here, first, files_count=1, files_bytes=7)
    second = await given_order(here, jane, "PENDING", created_at=CREATED - timedelta(days=1))
    answer = await post(here, "/orders/csv", {"owner": jane}, Accept="text/csv")

    assert answer.status_code == 200
    assert answer.headers["Content-Disposition"] == "attachment;filename=orders.csv"
    assert answer.headers["Content-Type"].partition(";")[0] == "text/csv"
    assert answer.text == (
        f"{HEADER}\n"
        f"{first};2026-01-01T12:00:00Z;2026-01-01T12:00:00.0005Z;{jane};DONE_WITH_WARNING;"
        "2026-01-01T12:00:00.0005Z;100;2;5000000007;4\n"
        f"{second};2025-12-31T12:00:00Z;;{jane};PENDING;2026-01-01T12:00:00Z;0;0;0;0\n"
    )


async def test_csv_of_nothing(here: Platform) -> None:
    """Without a match the file has only the header."""
    answer = await post(here, "/orders/csv", {"owner": uuid4().hex})

    assert (answer.status_code, answer.text) == (200, f"{HEADER}\n")


async def test_csv_cannot_be_broken_by_an_owner(here: Platform) -> None:
    """Separators and line breaks in an owner's name are dropped."""
    mark = uuid4().hex
    order = await given_order(here, f"{mark};a\r\nb@example.org")
    lines = (await post(here, "/orders/csv", {"owner": mark})).text.splitlines()

    assert len(lines) == 2
    assert lines[1].split(";")[0] == str(order)
    assert lines[1].split(";")[3] == f"{mark}ab@example.org"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r\n=", ";-", "\uff1d"])
async def test_f17_csv_runs_nothing_in_a_spreadsheet(here: Platform, start: str) -> None:
    """An owner that would be a formula gets a leading apostrophe; nothing else changes."""
    mark = uuid4().hex
    await given_order(here, f"{mark}=1@example.org")
    await given_order(here, f"{start}cmd|'/c calc'!{mark}")

    lines = (await post(here, "/orders/csv", {"owner": mark})).text.splitlines()

    kept = start.strip("\r\n;")
    assert [line.split(";")[3] for line in lines[1:]] == [
        f"{mark}=1@example.org",
        f"'{kept}cmd|'/c calc'!{mark}",
    ]


async def test_csv_of_many_batches(here: Platform) -> None:
    """Each order is there once, by ascending id, when the export takes many batches."""
    jane = new_user(here)
    await here.rows(
        "insert into orders (owner, role, label, correlation_id, sub_order_hours)"
        " select $1, 'REGISTERED_USER', n::text, n::text, 2 from generate_series(1, 2500) n",
        jane,
    )
    rows = await here.rows("select id from orders where owner = $1 order by id", jane)
    answer = await post(here, "/orders/csv", {"owner": jane})
    listed = [int(line.partition(";")[0]) for line in answer.text.splitlines()[1:]]

    assert listed == [row["id"] for row in rows]
    assert len(listed) == 2500
