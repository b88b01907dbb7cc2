"""Archives over HTTP: making them, their parts, and states afterwards (faces.md 5.3 to 5.6)."""

import asyncio
import hashlib
import io
import random
import tarfile
import zipfile
import zlib
from collections.abc import AsyncGenerator
from itertools import pairwise
from typing import Any

import httpx
import pytest

from rs_order.app.rest import RestServices
from rs_order.domain.states import FileState
from rs_order.downloads import archive_reader, streaming
from rs_order.ports import FetchError, FetchResult
from tests.rest.conftest import serving
from tests.rest.fake_downloads import DownloadableOrder, incompressible
from tests.rest.order_tokens import order_token
from tests.rest.test_file_download import PLAIN
from tests.rest.test_zip_download import Endless, as_caller
from tests.support.polling import WAIT_SECONDS, eventually

PATH = "/user/orders/12/archives"
DONE, WRONG = FetchResult.DOWNLOADED, FetchResult.WRONG_CONTENT
CONTENTS = {
    "a.txt": b"hello",
    "empty": b"",
    "ü.bin": incompressible(200_000),
    "block.bin": incompressible(65_535),
    "z" * 150: b"a long name",
}
KINDS = pytest.mark.parametrize("kind", ["zip", "tar"])


async def made(api: httpx.AsyncClient, kind: str = "zip") -> dict[str, Any]:
    answer = await api.post(PATH, json={"format": kind})
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def part(api: httpx.AsyncClient, archive: dict[str, Any], value: str) -> httpx.Response:
    return await api.get(archive["href"], headers={"Range": f"bytes={value}"})


def read(kind: str, content: bytes) -> dict[str, bytes]:
    if kind == "zip":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return {one.filename: archive.read(one) for one in archive.infolist()}
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return {one.name: (archive.extractfile(one) or io.BytesIO()).read() for one in archive}


async def test_h2_an_archive_that_nobody_waits_for(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """It is described at once, and has no bytes before it is made."""
    downloadable.add("a")

    answer = await api.post(PATH, json={}, headers={"Prefer": "respond-async"})
    archive = answer.json()
    described = await api.get(answer.headers["Location"])
    bytes_of = await api.get(archive["href"])

    assert (answer.status_code, answer.headers["Preference-Applied"]) == (202, "respond-async")
    assert answer.headers["Retry-After"]
    assert (archive["state"], archive["files"]) == ("making", 0)
    assert {
        key: described.json()[key] for key in ("id", "state", "href")
    }.items() <= archive.items()
    assert (bytes_of.status_code, bytes_of.json()["code"]) == (503, "archive-not-ready")


@KINDS
async def test_an_archive(
    api: httpx.AsyncClient, downloadable: DownloadableOrder, kind: str
) -> None:
    """It holds all available files, and has a length and a validator. Then they are DOWNLOADED."""
    downloadable.add_all(CONTENTS.items())

    archive = await made(api, kind)
    head = await api.head(archive["href"], headers={"Range": "bytes=5-"})
    opened = list(downloadable.sources.opened)
    answer = await api.get(archive["href"])

    assert read(kind, answer.content) == CONTENTS
    assert (archive["files"], archive["bytes"]) == (5, sum(map(len, CONTENTS.values())))
    assert (head.status_code, opened) == (200, [])
    for headers in (head.headers, answer.headers):
        assert headers["Content-Length"] == str(len(answer.content)) == str(archive["length"])
        assert headers["ETag"] == archive["etag"]
        assert headers["Last-Modified"] == "Sun, 01 Mar 2026 12:30:45 GMT"
        assert headers["Accept-Ranges"] == "bytes"
        assert headers["Content-Disposition"] == f'attachment; filename="order_12.{kind}"'
        assert headers["Cache-Control"] == "private, no-transform"
    await eventually(
        lambda: downloadable.order.results == dict.fromkeys(range(1, 6), DONE), "all downloaded"
    )


@KINDS
async def test_parts_are_slices_of_the_whole(
    api: httpx.AsyncClient, downloadable: DownloadableOrder, kind: str
) -> None:
    """Whatever part is asked for, also before anything else was."""
    downloadable.add_all(CONTENTS.items())
    archive = await made(api, kind)
    length = archive["length"]
    chance = random.Random(1)  # noqa: S311 - which parts are tried
    parts = [sorted(chance.choices(range(length), k=2)) for _ in range(30)]
    parts += [[length - 1, length - 1], [length - 300, length - 1], [0, 0]]

    taken = [(start, end, await part(api, archive, f"{start}-{end}")) for start, end in parts]
    whole = (await api.get(archive["href"])).content

    for start, end, answer in taken:
        assert answer.status_code == 206
        assert answer.content == whole[start : end + 1], (start, end)
        assert answer.headers["Content-Range"] == f"bytes {start}-{end}/{length}"
        assert answer.headers["ETag"] == archive["etag"]
    assert read(kind, whole) == CONTENTS


async def test_r14_no_state_changes_until_all_was_taken(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """In whatever order, with both addresses."""
    downloadable.add_all(CONTENTS.items())
    archive = await made(api)
    async with httpx.AsyncClient(trust_env=False) as anonymous:
        await anonymous.get(archive["publicHref"], headers={"Range": "bytes=100000-"})
    before = dict(downloadable.order.results)

    await part(api, archive, "0-150000")

    assert before == {}
    await eventually(
        lambda: downloadable.order.results == dict.fromkeys(range(1, 6), DONE), "all downloaded"
    )


async def test_r14_a_client_that_leaves_changes_nothing(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """The source is closed at once."""
    endless = Endless()
    downloadable.add("a", b"content")
    downloadable.add("b", endless, size=2**40)
    archive = await made(api)

    async with api.stream("GET", archive["href"]) as answer:
        await anext(answer.aiter_raw())
    await asyncio.wait_for(endless.closed.wait(), WAIT_SECONDS)
    await eventually(lambda: downloadable.sources.open_now == 0, "the end of the download")

    assert downloadable.order.results == {}


@pytest.mark.parametrize(("allowed", "most_open"), [(1000, 4), (1, 1)], ids=["any", "one"])
async def test_the_next_small_files_are_opened_ahead(
    api: httpx.AsyncClient, downloadable: DownloadableOrder, allowed: int, most_open: int
) -> None:
    """Unless storage refuses it: then each is opened in its turn."""
    contents = {
        name * number: incompressible(200_000 + number) for number, name in enumerate("abcde", 1)
    }
    downloadable.add_all(contents.items())
    downloadable.sources.allowed = allowed
    archive = await made(api)

    answer = await api.get(archive["href"])

    assert read("zip", answer.content) == contents
    assert downloadable.sources.opened == [1, 2, 3, 4, 5]
    assert downloadable.sources.most_open == most_open


async def test_another_instance_goes_on(
    api: httpx.AsyncClient, services: RestServices, downloadable: DownloadableOrder
) -> None:
    """It knows the archive, and what the first instance has sent of it."""
    downloadable.add_all(CONTENTS.items())
    archive = await made(api)
    received = b""
    async with api.stream("GET", archive["href"]) as answer:
        async for piece in answer.aiter_raw():
            received += piece
            if len(received) > 100_000:
                break
    await eventually(lambda: downloadable.sources.open_now == 0, "the first instance has stopped")

    async for url in serving(services):
        path = archive["href"].removeprefix(str(api.base_url).rstrip("/"))
        async with httpx.AsyncClient(base_url=url, headers=api.headers, trust_env=False) as other:
            headers = {"Range": f"bytes={len(received)}-", "If-Range": archive["etag"]}
            rest = await other.get(path, headers=headers)

    assert rest.status_code == 206
    assert read("zip", received + rest.content) == CONTENTS
    await eventually(lambda: len(downloadable.order.results) == 5, "all downloaded")


async def test_the_same_files_are_the_same_archive(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """Asking again finds it; each format has its own, and both are listed."""
    downloadable.add("a", b"content")

    first, tar, again = await made(api), await made(api, "tar"), await made(api)
    listed = (await api.get(PATH)).json()["archives"]

    assert again["id"] == first["id"] != tar["id"]
    assert [one["id"] for one in listed] == [tar["id"], first["id"]]
    assert (
        await api.get(first["href"], headers={"If-None-Match": first["etag"]})
    ).status_code == 304
    assert (await api.get(first["href"], headers={"If-Match": tar["etag"]})).status_code == 412


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If-Range": "Sun, 01 Mar 2026 12:30:45 GMT"}, 206),
        ({"If-Range": "Sun, 01 Mar 2026 12:30:46 GMT"}, 200),
        ({"If-Unmodified-Since": "Sun, 01 Mar 2026 12:30:45 GMT"}, 206),
        ({"If-Unmodified-Since": "Sun, 01 Mar 2026 12:30:44 GMT"}, 412),
        ({"If-Unmodified-Since": "Sun, 01 Mar 2026 12:30:44 -0000"}, 412),
        ({"If-Unmodified-Since": "yesterday"}, 206),
        ({"If-Unmodified-Since": "Sun, 01 Mar 2026 12:30:44 +99999999999999"}, 206),
        ({"If-Match": "*", "If-Unmodified-Since": "Sun, 01 Mar 2026 12:30:44 GMT"}, 206),
    ],
)
async def test_r28_conditions_on_the_date_of_an_archive(
    api: httpx.AsyncClient,
    downloadable: DownloadableOrder,
    headers: dict[str, str],
    status: int,
) -> None:
    """It is that of the archive, exactly; with a tag, dates don't matter."""
    downloadable.add("a", b"content")
    archive = await made(api)

    answer = await api.get(archive["href"], headers={"Range": "bytes=5-9", **headers})

    assert answer.status_code == status


async def test_a_file_that_occurs_twice_is_once_in_the_archive(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """Both are DOWNLOADED with it. Another content of the same name is numbered."""
    downloadable.add("a", b"one")
    downloadable.add("a", b"two")
    downloadable.add("a", b"one")

    archive = await made(api)
    answer = await api.get(archive["href"])

    assert read("zip", answer.content) == {"a": b"one", "a (1)": b"two"}
    await eventually(
        lambda: downloadable.order.results == {1: DONE, 2: DONE, 3: DONE}, "all downloaded"
    )


async def has_successor(api: httpx.AsyncClient, archive: dict[str, Any]) -> bool:
    return "successor-version" in (await api.get(archive["href"])).links


async def test_r22_r23_wrong_content_ends_the_archive(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """Nothing wrong is sent; the file is in error. Its successor has the others, and names it."""
    right = incompressible(200_000)
    downloadable.add("a", b"content")
    downloadable.add("b", right[:-1] + b"x", of=right)
    archive = await made(api)

    with pytest.raises(httpx.RemoteProtocolError):
        await api.get(archive["href"])
    await eventually(lambda: downloadable.order.results.get(2) is WRONG, "the file is in error")
    await eventually(lambda: has_successor(api, archive), "it has a successor")
    after = await api.get(archive["href"])
    matching = await api.get(archive["href"], headers={"If-Match": archive["etag"]})
    public = await api.get(archive["publicHref"])
    other = await made(api)

    assert (after.status_code, after.json()["code"]) == (410, "archive-superseded")
    assert (matching.status_code, public.status_code) == (412, 410)
    assert after.links["successor-version"]["url"] == other["href"]
    for answer in (matching, public):
        successor = await api.get(answer.links["successor-version"]["url"])
        contents = read("zip", successor.content)
        assert list(contents) == ["a", "NOTICE.txt"]
        assert contents["NOTICE.txt"].startswith(
            b"Failed to download file (b): Wrong content: MD5 is "
        )
    assert [one["state"] for one in (await api.get(PATH)).json()["archives"]] == [
        "open",
        "superseded",
    ]


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (FetchError("broken", 500), 503, "storage-unreachable"),
        (FetchError("gone", 404), 503, "storage-unreachable"),
        (FetchError("Download quota exceeded", 429), 429, "quota-used-up"),
    ],
    ids=["broken", "gone", "quota"],
)
async def test_r22_a_file_that_storage_does_not_deliver(
    api: httpx.AsyncClient,
    downloadable: DownloadableOrder,
    error: FetchError,
    status: int,
    code: str,
) -> None:
    """A request that begins there is refused before any byte, and the same archive goes on later."""
    downloadable.add("a", error, of=b"content")
    archive = await made(api)

    answer = await api.get(archive["href"])
    downloadable.sources.contents[1] = b"content"
    later = await api.get(archive["href"])

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert read("zip", later.content) == {"a": b"content"}


async def test_r22_a_file_that_storage_does_not_have_any_more(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """It is in error, so that its owner can have it restored; the archive stays as it is."""
    downloadable.add("a", FetchError("gone", 410), of=b"content")
    archive = await made(api)

    answer = await api.get(archive["href"])

    assert "Retry the order" in answer.json()["detail"]
    await eventually(
        lambda: downloadable.order.results == {1: FetchResult.FAILED}, "the file is in error"
    )
    assert [one["state"] for one in (await api.get(PATH)).json()["archives"]] == ["open"]


async def test_r22_in_the_middle_storage_is_asked_again_for_a_while(
    api: httpx.AsyncClient, downloadable: DownloadableOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a short outage between two files cuts nothing."""
    monkeypatch.setattr(archive_reader, "FIRST_PAUSE", 0.01)
    downloadable.add_all(CONTENTS.items())
    downloadable.sources.refusals[3] = 4
    archive = await made(api)

    answer = await api.get(archive["href"])

    assert read("zip", answer.content) == CONTENTS
    assert downloadable.sources.refusals[3] == 0


async def test_r22_a_file_with_too_few_bytes_ends_the_archive_the_third_time(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """Before, each request tries it again, and nothing of its end is sent."""
    right = incompressible(200_000)
    downloadable.add("a", right[:-1000], of=right)
    archive = await made(api)

    answers = []
    for _ in range(3):
        answers.append((await api.head(archive["href"])).status_code)
        with pytest.raises(httpx.RemoteProtocolError):
            await api.get(archive["href"])
        await eventually(lambda: downloadable.sources.open_now == 0, "the end of the response")
    await eventually(
        lambda: downloadable.order.results == {1: FetchResult.FAILED}, "the file is in error"
    )
    after = await api.get(archive["href"])

    assert answers == [200, 200, 200]
    assert (after.status_code, after.json()["code"]) == (410, "archive-superseded")


@pytest.mark.parametrize("kind", ["zip", "file"])
async def test_r24_a_silent_source(
    api: httpx.AsyncClient,
    downloadable: DownloadableOrder,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    """Before the first byte it is 503; then the response is cut, before the gateway would cut it."""
    monkeypatch.setattr(streaming, "LONGEST_SILENCE", 0.2)
    content = incompressible(200_000)
    silent_at = 0

    async def silent() -> AsyncGenerator[bytes, None]:
        for start in range(0, silent_at, 1000):
            yield content[start : start + 1000]
        await asyncio.Event().wait()

    downloadable.add("a", silent, of=content)
    url = PLAIN if kind == "file" else (await made(api))["href"]

    before = await api.get(url)
    silent_at = 150_000
    with pytest.raises(httpx.RemoteProtocolError):
        await api.get(url)

    assert before.status_code == 503
    assert int(before.headers["Retry-After"]) >= 5


async def test_an_archive_of_a_deleted_order(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    downloadable.add("a", b"content")
    archive = await made(api)
    await downloadable.order.delete()

    answers = [await api.get(archive["href"]), await api.get(archive["publicHref"])]

    assert [(one.status_code, one.json()["code"]) for one in answers] == [(410, "order-gone")] * 2


@KINDS
async def test_r11_the_notice_names_what_failed_before(
    api: httpx.AsyncClient, downloadable: DownloadableOrder, kind: str
) -> None:
    """It is the last entry, with today's lines. Its parts are slices of the whole, like all others."""
    downloadable.add("a", b"content")
    downloadable.add("b", b"content", state=FileState.ERROR)
    downloadable.add("ü", b"other", algorithm="unknown")
    downloadable.add("c", b"content", state=FileState.DOWNLOAD_ERROR)
    downloadable.add("d", b"content", state=FileState.PENDING)

    archive = await made(api, kind)
    length = archive["length"]
    starts = range(0, length, length // 20)
    parts = [await part(api, archive, f"{start}-{length - 1}") for start in starts]
    whole = (await api.get(archive["href"])).content

    contents = read(kind, whole)
    assert list(contents) == ["a", "ü", "NOTICE.txt"]
    assert contents["NOTICE.txt"].decode().split("\n") == [
        "Checksum of file (ü) not checked: unknown checksums like this one can't be checked.",
        "Failed to download file (b): not-tried.",
        "Failed to download file (c): not-tried.",
    ]
    assert [whole[start:] for start in starts] == [one.content for one in parts]
    assert (archive["files"], archive["of"], archive["missing"]) == (2, 5, 2)
    await eventually(lambda: downloadable.order.results == {1: DONE, 3: DONE}, "all downloaded")


async def test_r11_what_fails_later_does_not_change_it(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """An archive of the same files is the same, although a notice of now would name more."""
    downloadable.add("a", b"content")
    downloadable.add("b", b"content", state=FileState.ERROR)
    later = downloadable.add(
        "c", FetchError("broken", 500), of=b"content", state=FileState.DOWNLOADED
    )
    archive = await made(api)
    before = (await part(api, archive, "0-99")).content
    failed = await api.get(f"/orders/files/{later}")

    again = await made(api)
    other = await made(api, "tar")

    assert failed.status_code == 500
    assert [one["missing"] for one in (archive, again, other)] == [1, 1, 2]
    assert again["id"] == archive["id"]
    whole = (await api.get(archive["href"])).content
    assert whole[:100] == before
    assert read("zip", whole)["NOTICE.txt"] == b"Failed to download file (b): not-tried."


async def test_r8_a_selection(api: httpx.AsyncClient, downloadable: DownloadableOrder) -> None:
    """Of files, or of sub-orders, or of both; its notice is about the selection only."""
    downloadable.add_all([("a", b"A"), ("b", b"B"), ("c", b"C")])
    downloadable.add("d", b"D", state=FileState.ERROR)
    bodies: list[dict[str, list[int]]] = [
        {"fileIds": [1, 3]},
        {"fileIds": [2, 4, 99]},
        {"subOrderIds": [1]},
        {"subOrderIds": [99], "fileIds": [3]},
        {"subOrderIds": []},
    ]

    answers = [await api.post(PATH, json=body) for body in bodies]

    archives = [answer.json() for answer in answers[:4]]
    contents = [read("zip", (await part(api, one, "0-")).content) for one in archives]
    notice = b"Failed to download file (d): not-tried."
    assert contents == [
        {"a": b"A", "c": b"C"},
        {"b": b"B", "NOTICE.txt": notice},
        {"a": b"A", "b": b"B", "c": b"C", "NOTICE.txt": notice},
        {"c": b"C"},
    ]
    assert [(one["files"], one["missing"]) for one in archives] == [(2, 0), (1, 1), (3, 1), (1, 0)]
    assert (answers[4].status_code, answers[4].json()["code"]) == (409, "nothing-available")


async def test_r8_what_is_known_of_an_archive(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """How much of it was sent, of how many entries the CRC is known, and when it ends."""
    downloadable.add("a", b"content" * 100)
    downloadable.add("b", b"content")
    fresh = await made(api)

    await part(api, fresh, "0-400")
    half = await made(api)
    await part(api, fresh, f"401-{fresh['length'] - 10}")
    nearly = await made(api)

    assert [one["hashes"]["crc32Known"] for one in (fresh, half, nearly)] == [0, 1, 2]
    assert (fresh["sent"], fresh["expires"]) == (0, "2027-03-01T00:00:00Z")
    assert 0.4 < half["sent"] < 0.5
    assert 0.9 < nearly["sent"] < 1
    (listed,) = (await api.get(PATH)).json()["archives"]
    assert "hashes" not in listed
    assert {**listed, "publicHref": 0} == {
        name: 0 if name == "publicHref" else value
        for name, value in nearly.items()
        if name != "hashes"
    }


async def test_m8_the_manifest_of_an_archive(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """Its files under their names in it, with the hashes that are known; and what had failed before."""
    downloadable.add("a", b"one")
    downloadable.add("a", b"two")
    downloadable.add("b", b"content", state=FileState.ERROR)
    archive = await made(api)
    address = f"{PATH}/{archive['id']}"

    before = (await api.get(f"{address}/manifest")).json()
    await api.get(archive["href"])
    await eventually(lambda: len(downloadable.order.results) == 2, "all downloaded")
    after = await api.get(f"{address}/manifest")

    manifest = after.json()
    assert {"archive", "order", "generated", "files", "failed"} == set(manifest)
    assert (manifest["archive"], manifest["order"]) == (archive["id"], 12)
    assert [(one["name"], one["sha256"], one["crc32"]) for one in before["files"]] == [
        ("a", None, None),
        ("a (1)", None, None),
    ]
    assert [
        (one["name"], one["size"], one["md5"], one["sha256"], one["crc32"], one["state"])
        for one in manifest["files"]
    ] == [
        (
            name,
            3,
            hashlib.md5(content, usedforsecurity=False).hexdigest(),
            hashlib.sha256(content).hexdigest(),
            f"{zlib.crc32(content):08x}",
            "DOWNLOADED",
        )
        for name, content in {"a": b"one", "a (1)": b"two"}.items()
    ]
    assert all(one["verified"] for one in manifest["files"])
    assert manifest["failed"] == [{"name": "b", "code": "not-tried", "detail": None}]
    assert after.headers["Content-Type"] == "application/json"
    described = (await api.get(address)).json()
    assert (described["sent"], described["hashes"]) == (1, {"crc32Known": 3})


async def test_what_cannot_be_made(api: httpx.AsyncClient, downloadable: DownloadableOrder) -> None:
    """Nothing available; a file of unknown size; an unknown order; an unknown format."""
    nothing = await api.post(PATH, json={})
    unknown = await api.post("/user/orders/99/archives", json={})
    format_ = await api.post(PATH, json={"format": "rar"})

    assert (nothing.status_code, nothing.json()["code"]) == (409, "nothing-available")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown-order")
    assert format_.status_code == 400


async def test_a_file_of_unknown_size_cannot_be_in_an_archive(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """The length of the archive wouldn't be known before its end (R-13)."""
    downloadable.add("a", b"content", size=None)

    answer = await api.post(PATH, json={})

    assert (answer.status_code, answer.json()["code"]) == (409, "cannot-be-archived")


async def test_who_may_download_an_archive(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """The owner and administrators; with an order token, whoever has that of its order."""
    downloadable.add("a", b"content")
    archive = await made(api)
    public = f"/orders/public/archives/{archive['id']}/x.zip"
    stranger = as_caller("other@example.org", "REGISTERED_USER")

    statuses = [
        (await api.get(archive["href"], headers=stranger)).status_code,
        (await api.post(PATH, json={}, headers=stranger)).status_code,
        (await api.get(PATH, headers=stranger)).status_code,
        (await api.get(public, params={"orderToken": order_token(ORDER_ID="99")})).status_code,
        (await api.get(public, params={"orderToken": "forged"})).status_code,
        (await api.get(public, params={"orderToken": order_token()})).status_code,
        (await api.get(f"{PATH}/{archive['id']}", headers=stranger)).status_code,
        (await api.get(f"{PATH}/{archive['id']}/manifest", headers=stranger)).status_code,
        (await api.get(f"{PATH}/a999")).status_code,
        (await api.get(f"{PATH}/a999/manifest")).status_code,
        (await api.get(f"{PATH}/a999/x.zip")).status_code,
        (await api.get(f"{PATH}/nonsense/x.zip")).status_code,
    ]

    assert statuses == [403, 403, 403, 403, 401, 200, 403, 403, 404, 404, 404, 404]


async def test_parallel_parts(api: httpx.AsyncClient, downloadable: DownloadableOrder) -> None:
    """As aria2 does it: the part with the directory waits for the CRCs of the others (R-18)."""
    downloadable.add_all(CONTENTS.items())
    archive = await made(api)
    length = archive["length"]
    bounds = [0, length // 4, length // 2, 3 * length // 4, length]

    answers = await asyncio.gather(
        *(part(api, archive, f"{a}-{b - 1}") for a, b in pairwise(bounds))
    )

    assert read("zip", b"".join(answer.content for answer in answers)) == CONTENTS
    await eventually(lambda: len(downloadable.order.results) == 5, "all downloaded")
