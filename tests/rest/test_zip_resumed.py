"""The address of an order's zip answers with an archive that resumes (faces.md R-12 to R-14)."""

import asyncio
import io
import random
import zipfile
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest

from rs_order.app.rest import RestServices
from rs_order.domain.states import FileState
from rs_order.downloads import streaming
from rs_order.ports import FetchError, FetchResult
from tests.rest.conftest import NOW, bearer, compact, serving
from tests.rest.fake_downloads import DownloadableOrder, incompressible
from tests.rest.test_download_tools import breaking
from tests.rest.test_zip_download import as_caller
from tests.support.clock import ManualClock
from tests.support.polling import eventually

PATH = "/user/orders/12/download"
DONE, FAILED, QUOTA = FetchResult.DOWNLOADED, FetchResult.FAILED, FetchResult.QUOTA_EXCEEDED
CONTENTS = {"a": incompressible(300_000), "b": incompressible(200_000)}
ADMIN = as_caller("admin@example.org", "PROJECT_ADMIN")


def read(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


async def part(api: httpx.AsyncClient, value: str, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return await api.get(PATH, headers={"Range": f"bytes={value}", **named})


async def cut(api: httpx.AsyncClient) -> tuple[httpx.Response, bytes]:
    """Begin a download and hang up; return the response and what was received."""
    async with api.stream("GET", PATH) as answer:
        return answer, await anext(answer.aiter_raw())


async def receive(api: httpx.AsyncClient, received: bytearray) -> None:
    """Add to ``received`` what comes of a download."""
    async with api.stream("GET", PATH) as answer:
        async for piece in answer.aiter_raw():
            received += piece


async def all_downloaded(downloadable: DownloadableOrder, files: int) -> None:
    wanted = dict.fromkeys(range(1, files + 1), DONE)
    await eventually(lambda: downloadable.order.results == wanted, "all downloaded")


@pytest.fixture
async def later(services: RestServices, api: httpx.AsyncClient) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an instance in 25 hours."""
    clock = ManualClock(NOW + timedelta(hours=25))
    there = replace(services, downloads=replace(services.downloads, clock=clock))
    async with aclosing(serving(there)) as urls:
        async with httpx.AsyncClient(
            base_url=await anext(urls), headers=api.headers, trust_env=False
        ) as client:
            yield client
        await anext(urls, None)


async def test_r12_the_old_address_answers_with_an_archive(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """It has the headers of an archive, and the file name as before. Its own address has the same bytes."""
    downloadable.add_all(CONTENTS.items())

    head = await api.head(PATH)
    answer = await api.get(PATH)

    own = await api.get(answer.headers["Content-Location"])
    assert answer.content == own.content
    assert read(answer.content) == CONTENTS
    for headers in (head.headers, answer.headers):
        assert headers["Content-Length"] == str(len(answer.content))
        assert headers["ETag"] == own.headers["ETag"]
        assert headers["Accept-Ranges"] == "bytes"
        assert headers["Content-Type"] == "application/octet-stream"
        assert headers["Content-Disposition"] == (
            'attachment; filename="order_12_2026-03-01T12-30-45.250000Z.zip"'
        )
    await all_downloaded(downloadable, 2)
    assert (await api.get(PATH)).status_code == 204


async def test_r12_a_restart_gets_the_same_bytes(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """As long as the archive covers what is available, also for another user."""
    downloadable.add_all(CONTENTS.items())

    begun, first = await cut(api)
    of_admin = (await api.head(PATH, headers=ADMIN)).headers["ETag"]
    whole = await api.get(PATH)

    assert begun.headers["ETag"] == whole.headers["ETag"] == of_admin
    assert whole.content.startswith(first)


async def test_r12_parts(api: httpx.AsyncClient, downloadable: DownloadableOrder) -> None:
    """With a validator or without one, they are slices of the archive that was begun."""
    downloadable.add_all(CONTENTS.items())
    begun, first = await cut(api)
    tag, start = begun.headers["ETag"], len(first)

    plain = await part(api, f"{start}-399999")
    same = await part(api, f"{start}-399999", If_Range=tag)
    match = await part(api, f"{start}-399999", If_Match=tag)
    any_ = await part(api, f"{start}-399999", If_Match="*")
    other = await part(api, f"{start}-", If_Match='"z1-other"')
    changed = await part(api, f"{start}-", If_Range='"z1-other"')
    rest = await part(api, "400000-")

    assert [one.status_code for one in (plain, same, match, any_)] == [206] * 4
    assert plain.content == same.content == match.content == any_.content
    assert plain.headers["Content-Location"] == begun.headers["Content-Location"]
    assert (other.status_code, list(other.json())) == (412, ["messages"])
    assert read(first + plain.content + rest.content) == CONTENTS
    assert (changed.status_code, read(changed.content)) == (200, CONTENTS)


async def test_r14_states_change_when_all_parts_were_taken(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """Once more after that, a tool hears that it has everything."""
    downloadable.add_all(CONTENTS.items())
    length = int((await api.head(PATH)).headers["Content-Length"])
    await part(api, "250000-")
    before = dict(downloadable.order.results)

    await part(api, "0-249999")
    await all_downloaded(downloadable, 2)
    again = await part(api, f"{length}-")

    assert before == {}
    assert (again.status_code, again.headers["Content-Range"]) == (416, f"bytes */{length}")


async def test_r12_an_archive_that_was_sent_is_given_for_a_day(
    api: httpx.AsyncClient, later: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """To whoever asks for a part. After that there is nothing left to download."""
    downloadable.add("a", b"content")
    await api.get(PATH)
    await all_downloaded(downloadable, 1)

    assert ((await part(api, "0-9")).status_code, (await part(later, "0-9")).status_code) == (
        206,
        204,
    )


async def test_r12_an_archive_that_was_not_sent_is_given_later_too(
    api: httpx.AsyncClient, later: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    downloadable.add("a", b"content")
    await api.head(PATH)
    first = await part(api, "0-9")

    second = await part(later, "10-")

    assert (first.status_code, second.status_code) == (206, 206)
    assert read(first.content + second.content) == {"a": b"content"}


async def test_r12_a_range_before_anything_was_given_is_ignored(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """What another user was given doesn't count."""
    downloadable.add("a", b"content")
    await api.head(PATH, headers=ADMIN)

    answer = await part(api, "5-")

    assert (answer.status_code, read(answer.content)) == (200, {"a": b"content"})


async def test_r12_files_that_become_available_meanwhile(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """They make another archive. The one that was begun goes on under its tag."""
    downloadable.add_all([("a", b"A"), ("b", b"B")])
    begun = await api.head(PATH)
    await api.get("/orders/files/1")
    await eventually(lambda: downloadable.order.results == {1: DONE}, "the first is downloaded")

    other = await api.head(PATH)
    answer = await part(api, "0-", If_Range=begun.headers["ETag"])

    assert other.headers["ETag"] != begun.headers["ETag"]
    assert read(answer.content) == {"a": b"A", "b": b"B"}
    assert (await part(api, "0-9")).headers["ETag"] == other.headers["ETag"]


async def test_r13_a_file_of_unknown_size(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """The zip is sent as before, and says that it can't be resumed."""
    downloadable.add("a", b"content", size=None)

    answer = await part(api, "5-")

    assert (answer.status_code, read(answer.content)) == (200, {"a": b"content"})
    assert answer.headers["Accept-Ranges"] == "none"
    assert {"ETag", "Content-Length", "Content-Location"}.isdisjoint(answer.headers)
    assert downloadable.order.results == {1: DONE}


async def test_r13_a_tenant_that_wants_compact_zips(
    services: RestServices, downloadable: DownloadableOrder
) -> None:
    """They are compressed, and states change as soon as the response has ended."""
    downloadable.add("a", bytes(100_000))
    services = replace(services, downloads=replace(services.downloads, zip_mode=compact))
    async with aclosing(serving(services)) as urls:
        headers = {"Authorization": f"Bearer {bearer()}"}
        async with httpx.AsyncClient(
            base_url=await anext(urls), headers=headers, trust_env=False
        ) as client:
            answer = await client.get(PATH)
            results = dict(downloadable.order.results)
            archives = (await client.get("/user/orders/12/archives")).json()["archives"]
        await anext(urls, None)

    assert len(answer.content) < 10_000
    assert answer.headers["Accept-Ranges"] == "none"
    assert (results, archives) == ({1: DONE}, [])


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (FetchError("Server returned HTTP error code 500", 500), FAILED),
        (FetchError("Download quota of 0 exceeded (by 1) for user j@x.", 429), QUOTA),
    ],
    ids=["broken", "quota"],
)
async def test_w15_and_fact_12_if_the_first_file_fails_the_others_are_sent(
    api: httpx.AsyncClient, downloadable: DownloadableOrder, error: FetchError, result: FetchResult
) -> None:
    """In the same response, as before. ``NOTICE.txt`` names it."""
    downloadable.add("a", error, of=b"A")
    downloadable.add("b", b"B")

    answer = await api.get(PATH)

    line = f"Failed to download file (a): {error.reason}."
    assert (answer.status_code, answer.headers["Accept-Ranges"]) == (200, "none")
    assert read(answer.content) == {"b": b"B", "NOTICE.txt": line.encode()}
    assert downloadable.order.results == {1: result, 2: DONE}


async def test_w15_a_later_file_that_fails_does_not_stop_the_others_for_long(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """The download is cut there. Who begins anew gets the others, and ``NOTICE.txt``."""
    error = FetchError("Server returned HTTP error code 500", 500)
    downloadable.add("a", CONTENTS["a"])
    downloadable.add("b", error, of=CONTENTS["b"])
    downloadable.add("c", b"C")

    with pytest.raises(httpx.RemoteProtocolError):
        await api.get(PATH)
    before = dict(downloadable.order.results)
    head = await api.head(PATH)
    answer = await api.get(PATH)

    assert before == {}
    assert head.headers["Accept-Ranges"] == "none"
    assert read(answer.content) == {
        "a": CONTENTS["a"],
        "c": b"C",
        "NOTICE.txt": f"Failed to download file (b): {error.reason}.".encode(),
    }
    assert downloadable.order.results == {1: DONE, 2: FAILED, 3: DONE}


async def test_r24_a_source_that_is_silent_does_not_stop_the_others_for_long(
    api: httpx.AsyncClient, downloadable: DownloadableOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is sent of an archive that storage is silent about. Who begins anew gets a stream."""
    silent, answers = asyncio.Event(), asyncio.Event()

    async def content() -> AsyncGenerator[bytes, None]:
        silent.set()
        await answers.wait()
        yield b"A"

    downloadable.add("a", content, of=b"A")
    downloadable.add("b", b"B")
    monkeypatch.setattr(streaming, "LONGEST_SILENCE", 0.2)

    first = await api.get(PATH)
    answers.set()
    second = await api.get(PATH)

    assert silent.is_set()
    assert (first.status_code, list(first.json())[-1]) == (503, "messages")
    assert (second.status_code, second.headers["Accept-Ranges"]) == (200, "none")
    assert read(second.content) == {"a": b"A", "b": b"B"}


async def test_r22_a_download_that_was_cut_goes_on(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """The file that broke off is asked for again, and nothing failed in the end."""
    downloadable.add("a", CONTENTS["a"])
    chance = random.Random(1)  # noqa: S311 - where the transfer is cut
    # Once more than it is tried: the first attempt is made ahead, while the file before is read.
    downloadable.add("b", breaking(CONTENTS["b"], 2, chance), of=CONTENTS["b"])
    received = bytearray()
    with pytest.raises(httpx.RemoteProtocolError):
        await receive(api, received)

    rest = await part(api, f"{len(received)}-")

    assert rest.status_code == 206
    assert read(bytes(received) + rest.content) == CONTENTS
    await all_downloaded(downloadable, 2)


@pytest.mark.parametrize(
    ("error", "status"),
    [(FetchError("broken", 500), 503), (FetchError("Download quota exceeded", 429), 429)],
    ids=["broken", "quota"],
)
async def test_r22_a_part_that_begins_in_a_file_that_fails(
    api: httpx.AsyncClient, downloadable: DownloadableOrder, error: FetchError, status: int
) -> None:
    """It is refused before any byte, with the messages of all REGARDS services."""
    downloadable.add("a", error, of=CONTENTS["a"])
    await api.head(PATH)

    answer = await part(api, "1000-")

    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/json"
    assert error.reason in answer.json()["messages"][0]
    assert "Content-Location" not in answer.headers


async def test_no_false_done_wrong_content_of_the_first_file(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """The zip has the others, and names it."""
    downloadable.add("a", b"wrong bytes", of=b"right bytes")
    downloadable.add("b", b"B")

    answer = await api.get(PATH)

    contents = read(answer.content)
    assert contents.pop("NOTICE.txt").startswith(b"Failed to download file (a): Wrong content: MD5")
    assert contents == {"b": b"B"}
    assert downloadable.order.results == {1: FetchResult.WRONG_CONTENT, 2: DONE}


async def test_r23_wrong_content_of_a_later_file(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """The download is cut. Its tag matches no more, and another archive has the others and names it."""
    downloadable.add("a", CONTENTS["a"])
    downloadable.add("b", CONTENTS["b"][:-1] + b"x", of=CONTENTS["b"])
    tag = (await api.head(PATH)).headers["ETag"]
    with pytest.raises(httpx.RemoteProtocolError):
        await api.get(PATH)
    await eventually(
        lambda: downloadable.order.results == {2: FetchResult.WRONG_CONTENT}, "the file is in error"
    )

    match = await part(api, "1000-", If_Match=tag)
    answer = await part(api, "1000-", If_Range=tag)

    assert (match.status_code, answer.status_code) == (412, 200)
    assert list(read(answer.content)) == ["a", "NOTICE.txt"]
    await eventually(lambda: downloadable.order.results.get(1) is DONE, "the other is downloaded")


async def test_nothing_is_made_before_all_files_are_known(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """Neither here nor at the address of archives, if no file is available."""
    downloadable.add("a", b"content", state=FileState.PENDING)

    made = await api.post("/user/orders/12/archives", json={})

    assert (await api.get(PATH)).status_code == 204
    assert (made.status_code, made.json()["code"]) == (409, "nothing-available")
