"""Reading files from storage, rs-dam and external addresses (domain.md 11.1, rest.md 10.3)."""

import hashlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest

from rs_order.domain.ids import Checksum, DataFileId, Urn
from rs_order.ports import FetchError, FileToDownload
from rs_order.regards.file_sources import (
    CHUNK,
    ExternalAccess,
    ExternalFiles,
    RegardsFileSources,
    StoredFiles,
)
from rs_order.regards.http import CallLimits, TokenIssuer
from rs_order.sandbox.faults import Outage, OutageMode, Quota, Service
from rs_order.sandbox.products import Location
from rs_order.sandbox.simulated_platform import Sandbox
from rs_order.sandbox.synthetic import SyntheticDataset
from tests.regards.conftest import DEMO, LOOPBACK
from tests.regards.raw_server import RawServer, answer, one_response_per_connection

StorageAt = Callable[[str], RegardsFileSources]

JANE = "jane@example.org"
ONLINE = Checksum("58f93afea28ebcb18f388a3f7cb2feb8")
ONLINE_SIZE = 10472
NEARLINE = Checksum("bdacea8567cded6badba4b19f68f52db")
ATTACHED = Checksum("2edf582ea63da4c3f96c20d477421816")
EIT = Urn("URN:AIP:DATASET:demo:c0438116-7605-5612-9805-0dd6060ebac4:V1")


@pytest.fixture
async def storage_at(
    files_client: aiohttp.ClientSession, tokens: TokenIssuer
) -> AsyncIterator[StorageAt]:
    """Return a function that makes sources whose storage has a given address."""
    external = ExternalFiles(ExternalAccess())

    def sources(url: str) -> RegardsFileSources:
        return RegardsFileSources(
            StoredFiles(files_client, tokens, storage_url=url, dam_url=url), external
        )

    yield sources
    await external.aclose()


def stored(checksum: Checksum | None = ONLINE, *, size: int | None = ONLINE_SIZE) -> FileToDownload:
    return FileToDownload(
        DataFileId(1), EIT, "file", "https://host/files/x", False, size, checksum, "MD5"
    )


def attached() -> FileToDownload:
    return FileToDownload(
        DataFileId(1), EIT, "file", "https://host/x/dam", False, 5993, ATTACHED, "MD5"
    )


def external(url: str) -> FileToDownload:
    return FileToDownload(DataFileId(1), EIT, "file", url, True, None, None, None)


async def read(sources: RegardsFileSources, file: FileToDownload) -> bytes:
    content = bytearray()
    async with sources.open(DEMO, JANE, file) as source:
        async for chunk in source.chunks:
            assert len(chunk) <= CHUNK
            content += chunk
    return bytes(content)


async def failure(sources: RegardsFileSources, file: FileToDownload) -> tuple[str, int | None]:
    with pytest.raises(FetchError) as raised:
        await read(sources, file)
    return raised.value.reason, raised.value.status


async def test_stored_file(sources: RegardsFileSources, sandbox: Sandbox) -> None:
    """Storage is asked by checksum for the user, with a role that may read every file."""
    content = await read(sources, stored())

    assert hashlib.md5(content, usedforsecurity=False).hexdigest() == ONLINE
    (call,) = sandbox.calls.recent("rs-storage")
    assert (f"/files/{ONLINE}/download", JANE, "PROJECT_ADMIN") == (
        call.path,
        call.email,
        call.role,
    )


async def test_attached_file(sources: RegardsFileSources, sandbox: Sandbox) -> None:
    """A file whose URL ends with /dam is read from rs-dam (remote-services.md 2.4)."""
    content = await read(sources, attached())

    assert hashlib.md5(content, usedforsecurity=False).hexdigest() == ATTACHED
    (call,) = sandbox.calls.recent("rs-dam")
    assert (f"/entities/{EIT}/files/{ATTACHED}", JANE, "PROJECT_ADMIN") == (
        call.path,
        call.email,
        call.role,
    )


async def test_bytes_come_in_bounded_pieces(sources: RegardsFileSources, sandbox: Sandbox) -> None:
    """A large file is never in memory as a whole."""
    holding = await sandbox.add_dataset(
        SyntheticDataset(name="large", products=1, size=3_000_000, location=Location.ONLINE)
    )
    checksum = Checksum(holding.product(0).files[0].checksum)

    content = await read(sources, stored(checksum, size=3_000_000))

    assert len(content) == 3_000_000


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (stored(NEARLINE), ("Server returned HTTP error code 410", 410)),
        (stored(Checksum("0" * 32)), ("Server returned HTTP error code 404", 404)),
        (stored(None), ("The file has no checksum to ask storage for", None)),
    ],
    ids=["not restored", "unknown", "without checksum"],
)
async def test_files_that_storage_does_not_have(
    sources: RegardsFileSources, file: FileToDownload, reason: tuple[str, int | None]
) -> None:
    """The reason has the status."""
    assert reason == await failure(sources, file)


async def test_quota(sources: RegardsFileSources, sandbox: Sandbox) -> None:
    """The user gets the message of storage, which names the quota."""
    holding = await sandbox.add_dataset(
        SyntheticDataset(name="raw", products=1, size=10, location=Location.ONLINE)
    )
    checksum = Checksum(holding.product(0).files[0].checksum)
    sandbox.faults.quotas = {JANE: Quota(max_files=0)}

    reason, status = await failure(sources, stored(checksum, size=10))

    assert (f"Download quota of 0 exceeded (by 1) for user {JANE}.", 429) == (reason, status)


async def test_quota_without_a_message(storage_at: StorageAt, sandbox: Sandbox) -> None:
    """A 429 without a body gets a message of this service."""
    async with RawServer.running(answer("429 Too Many Requests")) as server:
        sources = storage_at(server.url)
        assert await failure(sources, stored()) == ("Download failed due to exceeded quota", 429)


@pytest.mark.parametrize("status", [202, 302, 403, 500])
async def test_other_statuses(storage_at: StorageAt, status: int) -> None:
    """The reason has the number; redirects of storage aren't followed (remote-services.md 1.2)."""
    headers = ("Location: http://127.0.0.1:1/",)
    async with RawServer.running(answer(f"{status} Said", b"text", *headers)) as server:
        sources = storage_at(server.url)
        assert (f"Server returned HTTP error code {status}", status) == await failure(
            sources, stored()
        )


async def test_only_headers_that_describe_the_file_are_kept(storage_at: StorageAt) -> None:
    """Headers of the connection, of caching, and for the browser of a user are dropped."""
    sent = (
        "Content-Type: image/fits",
        "Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT",
        "Content-Disposition: attachment; filename=x",
        "Content-Encoding: gzip",
        "Content-Language: \u00fc",
        "Set-Cookie: a=b",
        "Access-Control-Allow-Origin: https://evil.example",
        "Cache-Control: public",
        "Keep-Alive: timeout=5",
        "Connection: keep-alive",
    )
    async with (
        RawServer.running(answer("200 OK", b"12345", *sent)) as server,
        storage_at(server.url).open(DEMO, JANE, stored(size=5)) as source,
    ):
        headers = dict(source.headers)

    assert headers == {
        "Content-Type": "image/fits",
        "Content-Length": "5",
        "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT",
    }


async def test_an_error_answer_of_storage_is_kept(storage_at: StorageAt) -> None:
    """The user gets its status, its headers and the beginning of its body."""
    body = b"x" * 200_000
    async with RawServer.running(answer("503 Busy", body, "Retry-After: 9")) as server:
        sources = storage_at(server.url)
        with pytest.raises(FetchError) as raised:
            await read(sources, stored())

    kept = raised.value.answer
    assert kept is not None
    assert (kept.status, kept.headers["Retry-After"], kept.body) == (503, "9", body[: 64 * 1024])


async def test_an_error_answer_of_an_external_server_is_not_kept(
    sources: RegardsFileSources,
) -> None:
    """Users get no content of an error from outside the platform."""
    async with RawServer.running(answer("404 Gone", b"<script>")) as server:
        with pytest.raises(FetchError) as raised:
            await read(sources, external(server.url))

    assert raised.value.answer is None


@pytest.mark.parametrize("mode", [OutageMode.DOWN, OutageMode.SLOW])
async def test_w15_storage_that_does_not_answer(
    sources: RegardsFileSources, sandbox: Sandbox, mode: OutageMode
) -> None:
    """A closed connection and a time-out are no answer (W15)."""
    sandbox.faults.outages = {Service.STORAGE: Outage(mode=mode, seconds=5)}

    assert await failure(sources, stored()) == ("Server returned no content", None)


async def test_an_incomplete_answer_of_storage(
    sources: RegardsFileSources, sandbox: Sandbox
) -> None:
    """The reason has the number of received and of announced bytes (rest.md 10.3)."""
    sandbox.faults.cut = {ONLINE}

    reason, _ = await failure(sources, stored())

    received = ONLINE_SIZE // 2
    assert reason == (
        f"Cannot completely download data file from storage, only {received}/{ONLINE_SIZE} bytes"
    )


async def test_w20_answer_without_length(sources: RegardsFileSources, sandbox: Sandbox) -> None:
    """No Content-Length is no failure (W20)."""
    sandbox.faults.without_length = {ONLINE}

    assert len(await read(sources, stored())) == ONLINE_SIZE


async def test_w20_length_beyond_32_bits(storage_at: StorageAt) -> None:
    """Sizes are numbers, not 32-bit numbers (W20)."""
    async with RawServer.running(answer("200 OK", b"12345", length=5_000_000_000)) as server:
        sources = storage_at(server.url)
        reason, _ = await failure(sources, stored(size=None))

    assert reason.endswith("only 5/5000000000 bytes")


async def test_external_file(sources: RegardsFileSources) -> None:
    """It is read from its own address, without a token."""
    async with RawServer.running(answer("200 OK", b"content")) as server:
        assert await read(sources, external(f"{server.url}/file.png")) == b"content"

    assert "authorization" not in server.requests[0].lower()


async def test_the_address_of_an_external_file_is_sent_as_it_is(
    sources: RegardsFileSources,
) -> None:
    """A signature may cover its escapes. Only what may not stand in a URL is escaped."""
    async with RawServer.running(answer("200 OK", b"content")) as server:
        await read(sources, external(f"{server.url}/a%2Cb%7e/../é x?s=%2B+%3d,~;$#part"))

    assert server.requests[0].startswith("GET /a%2Cb%7e/../%C3%A9%20x?s=%2B+%3d,~;$ HTTP/1.1")


async def test_external_file_is_not_decompressed(sources: RegardsFileSources) -> None:
    """A server may name the format of a .gz file as its content encoding."""
    packed = b"\x1f\x8b not really gzip"
    async with RawServer.running(answer("200 OK", packed, "Content-Encoding: gzip")) as server:
        assert packed == await read(sources, external(f"{server.url}/file.gz"))

    assert "accept-encoding: identity" in server.requests[0].lower()


@pytest.mark.parametrize(
    "response",
    [answer("200 OK", b"half", length=8), b"", b"no HTTP at all\r\n\r\n"],
    ids=["short", "hung up", "not HTTP"],
)
async def test_failures_of_an_external_server(sources: RegardsFileSources, response: bytes) -> None:
    """All failures have the same reason (domain.md 11.1)."""
    async with RawServer.running(response) as server:
        assert await failure(sources, external(f"{server.url}/file")) == (
            "Error during file download",
            None,
        )


@pytest.mark.parametrize(
    "url",
    [
        "ftp://127.0.0.1/file",
        "gopher:file",
        "http://127.0.0.1:1/nobody-listens",
        "http://[bad/",
        "http://xn--a/f20-host-is-no-idna",
        "http://xn--zzzzzz99999/f20-host-is-no-idna",
        "",
        "http://",
        "relative",
    ],
)
async def test_unusable_external_addresses(sources: RegardsFileSources, url: str) -> None:
    """Other schemes and invalid addresses fail only this file."""
    assert await failure(sources, external(url)) == ("Error during file download", None)


async def test_external_file_that_has_moved(sources: RegardsFileSources) -> None:
    """Redirects are followed between web addresses."""
    async with RawServer.running(
        answer("301 Moved", b"", "Location: /there"), answer("200 OK", b"content")
    ) as server:
        assert await read(sources, external(f"{server.url}/here")) == b"content"

    assert [head.split(" HTTP")[0] for head in server.requests] == ["GET /here", "GET /there"]


@pytest.mark.parametrize("target", ["http://xn--a/x", "http://[bad/", "http://host:port/"])
async def test_f20_redirects_to_addresses_that_cannot_be_read(
    sources: RegardsFileSources, target: str
) -> None:
    """A failure of this file, like any other."""
    async with RawServer.running(answer("302 Found", b"", f"Location: {target}")) as server:
        reason = await failure(sources, external(server.url))

    assert reason[0] in ("Error during file download", "Server returned HTTP error code 302")


@pytest.mark.parametrize("url", ["file://[bad/x", "file:///nowhere/%00"])
async def test_f20_local_addresses_that_cannot_be_read(
    sources: RegardsFileSources, url: str
) -> None:
    """A failure of this file, too."""
    reason = await failure(sources, external(url))

    assert reason == ("The service may not read files at this address", None)


@pytest.mark.parametrize("times", [1, 2])
async def test_f21_a_request_on_a_connection_that_the_source_closed(
    sources: RegardsFileSources, storage_at: StorageAt, times: int
) -> None:
    """A request without a response is sent once more if its connection was used before."""
    async with one_response_per_connection(b"content") as url:
        for _ in range(times):
            assert await read(sources, external(url)) == b"content"
            assert await read(storage_at(url), stored(size=7)) == b"content"


async def test_f21_a_source_that_closes_a_new_connection(sources: RegardsFileSources) -> None:
    """The request isn't sent again: the next one might get no answer either."""
    async with RawServer.running(b"", b"") as server:
        reason = await failure(sources, external(server.url))

    assert reason == ("Error during file download", None)
    assert len(server.requests) == 1


async def test_endless_redirects_of_an_external_file(sources: RegardsFileSources) -> None:
    """The number of redirects is limited."""
    async with RawServer.running(answer("302 Found", b"", "Location: /again")) as server:
        assert await failure(sources, external(f"{server.url}/again")) == (
            "Server returned HTTP error code 302",
            302,
        )

    assert len(server.requests) == 6


@pytest.mark.parametrize("target", ["file:///etc/hostname", "ftp://127.0.0.1/x"])
async def test_redirects_to_other_schemes_are_not_followed(
    sources: RegardsFileSources, target: str
) -> None:
    """An external server can't make the service read files of its own machine."""
    async with RawServer.running(answer("302 Found", b"", f"Location: {target}")) as server:
        reason, _ = await failure(sources, external(server.url))

    assert reason in {"Server returned HTTP error code 302", "Error during file download"}


async def test_proxy(tmp_path: Path) -> None:
    """External files are read through the proxy, except from the hosts that need none."""
    async with (
        RawServer.running(answer("200 OK", b"by proxy")) as proxy,
        RawServer.running(answer("200 OK", b"direct")) as server,
    ):
        access = ExternalAccess(proxy=proxy.url, direct_hosts=("127.0.0.1",), policy=LOOPBACK)
        files = ExternalFiles(access, CallLimits())
        async with files.open("http://archive.example.org/file") as source:
            proxied = b"".join([chunk async for chunk in source.chunks])
        async with files.open(f"{server.url}/file") as source:
            direct = b"".join([chunk async for chunk in source.chunks])
        await files.aclose()

    assert (proxied, direct) == (b"by proxy", b"direct")
    assert proxy.requests[0].startswith("GET http://archive.example.org/file ")


async def test_file_of_this_machine(sources: RegardsFileSources, tmp_path: Path) -> None:
    """A file below a configured folder is read, whatever its size (decisions.md, Processing outputs)."""
    folder = tmp_path / "readable"
    folder.mkdir()
    (folder / "out put.dat").write_bytes(b"x" * 200_000)

    assert len(await read(sources, external(f"file://{folder}/out%20put.dat"))) == 200_000


@pytest.mark.parametrize(
    "address",
    [
        "file://{outside}/secret",
        "file://{readable}/../secret",
        "file://{readable}/%2e%2e/secret",
        "file://{readable}/link",
        "file://elsewhere{readable}/fine",
        "FILE://{outside}/secret",
        "file:",
        "file://{readable}/null%00byte",
    ],
)
async def test_files_outside_the_configured_folders_are_not_read(
    sources: RegardsFileSources, tmp_path: Path, address: str
) -> None:
    """This holds for every way to write the address."""
    readable = tmp_path / "readable"
    readable.mkdir()
    (tmp_path / "secret").write_bytes(b"secret")
    (readable / "fine").write_bytes(b"fine")
    (readable / "link").symlink_to(tmp_path / "secret")

    url = address.format(outside=tmp_path, readable=readable)
    assert await failure(sources, external(url)) == (
        "The service may not read files at this address",
        None,
    )


@pytest.mark.parametrize("name", ["absent", ""])
async def test_file_of_this_machine_that_cannot_be_read(
    sources: RegardsFileSources, tmp_path: Path, name: str
) -> None:
    """The file doesn't exist, or is a folder."""
    (tmp_path / "readable").mkdir()

    assert await failure(sources, external(f"file://{tmp_path}/readable/{name}")) == (
        "Error during file download",
        None,
    )
