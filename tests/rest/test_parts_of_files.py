"""Single files in parts: ranges, preconditions, and states (faces.md R-25 to R-30, R-32)."""

import asyncio
from collections.abc import AsyncGenerator

import httpx
import pytest

from rs_order.domain.states import FileState
from rs_order.ports import FetchError, FetchResult
from tests.rest.fake_downloads import DownloadableOrder, incompressible, md5
from tests.rest.order_tokens import order_token
from tests.rest.test_file_download import PLAIN, PUBLIC, outcome
from tests.rest.test_zip_download import Endless
from tests.support.polling import WAIT_SECONDS, eventually

CONTENT = incompressible(300_000)
DONE, WRONG = FetchResult.DOWNLOADED, FetchResult.WRONG_CONTENT
TAG = f'"md5-{md5(CONTENT)}"'


async def part(api: httpx.AsyncClient, value: str, **headers: str) -> httpx.Response:
    names = {name.replace("_", "-"): text for name, text in headers.items()}
    return await api.get(PLAIN, headers={"Range": f"bytes={value}", **names})


@pytest.mark.parametrize(
    ("value", "first", "last"),
    [
        ("0-99", 0, 99),
        ("100-", 100, 299_999),
        ("-7", 299_993, 299_999),
        ("-400000", 0, 299_999),
        ("299999-299999", 299_999, 299_999),
        ("5-999999999999999999999", 5, 299_999),
        ("999-1000,70000-80000,1001-2000", 999, 2000),
        ("300000-, 3-4", 3, 4),
    ],
)
async def test_r26_a_part(
    api: httpx.AsyncClient, downloadable: DownloadableOrder, value: str, first: int, last: int
) -> None:
    """It has the same validators as the whole. Of several parts the first is delivered (R-27)."""
    downloadable.add("a", CONTENT)

    answer = await part(api, value)

    assert answer.status_code == 206
    assert answer.content == CONTENT[first : last + 1]
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/300000"
    assert answer.headers["Content-Length"] == str(last + 1 - first)
    assert answer.headers["ETag"] == TAG
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["Cache-Control"] == "private, no-transform"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="a"'


async def test_a_part_of_a_file_of_one_piece(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """It is sent, and isn't all of the file."""
    downloadable.add("a", b"content")

    answer = await part(api, "0-2")

    assert (answer.status_code, answer.content) == (206, b"con")
    assert downloadable.order.results == {}


@pytest.mark.parametrize("value", ["300000-", "300000-300001,999999-", "-0"])
async def test_r26_a_part_behind_the_end(
    api: httpx.AsyncClient, downloadable: DownloadableOrder, value: str
) -> None:
    """The response is 416 with the length, by which curl and wget know that they have everything."""
    downloadable.add("a", CONTENT)

    answer = await part(api, value)

    assert (answer.status_code, answer.headers["Content-Range"]) == (416, "bytes */300000")
    assert answer.headers["ETag"] == TAG
    assert downloadable.sources.opened == []


@pytest.mark.parametrize(
    "value",
    [
        "bytes=5-4",
        "bytes=a-",
        "bytes=-",
        "bytes=",
        "bytes=1-2,x",
        "bytes=²-",
        "lines=1-2",
        "1-2",
        "bytes=" + "1-2," * 400,
    ],
)
async def test_r25_other_units_and_malformed_ranges_are_ignored(
    api: httpx.AsyncClient, downloadable: DownloadableOrder, value: str
) -> None:
    """All of the file is the answer."""
    downloadable.add("a", CONTENT)

    answer = await api.get(PLAIN, headers={b"Range": value.encode()})

    assert (answer.status_code, answer.content) == (200, CONTENT)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If-Match": TAG}, 206),
        ({"If-Match": f'"other", {TAG}'}, 206),
        ({"If-Match": "*"}, 206),
        ({"If-Match": '"other"'}, 412),
        ({"If-Match": f"W/{TAG}"}, 412),
        ({"If-Match": TAG, "If-Unmodified-Since": "Fri, 02 Jan 2026 03:04:06 GMT"}, 206),
        ({"If-None-Match": f"W/{TAG}"}, 304),
        ({"If-None-Match": '"other"'}, 206),
        ({"If-Match": '"other"', "If-None-Match": TAG}, 412),
        ({"If-Range": TAG}, 206),
        ({"If-Range": '"other"'}, 200),
        ({"If-Range": f"W/{TAG}"}, 200),
        ({"If-Range": "Fri, 02 Jan 2026 03:04:06 GMT"}, 200),
    ],
    ids=lambda value: str(value).replace(TAG, "tag"),
)
async def test_r28_preconditions(
    api: httpx.AsyncClient,
    downloadable: DownloadableOrder,
    headers: dict[str, str],
    status: int,
) -> None:
    """In their order; tags are compared strongly, except those of If-None-Match."""
    downloadable.add("a", CONTENT)

    answer = await api.get(PLAIN, headers={"Range": "bytes=5-", **headers})

    assert answer.status_code == status
    assert answer.headers["ETag"] == TAG
    assert bool(downloadable.sources.opened) is (status in (200, 206))


async def test_head_obeys_preconditions_and_ignores_ranges(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """A range is of a GET only (RFC 9110, 14.2)."""
    downloadable.add("a", CONTENT)

    known = await api.head(PLAIN, headers={"If-None-Match": TAG})
    other = await api.head(PLAIN, headers={"If-Match": '"other"'})
    whole = await api.head(PLAIN, headers={"Range": "bytes=5-"})

    assert [known.status_code, other.status_code, whole.status_code] == [304, 412, 200]
    assert whole.headers["Content-Length"] == "300000"


@pytest.mark.parametrize("size", ["right", None], ids=["without checksum", "of unknown size"])
async def test_r13_a_file_that_nothing_identifies_is_not_resumable(
    api: httpx.AsyncClient, downloadable: DownloadableOrder, size: str | None
) -> None:
    """Its bytes may differ the next time, or its length is unknown: all of it is the answer."""
    checksum = None if size else "right"
    downloadable.add("a", CONTENT, external=True, size=size, checksum=checksum)

    answer = await part(api, "5-")

    assert (answer.status_code, answer.content) == (200, CONTENT)
    assert answer.headers["Accept-Ranges"] == "none"


async def test_r14_a_file_is_downloaded_once_all_of_its_parts_are(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """As aria2 does it: in any order, also with the order token. Until then its state stays."""
    downloadable.add("a", CONTENT)

    await part(api, "200000-299999")
    await api.get(PUBLIC, params={"orderToken": order_token()}, headers={"Range": "bytes=0-99999"})
    await part(api, "50000-150000")
    before = dict(downloadable.order.results)
    await part(api, "150001-199999")

    assert before == {}
    assert await outcome(downloadable) == (DONE, None)


async def test_r14_parts_before_a_success_do_not_count_again(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """What was sent is forgotten with the outcome."""
    downloadable.add("a", CONTENT)
    await part(api, "0-199999")
    await part(api, "200000-")
    await outcome(downloadable)
    settled = len(downloadable.order.settlements)

    await part(api, "200000-")

    assert len(downloadable.order.settlements) == settled


async def test_r14_an_interrupted_download_is_resumed(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """The bytes of a whole download that was cut count, and the rest makes the file DOWNLOADED."""
    gate = asyncio.Event()

    async def halting() -> AsyncGenerator[bytes, None]:
        for start in range(0, len(CONTENT), 10_000):
            if start == 200_000:
                await gate.wait()
            yield CONTENT[start : start + 10_000]

    downloadable.add("a", halting, of=CONTENT)
    received = b""
    async with api.stream("GET", PLAIN) as answer:
        async for piece in answer.aiter_raw():
            received += piece
            if len(received) >= 190_000:
                break
    assert (await outcome(downloadable))[0] is FetchResult.FAILED
    gate.set()

    rest = await part(api, f"{len(received)}-", If_Range=answer.headers["ETag"])

    assert received + rest.content == CONTENT
    await eventually(lambda: downloadable.order.results[1] is DONE, "the file is downloaded")


async def test_a_client_that_leaves_a_part_changes_no_state(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """Tools hang up and come back as they like."""
    endless = Endless()
    downloadable.add("a", endless, size=2**40)

    async with api.stream("GET", PLAIN, headers={"Range": "bytes=1000-"}) as answer:
        await anext(answer.aiter_raw())
    await asyncio.wait_for(endless.closed.wait(), WAIT_SECONDS)
    await eventually(lambda: downloadable.sources.open_now == 0, "the end of the download")

    assert downloadable.order.results == {}


async def test_r32_a_resumed_file_is_verified_as_a_whole(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """A wrong byte before the part is found, so its end isn't sent, and all parts have to be sent again."""
    downloadable.add("a", b"x" + CONTENT[1:], of=CONTENT)
    await part(api, "0-99999")

    with pytest.raises(httpx.RemoteProtocolError):
        await part(api, "100000-")
    result, _ = await outcome(downloadable)
    downloadable.sources.contents[1] = CONTENT
    await part(api, "100000-")
    still = downloadable.order.results[1]
    await part(api, "0-99999")

    assert (result, still) == (WRONG, WRONG)
    await eventually(lambda: downloadable.order.results[1] is DONE, "the file is downloaded")


async def test_errors_of_storage_are_those_of_a_whole_file(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """A part that can't begin has the status of storage, and the file its reason."""
    downloadable.add("a", FetchError("Download quota exceeded", 429), of=CONTENT)
    downloadable.add("b", b"short", of=CONTENT)

    quota = await part(api, "5-")
    short = await api.get("/orders/files/2", headers={"Range": "bytes=100-"})

    assert (quota.status_code, short.status_code) == (500, 500)
    assert "Content-Range" not in short.headers
    assert (await outcome(downloadable))[0] is FetchResult.QUOTA_EXCEEDED
    assert await outcome(downloadable, 2) == (
        FetchResult.FAILED,
        "Cannot completely retrieve data file from storage, only 5/300000 bytes",
    )


async def test_a_part_of_a_file_that_is_not_available_yet(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """The state of the file decides before the range."""
    downloadable.add("a", CONTENT, state=FileState.PENDING)

    assert (await part(api, "400000-")).status_code == 202
