"""Uploads of product ids (rest.md 6.2; domain.md 3.4; decisions.md, Upload of ids)."""

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import pytest

from rs_order.baskets.routes import MAX_UPLOAD
from rs_order.rest.routing import MAX_BODY
from rs_order.sandbox.faults import Outage, OutageMode, Service
from rs_order.sandbox.synthetic import SyntheticDataset
from tests.acceptance.platform import Platform
from tests.acceptance.shared_platform import EVE_01
from tests.api.baskets import (
    BASKET,
    CATALOG_FAILED,
    SELECTION,
    UPLOAD,
    a_client,
    add,
    basket_of,
    content_of,
    totals_of,
)

MAX_LINES = 1000
"""The default limit of lines."""


@pytest.fixture
async def many(here: Platform) -> AsyncIterator[list[str]]:
    """Create a dataset of 300 products and yield their ids."""
    await here.sandbox.add_dataset(SyntheticDataset(name="many", products=300))
    yield [f"SYN_many_{number:07}" for number in range(1, 301)]
    here.sandbox.holdings.remove("many")


async def upload(client: httpx.AsyncClient, text: str | bytes) -> httpx.Response:
    return await client.post(UPLOAD, files={"file": ("ids.txt", text, "text/plain")})


async def test_uploaded_ids_are_selected(here: Platform) -> None:
    """Lines are trimmed and may end in any way; unknown ids and a BOM are ignored."""
    text = "\ufeff EVE_01\r\n\tEVE_02 \rNO_SUCH_PRODUCT\nEVE_01\n\nGOES15_20131028"
    async with a_client(here) as client:
        basket = content_of(await upload(client, text))
    goes, eve = basket["datasetSelections"]
    (item,) = eve["itemsSelections"]

    assert (totals_of(eve), totals_of(goes)) == ((2, 2, 2 * 4159, 2), (1, 1, 59635, 1))
    assert item["selectionRequest"] == {
        "engineType": "legacy",
        "searchParameters": {
            "q": [
                (
                    'last=true AND providerId=("EVE_01" OR "EVE_02" OR "NO_SUCH_PRODUCT" '
                    'OR "GOES15_20131028")'
                )
            ]
        },
        "selectionDate": item["date"],
    }


async def test_each_hundred_ids_are_a_dated_selection(here: Platform, many: list[str]) -> None:
    """A group of 100 without result is skipped (decisions.md). Products in two groups count once."""
    unknown = [f"NOT_{number}" for number in range(100)]
    async with a_client(here) as client:
        basket = content_of(
            await upload(client, "\n".join([*many[:100], *unknown, *many[100:250], *many[:7]]))
        )
        version = await here.rows("select version from basket where id = $1", basket["id"])
    (dataset,) = basket["datasetSelections"]

    assert totals_of(dataset) == (250, 250, 250 * 1024, 250)
    assert sorted(item["objectsCount"] for item in dataset["itemsSelections"]) == [50, 100, 100]
    assert len({item["date"] for item in dataset["itemsSelections"]}) == 3
    assert version[0]["version"] == 1


async def test_unknown_ids_only_are_204(here: Platform) -> None:
    """The existing basket doesn't change."""
    async with a_client(here) as client:
        before = await add(client, EVE_01)
        answer = await upload(client, "\n".join(f"NOT_{number}" for number in range(250)))

        assert (answer.status_code, answer.content) == (204, b"")
        assert await basket_of(client) == before


@pytest.mark.parametrize("text", ["", "\n", " \n\r\n\t\n"], ids=["no line", "blank", "blanks"])
async def test_a_file_without_ids_is_204_and_makes_no_basket(here: Platform, text: str) -> None:
    async with a_client(here) as client:
        answer = await upload(client, text)

        assert (answer.status_code, answer.content) == (204, b"")
        assert (await client.get(BASKET)).status_code == 204


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (["EVE_01"] * MAX_LINES, 200),
        (["EVE_01"] * (MAX_LINES + 1), 413),
        (["EVE_01", *[""] * (MAX_LINES - 1)], 200),
        (["EVE_01", *[" "] * MAX_LINES], 413),
    ],
    ids=["exactly", "one more", "blank ones up to it", "blank ones count"],
)
async def test_more_lines_than_allowed_are_413(
    here: Platform, lines: list[str], status: int
) -> None:
    """Nothing is added. A line break at the end starts no new line."""
    async with a_client(here) as client:
        answer = await upload(client, "\n".join(lines) + "\n")
        after = await client.get(BASKET)

    assert answer.status_code == status
    if status == 413:
        assert answer.json() == {"messages": ["Input file exceed max lines limit (1000)"]}
        assert after.status_code == 204


@pytest.mark.parametrize(
    "line",
    [
        'X" OR providerId="EVE_01',
        '") OR (providerId="EVE_01"',
        "X\\",
        'X\\" OR providerId=\\"EVE_01',
        'X\\\\" OR dataset:SDO_EVE',
        "*",
        "EVE_0?",
        "/EVE.*/",
        "X\0Y",
        "E" * 10_000,
        f"EVE_01{' ' * 2000}X",
        "é" * 255,
    ],
)
async def test_an_id_never_breaks_out_of_its_quotes(here: Platform, line: str) -> None:
    """Every line is searched as an id, whatever it contains, and the other ids are found."""
    async with a_client(here) as client:
        alone = await upload(client, line)
        basket = content_of(await upload(client, f"{line}\nEVE_02"))
    (dataset,) = basket["datasetSelections"]

    assert alone.status_code == 204
    assert totals_of(dataset) == (1, 1, 4159, 1)


async def test_a_line_of_megabytes_is_ignored(here: Platform) -> None:
    """It is ignored, and the lines after it count."""
    async with a_client(here) as client:
        basket = content_of(await upload(client, b"E" * 5_000_000 + b"\nEVE_01"))

    assert basket["datasetSelections"][0]["objectsCount"] == 1


async def test_text_that_is_not_utf_8_is_400(here: Platform) -> None:
    async with a_client(here) as client:
        for text in (b"EVE_01\n\xff", b"EVE_01\n\xc3"):
            answer = await upload(client, text)

            assert answer.status_code == 400
            assert answer.json()["messages"][0].startswith("The file isn't UTF-8 text")

        assert (await client.get(BASKET)).status_code == 204


async def test_an_upload_without_its_part_is_400(here: Platform) -> None:
    """The part has another name, the part isn't a file, or the boundary is missing."""
    headers = {"Content-Type": "multipart/form-data"}
    async with a_client(here) as client:
        answers = [
            await client.post(UPLOAD, files={"other": ("ids.txt", "EVE_01", "text/plain")}),
            await client.post(UPLOAD, files={"file": (None, "EVE_01")}),
            await client.post(UPLOAD, content=b"--x--", headers=headers),
        ]

    for answer in answers:
        assert answer.status_code == 400
        assert answer.json()["messages"]


@pytest.mark.parametrize(
    "media_type", ["text/plain", "application/json", "application/x-www-form-urlencoded", None]
)
async def test_an_upload_that_is_not_multipart_is_415(
    here: Platform, media_type: str | None
) -> None:
    headers = {"Content-Type": media_type} if media_type else {}
    async with a_client(here) as client:
        answer = await client.post(UPLOAD, content=b"EVE_01", headers=headers)

    assert answer.status_code == 415
    assert answer.json()["messages"] == [
        f"The body must be multipart/form-data, not {media_type or 'of no type'}"
    ]


@pytest.mark.parametrize(
    ("path", "most", "media_type"),
    [
        (UPLOAD, MAX_UPLOAD, "multipart/form-data; boundary=x"),
        (SELECTION, MAX_BODY, "application/json"),
    ],
)
async def test_a_body_larger_than_allowed_is_413(
    here: Platform, path: str, most: int, media_type: str
) -> None:
    """It is rejected by its Content-Length, before the body is sent."""
    async with a_client(here) as client:
        head = (
            f"POST {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Length: {most + 1}\r\n"
            f"Authorization: {client.headers['Authorization']}\r\nContent-Type: {media_type}\r\n\r\n"
        )
    reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
    writer.write(head.encode())
    status = await reader.readline()
    body = (await reader.read()).rpartition(b"\r\n\r\n")[2]
    writer.close()
    await writer.wait_closed()

    assert b" 413 " in status
    assert json.loads(body)["messages"] == [f"The body is larger than {most} bytes: POST {path}"]


async def test_a_streamed_body_larger_than_allowed_is_413(here: Platform) -> None:
    """Without a Content-Length it is rejected as soon as the limit is exceeded."""

    async def endless() -> AsyncIterator[bytes]:
        yield b'{"engineType": "'
        for _ in range(20):
            yield b"x" * (MAX_BODY // 16)

    async with a_client(here) as client:
        headers = {"Content-Type": "application/json"}
        answer = await client.post(SELECTION, content=endless(), headers=headers)

    assert answer.status_code == 413
    assert answer.json()["messages"] == [
        f"The body is larger than {MAX_BODY} bytes: POST {SELECTION}"
    ]


async def test_w37_an_upload_is_added_whole_or_not_at_all(here: Platform, many: list[str]) -> None:
    """The catalog fails for the second group of 100: the first group isn't added either."""
    async with a_client(here) as client:
        before = await add(client, EVE_01)
        outage = Outage(mode=OutageMode.STATUS, status=500, calls=1)
        here.sandbox.faults.outages = {Service.CATALOG: outage}
        answer = await upload(client, "\n".join(many))

        assert (answer.status_code, answer.json()) == (422, CATALOG_FAILED)
        assert await basket_of(client) == before


async def test_a_body_of_too_many_parts_is_rejected(here: Platform) -> None:
    parts = [("file", ("ids.txt", b"a"))] * 1001
    async with a_client(here) as client:
        answer = await client.post(UPLOAD, files=parts)

    assert answer.status_code == 400
    assert "Too many files" in answer.json()["messages"][0]
