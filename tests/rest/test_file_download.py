"""Single files over HTTP: rights, responses, and states afterwards (rest.md 10.1, domain.md 11.2)."""

import asyncio
import hashlib
from base64 import b64encode
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from rs_order.app.rest import RestServices
from rs_order.domain.states import FileState, OrderStatus
from rs_order.downloads.order_tokens import NoOrderTokens
from rs_order.ports import FetchError, FetchResult, SourceAnswer
from tests.rest.conftest import bearer, serving
from tests.rest.fake_downloads import ORDER, OWNER, DownloadableOrder, incompressible
from tests.rest.order_tokens import BAD_TOKENS, order_token
from tests.rest.test_zip_download import Endless, as_caller
from tests.support.polling import WAIT_SECONDS, eventually

PLAIN, PUBLIC = "/orders/files/1", "/orders/public/files/1"
DONE, FAILED, WRONG = FetchResult.DOWNLOADED, FetchResult.FAILED, FetchResult.WRONG_CONTENT
STRANGER = "other@example.org"


async def outcome(
    downloadable: DownloadableOrder, file_id: int = 1
) -> tuple[FetchResult, str | None]:
    """Wait for the recorded outcome of a download, which follows its last byte, and return it."""
    await eventually(lambda: file_id in downloadable.order.results, "an outcome")
    return downloadable.order.results[file_id], downloadable.order.reasons[file_id]


@pytest.fixture
async def anonymous(base_url: str) -> Any:
    """A client without a bearer token, which names the project by ``scope``."""
    async with httpx.AsyncClient(
        base_url=base_url, params={"scope": "demo"}, trust_env=False, timeout=60
    ) as client:
        yield client


@pytest.mark.parametrize("prefix", ["", "/api/v1/rs-order"])
async def test_file(api: httpx.AsyncClient, downloadable: DownloadableOrder, prefix: str) -> None:
    """The response has the content and the headers of storage. The file becomes DOWNLOADED."""
    content = incompressible(300_000)
    downloadable.add(
        "a.fits",
        content,
        headers={
            "Content-Type": "image/fits",
            "Content-Length": "300000",
            "Content-Disposition": 'attachment; filename="a.fits"; size=300000',
            "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT",
        },
    )

    answer = await api.get(prefix + PLAIN)

    assert answer.status_code == 200
    assert content == answer.content
    assert answer.headers["Content-Type"] == "image/fits"
    assert answer.headers["Content-Length"] == "300000"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="a.fits"'
    assert answer.headers["Last-Modified"] == "Thu, 01 Jan 2026 00:00:00 GMT"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert await outcome(downloadable) == (DONE, None)
    assert downloadable.sources.emails == [OWNER]


async def test_m_6_a_proven_file_has_digests(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """The next requests after a download that proved the bytes have their SHA-256, HEAD too."""
    content = incompressible(300_000)
    downloadable.add("a.fits", content)
    first = await api.get(PLAIN)
    await outcome(downloadable)

    answers = [await api.get(PLAIN), await api.head(PLAIN)]

    digest = b64encode(hashlib.sha256(content).digest()).decode()
    assert "Digest" not in first.headers
    assert "Repr-Digest" not in first.headers
    for answer in answers:
        assert answer.headers["Repr-Digest"] == f"sha-256=:{digest}:"
        assert answer.headers["Digest"] == f"SHA-256={digest}"


@pytest.mark.parametrize("checksum", [None, "of no known algorithm"])
async def test_m_6_an_unproven_file_has_no_digest(
    api: httpx.AsyncClient, downloadable: DownloadableOrder, checksum: str | None
) -> None:
    """Nothing says that its bytes are the same each time, although they were downloaded."""
    downloadable.add("a.fits", checksum=checksum, algorithm=None)
    await api.get(PLAIN)
    await outcome(downloadable)

    answer = await api.get(PLAIN)

    assert answer.content == b"content"
    assert "Digest" not in answer.headers
    assert "Repr-Digest" not in answer.headers


async def test_file_without_headers_of_storage(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """Name, type and size are those of the order."""
    downloadable.add("ü.jp2", b"content", mime_type="image/jp2")

    answer = await api.get(PLAIN)

    assert answer.headers["Content-Type"] == "image/jp2"
    assert answer.headers["Content-Length"] == "7"
    assert (
        answer.headers["Content-Disposition"]
        == "attachment; filename=\"u.jp2\"; filename*=UTF-8''%C3%BC.jp2"
    )


async def test_storage_does_not_name_the_file(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """Storage identifies files by their content, so it may send the name of another file."""
    downloadable.add(
        "ours.fits", headers={"Content-Disposition": 'inline; filename="../other.html"'}
    )

    answer = await api.get(PLAIN)

    assert answer.headers["Content-Disposition"] == 'attachment; filename="ours.fits"'


async def test_hostile_names_of_the_order_are_harmless(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """Names have no folder and add no header. A file without a name is named after its URL."""
    names = {
        "../../etc/passwd": 'attachment; filename="passwd"',
        'a"\r\nSet-Cookie: x=y': (
            'attachment; filename="a___Set-Cookie: x=y"; '
            "filename*=UTF-8''a%22__Set-Cookie%3A%20x%3Dy"
        ),
        "": 'attachment; filename="last segment.dat"',
    }
    headers = {downloadable.add(name): header for name, header in names.items()}

    for file_id, header in headers.items():
        answer = await api.get(f"/orders/files/{file_id}")
        assert answer.status_code == 200
        assert answer.headers["Content-Disposition"] == header
        assert "Set-Cookie" not in answer.headers


async def test_hostile_type_of_the_catalog(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """A text that is no MIME type isn't sent."""
    downloadable.add("a", mime_type="text/html\r\nSet-Cookie: x=y")

    answer = await api.get(PLAIN)

    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert "Set-Cookie" not in answer.headers


async def test_w16_external_file(api: httpx.AsyncClient, downloadable: DownloadableOrder) -> None:
    """D1: the headers come from the order, not from the external server. The file's state changes."""
    downloadable.add(
        "a.png",
        b"content",
        external=True,
        mime_type="image/png",
        headers={"Content-Type": "text/html", "Content-Disposition": 'attachment; filename="x"'},
    )

    answer = await api.get(PLAIN)

    assert answer.headers["Content-Disposition"] == 'attachment; filename="a.png"'
    assert (answer.headers["Content-Type"], answer.headers["Content-Length"]) == ("image/png", "7")
    assert await outcome(downloadable) == (DONE, None)


async def test_external_file_without_name_type_and_size(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """The response is chunked, and the file is named after its URL."""
    downloadable.add("", b"content", external=True, size=None, checksum=None)

    answer = await api.get(PLAIN)

    assert (answer.content, answer.headers["Transfer-Encoding"]) == (b"content", "chunked")
    assert "Content-Length" not in answer.headers
    assert answer.headers["Content-Disposition"] == 'attachment; filename="last segment.dat"'
    assert await outcome(downloadable) == (DONE, None)


async def test_w16_external_file_that_cannot_be_fetched(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """The response is 500 without the body of the external server. The state is DOWNLOAD_ERROR."""
    downloadable.add("a", FetchError("Error during file download", 404), external=True, of=b"A")

    answer = await api.get(PLAIN)

    assert (answer.status_code, answer.content) == (500, b"")
    assert await outcome(downloadable) == (FAILED, "Error during file download")


async def test_w20_file_without_length(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """A response of storage without Content-Length is accepted."""
    downloadable.add("a", b"content", size=None)

    answer = await api.get(PLAIN)

    assert answer.content == b"content"
    assert await outcome(downloadable) == (DONE, None)


async def test_empty_file(api: httpx.AsyncClient, downloadable: DownloadableOrder) -> None:
    """An empty file becomes DOWNLOADED."""
    downloadable.add("a", b"")

    answer = await api.get(PLAIN)

    assert (answer.status_code, answer.content) == (200, b"")
    assert await outcome(downloadable) == (DONE, None)


async def test_who_may_download_a_file(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """The owner, PROJECT_ADMIN and INSTANCE_ADMIN may; ADMIN may not (domain.md 18)."""
    downloadable.add("a")
    of_another_order = {"orderToken": order_token(ORDER_ID="99")}

    for email, role, status in [
        (OWNER, "REGISTERED_USER", 200),
        (STRANGER, "REGISTERED_USER", 403),
        (STRANGER, "EXPLOIT", 403),
        (STRANGER, "ADMIN", 403),
        (STRANGER, "PROJECT_ADMIN", 200),
        (STRANGER, "INSTANCE_ADMIN", 200),
    ]:
        for path, params in ((PLAIN, None), (PUBLIC, of_another_order)):
            answer = await api.get(path, headers=as_caller(email, role), params=params)
            assert answer.status_code == status, role
            assert answer.content == (b"" if status == 403 else b"content"), role


async def test_a_file_counts_towards_the_quota_of_the_caller(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """An administrator uses their own quota. With an order token, the owner's quota is used."""
    downloadable.add("a")

    await api.get(PLAIN, headers=as_caller(STRANGER, "PROJECT_ADMIN"))
    await api.get(PUBLIC, params={"orderToken": order_token()})

    assert downloadable.sources.emails == [STRANGER, OWNER]


async def test_an_order_token_is_enough_to_download_a_file(
    anonymous: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """The caller has no other token."""
    downloadable.add("a", b"content")

    answer = await anonymous.get(PUBLIC, params={"orderToken": order_token()})

    assert (answer.status_code, answer.content) == (200, b"content")
    assert await outcome(downloadable) == (DONE, None)


async def test_w14_an_order_token_is_valid_for_its_order_and_owner_only(
    anonymous: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """Other tokens get 403 without a body (decisions.md, Order token)."""
    downloadable.add("a")
    others: list[dict[str, Any]] = [
        {"ORDER_ID": "13"},
        {"sub": "public@regards.com"},
        {"sub": None},
        {"sub": STRANGER, "email": OWNER},
    ]

    for claims in others:
        for verb in ("GET", "HEAD"):
            token = order_token(**claims)
            answer = await anonymous.request(verb, PUBLIC, params={"orderToken": token})
            assert (answer.status_code, answer.content) == (403, b""), claims

    assert downloadable.sources.opened == []


async def test_invalid_order_tokens(
    anonymous: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """The response is 401 without a body, also for an unknown file, and never 500."""
    downloadable.add("a")

    for kind, token in BAD_TOKENS.items():
        for verb in ("GET", "HEAD"):
            for path in (PUBLIC, "/orders/public/files/99"):
                answer = await anonymous.request(verb, path, params={"orderToken": token})
                assert (answer.status_code, answer.content) == (401, b""), kind


async def test_missing_order_token(
    anonymous: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """The response is 400 and names the parameter."""
    downloadable.add("a")

    answer = await anonymous.get(PUBLIC)

    assert answer.status_code == 400
    assert answer.json() == {"messages": ["orderToken: Field required"]}


async def test_an_order_token_needs_a_scope_or_a_bearer_token(base_url: str) -> None:
    """These name the project; the order token alone doesn't."""
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        answer = await client.get(f"{base_url}{PUBLIC}?orderToken={order_token()}")

    assert answer.status_code == 401


async def test_service_without_a_key_for_order_tokens(
    services: RestServices, downloadable: DownloadableOrder
) -> None:
    """The response is 503 and names the setting, because the token may be valid."""
    downloadable.add("a")
    downloads = replace(services.downloads, order_tokens=NoOrderTokens())
    async for url in serving(replace(services, downloads=downloads)):
        async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
            answer = await client.get(f"{url}{PUBLIC}?scope=demo&orderToken={order_token()}")

    assert answer.status_code == 503
    assert "RS_ORDER_ORDER_SECRET" in answer.json()["messages"][0]


async def test_unknown_file(api: httpx.AsyncClient) -> None:
    """The response is 404 with the text of the contract (domain.md 17), for all callers."""
    answers = [
        await api.get("/orders/files/-12"),
        await api.get("/orders/public/files/-12", params={"orderToken": order_token()}),
        await api.get("/orders/files/-12", headers=as_caller(STRANGER, "REGISTERED_USER")),
    ]

    for answer in answers:
        assert answer.status_code == 404
        assert answer.json() == {"messages": ["Data file with id: -12 doesn't exist."]}


@pytest.mark.parametrize("status", [OrderStatus.DELETED, OrderStatus.EXPIRED])
async def test_file_of_a_deleted_or_expired_order(
    api: httpx.AsyncClient, downloadable: DownloadableOrder, status: OrderStatus
) -> None:
    """The response is 404, although the row of the file may still exist."""
    downloadable.add("a")
    downloadable.order.status = status

    assert (await api.get(PLAIN)).status_code == 404


async def test_states_of_files(
    api: httpx.AsyncClient, anonymous: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """PENDING is 202, ERROR is 422, all others are fetched. HEAD has the same status and fetches nothing."""
    statuses = {
        downloadable.add(state, b"content", state=state): status
        for state, status in {
            FileState.PENDING: 202,
            FileState.ERROR: 422,
            FileState.AVAILABLE: 200,
            FileState.DOWNLOADED: 200,
            FileState.DOWNLOAD_ERROR: 200,
            FileState.PROCESSING_ERROR: 200,
        }.items()
    }
    token = {"orderToken": order_token()}

    for file_id, status in statuses.items():
        plain, public = f"/orders/files/{file_id}", f"/orders/public/files/{file_id}"
        for answer in (await api.head(plain), await anonymous.head(public, params=token)):
            assert (answer.status_code, answer.content) == (status, b"")
        assert file_id not in downloadable.sources.opened
        for answer in (await api.get(plain), await anonymous.get(public, params=token)):
            assert answer.status_code == status
            assert answer.content == (b"content" if status == 200 else b"")
        assert (file_id in downloadable.sources.opened) is (status == 200)


async def test_a_pending_file_says_where_and_when_to_look(
    api: httpx.AsyncClient, anonymous: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """faces.md H-3: at the progress of the order, or here again, since its token opens nothing else."""
    downloadable.add("a", state=FileState.PENDING)
    token = {"orderToken": order_token()}
    order = f"/user/orders/{ORDER}/progress"

    for verb in ("GET", "HEAD"):
        own = await api.request(verb, PLAIN)
        by_token = await anonymous.request(verb, PUBLIC, params=token)
        assert (own.status_code, by_token.status_code) == (202, 202)
        assert own.headers["Location"].endswith(order)
        assert by_token.headers["Location"] == str(by_token.url)
        assert own.headers["Retry-After"] == by_token.headers["Retry-After"] == "300"


async def test_head_has_the_headers_of_get_and_asks_storage_for_nothing(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """The length is that of the catalog; without one there is none: 0 would look like an empty file."""
    downloadable.add("a", b"content")
    downloadable.add("b", b"content", size=None)

    head, of_unknown_size = await api.head(PLAIN), await api.head("/orders/files/2")
    opened = list(downloadable.sources.opened)
    get = await api.get(PLAIN)

    assert head.status_code == 200
    assert opened == []
    for name in ("Content-Length", "ETag", "Accept-Ranges", "Content-Disposition", "Content-Type"):
        assert head.headers[name] == get.headers[name]
    assert head.headers["Content-Length"] == "7"
    assert "Content-Length" not in of_unknown_size.headers


async def test_files_are_downloaded_again(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """A file that is DOWNLOADED or in DOWNLOAD_ERROR becomes DOWNLOADED (D4)."""
    ids = [
        downloadable.add("a", state=state)
        for state in (FileState.DOWNLOADED, FileState.DOWNLOAD_ERROR)
    ]

    for file_id in ids:
        await api.get(f"/orders/files/{file_id}")
        assert await outcome(downloadable, file_id) == (DONE, None)


async def test_a_file_in_processing_error_keeps_its_state(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """It is an error of the order, so a download doesn't change it."""
    downloadable.add("a", state=FileState.PROCESSING_ERROR)

    await api.get(PLAIN)
    await eventually(lambda: downloadable.order.settlements, "the end of the download")

    assert downloadable.order.results == {}


def storage_error(status: int, body: bytes = b"", **headers: str) -> FetchError:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return FetchError(
        f"Server returned HTTP error code {status}", status, SourceAnswer(status, names, body)
    )


async def test_error_responses_of_storage_are_passed_on(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """Status, headers and body are passed on, or 500 without an error response. DOWNLOAD_ERROR."""
    errors: list[tuple[FetchError, int, bytes]] = [
        (storage_error(202), 202, b""),
        (storage_error(404), 404, b""),
        (storage_error(410), 410, b""),
        (storage_error(500, b"disk is broken"), 500, b"disk is broken"),
        (storage_error(503, b"{}", Content_Type="application/json", Retry_After="9"), 503, b"{}"),
        (storage_error(302, b"elsewhere", Retry_After="9"), 500, b""),
        (storage_error(204), 500, b""),
        (FetchError("Server returned no content"), 500, b""),
        (FetchError("The file has no checksum to ask storage for"), 500, b""),
    ]
    for error, _, _ in errors:
        downloadable.add("a", error)

    for file_id, (error, status, body) in enumerate(errors, 1):
        answer = await api.get(f"/orders/files/{file_id}")
        assert (answer.status_code, answer.content) == (status, body)
        assert answer.headers.get("Retry-After") == ("9" if status == 503 else None)
        assert "Content-Disposition" not in answer.headers
        assert await outcome(downloadable, file_id) == (FAILED, error.reason)


async def test_quota(api: httpx.AsyncClient, downloadable: DownloadableOrder) -> None:
    """The response is 429 with storage's text. The file stays AVAILABLE (decisions.md, Quota)."""
    text = "Download quota of 1 exceeded (by 1) for user jane@example.org."
    response = SourceAnswer(429, {"Content-Type": "text/plain"}, text.encode())
    downloadable.add("a", FetchError(text, 429, response), of=b"A")

    answer = await api.get(PLAIN)

    assert (answer.status_code, answer.text) == (429, text)
    assert answer.headers["Content-Type"] == "text/plain"
    assert (FetchResult.QUOTA_EXCEEDED, text) == await outcome(downloadable)


async def test_quota_without_a_text_of_storage(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """The response has a general text."""
    downloadable.add(
        "a", FetchError("Download failed due to exceeded quota", 429, SourceAnswer(429, {}, b""))
    )

    answer = await api.get(PLAIN)

    assert (answer.status_code, answer.text) == (429, "Download failed due to exceeded quota")


async def test_no_false_done_wrong_content_of_a_small_file_is_never_sent(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """The whole content is checked before the first byte is sent: 500 without a body."""
    outcomes = {
        b"": (FAILED, "Cannot completely retrieve data file from storage, only 0/11 bytes"),
        b"right byte": (
            FAILED,
            "Cannot completely retrieve data file from storage, only 10/11 bytes",
        ),
        b"right bytes and more": (WRONG, "Wrong content: more than the 11 bytes of the catalog"),
        b"wrong bytes": (
            WRONG,
            (
                "Wrong content: MD5 is 69a47a829d6f26884b4207c50db1218a"
                " instead of a80d2817f4c0ed995478b72bf8e0f03a"
            ),
        ),
    }
    for content in outcomes:
        downloadable.add("a", content, of=b"right bytes")

    for file_id, expected in enumerate(outcomes.values(), 1):
        answer = await api.get(f"/orders/files/{file_id}")
        assert (answer.status_code, answer.content) == (500, b"")
        assert await outcome(downloadable, file_id) == expected


async def test_f22d_a_file_whose_checksum_cannot_be_checked(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """It is delivered if its size is right, and its outcome says that it is unverifiable."""
    downloadable.add("a", b"content", checksum="abc", algorithm="CRC32C")

    answer = await api.get(PLAIN)

    assert (answer.status_code, answer.content) == (200, b"content")
    assert await outcome(downloadable) == (DONE, None)
    assert downloadable.order.settled[0].unverifiable


@pytest.mark.parametrize("size", ["right", None], ids=["of known size", "of unknown size"])
async def test_no_false_done_a_large_file_with_wrong_content_is_aborted(
    api: httpx.AsyncClient, downloadable: DownloadableOrder, size: str | None
) -> None:
    """The last piece isn't sent, so the client sees that the response is incomplete."""
    right = incompressible(300_000)
    downloadable.add("a", right[:-1] + b"x", of=right, size=size)
    received = bytearray()

    async def read() -> None:
        async with api.stream("GET", PLAIN) as answer:
            async for piece in answer.aiter_raw():
                received.extend(piece)

    with pytest.raises(httpx.RemoteProtocolError):
        await read()

    assert 0 < len(received) < len(right)
    assert (await outcome(downloadable))[0] is WRONG


async def test_transfer_that_breaks_off(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """The response is aborted, the state is DOWNLOAD_ERROR with the received bytes, no defect is logged."""

    async def breaking() -> AsyncGenerator[bytes, None]:
        yield b"1" * 60_000
        yield b"2" * 40_000
        raise FetchError(
            "Cannot completely download data file from storage, only 100000/150000 bytes"
        )

    downloadable.add("a", breaking, size=150_000)

    with capture_logs() as lines:
        with pytest.raises(httpx.RemoteProtocolError):
            await api.get(PLAIN)
        of_requests = await eventually(
            lambda: [line for line in lines if line["event"].startswith("request")], "the line"
        )
    reason = "Cannot completely retrieve data file from storage, only 100000/150000 bytes"
    assert await outcome(downloadable) == (FAILED, reason)
    (line,) = of_requests

    assert {
        "event": "request",
        "status": 200,
        "bytes": 60_000,
        "file": 1,
        "order": 12,
        "result": FAILED,
        "reason": reason,
        "complete": False,
    }.items() <= line.items()


async def test_client_that_disconnects_during_the_download(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """The source is closed at once, and the state is DOWNLOAD_ERROR with the number of bytes read."""
    endless = Endless()
    downloadable.add("a", endless, size=2**40)

    async with api.stream("GET", PLAIN) as answer:
        assert int(answer.headers["Content-Length"]) == 2**40
        await anext(answer.aiter_raw())
    await asyncio.wait_for(endless.closed.wait(), WAIT_SECONDS)
    result, reason = await outcome(downloadable)

    assert result is FAILED
    assert (reason or "").startswith("Cannot completely retrieve data file from storage, only ")
    assert downloadable.sources.open_now == 0


async def test_client_that_disconnects_while_storage_sends_nothing(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """The service detects it before the first byte."""
    closed = asyncio.Event()

    async def silent() -> AsyncGenerator[bytes, None]:
        try:
            await asyncio.Event().wait()
            yield b""
        finally:
            closed.set()

    downloadable.add("a", silent, size=7)
    with pytest.raises(httpx.ReadTimeout):
        await api.get(PLAIN, timeout=0.2)

    await asyncio.wait_for(closed.wait(), WAIT_SECONDS)
    reason = "Cannot completely retrieve data file from storage, only 0/7 bytes"
    assert (FAILED, reason) == await outcome(downloadable)


async def test_a_slow_client_slows_down_the_source(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """The service doesn't read ahead more than the connection accepts."""
    given = 0

    async def counted() -> AsyncGenerator[bytes, None]:
        nonlocal given
        chunk = incompressible(65536)
        while True:
            given += len(chunk)
            yield chunk

    downloadable.add("a", counted, size=2**40)
    async with api.stream("GET", PLAIN) as answer:
        await anext(answer.aiter_raw())
        before, after = -1, given
        while before != after:
            await asyncio.sleep(0.05)  # until nothing more is taken
            before, after = after, given

    assert given < 64 * 2**20


async def test_a_defect_in_a_source_is_recorded_as_a_failure(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """The response is 500, and the file is in DOWNLOAD_ERROR."""

    async def broken() -> AsyncGenerator[bytes, None]:
        raise ZeroDivisionError
        yield b""

    downloadable.add("a", broken, size=7)

    with capture_logs() as lines:
        answer = await api.get(PLAIN)

    assert answer.status_code == 500
    assert "request-failed" in [line["event"] for line in lines]
    assert (await outcome(downloadable))[0] is FAILED


async def test_file_of_another_tenant(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """The token decides about the tenant, whatever the value of ``scope`` is."""
    downloadable.add("a")
    headers = {"Authorization": f"Bearer {bearer(tenant='project1')}", "scope": "demo"}

    assert (await api.get(PLAIN, headers=headers)).status_code == 404
