"""Opens files to download: in rs-storage, in rs-dam, or on the host of an external file.

Files that REGARDS stores are requested in the name of the user, whose quota they are charged to, with a
role that may read every file (remote-services.md 2.9, 3.4). External files are requested by URL without a
token (remote-services.md 3.5).
"""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO, Final
from urllib.parse import quote, urljoin, urlsplit
from urllib.request import url2pathname

import aiohttp
from yarl import URL

from rs_order.contracts.platform_names import PlatformService
from rs_order.domain import failure_reasons
from rs_order.domain.ids import Tenant
from rs_order.ports import FetchError, FileToDownload, OpenFile, SourceAnswer
from rs_order.regards.address_policy import AddressPolicy, AddressRefused, refuse_disguised
from rs_order.regards.call_watch import EXTERNAL
from rs_order.regards.http import (
    FILE_LIMITS,
    NO_RESPONSE,
    CallLimits,
    TokenIssuer,
    measured,
    new_client,
    outcome_of,
    send,
)
from rs_order.regards.range_answers import RangeAnswers, is_rest_of_file

CHUNK: Final = 256 * 1024
"""Bytes in one piece of a file, at most."""

DOWNLOAD_HEADERS: Final = {
    "Accept": "application/octet-stream",
    # The bytes as stored: the checksum is that of the file, not of an encoding of it.
    "Accept-Encoding": "identity",
}

_OF_THE_FILE: Final = (
    "Content-Type",
    "Content-Length",
    "Content-Language",
    "ETag",
    "Last-Modified",
    "Retry-After",
)
"""Headers that describe the file, or when to retry. All others are left out: they concern the connection,
caches, cookies or origins of the other server, or an encoding that the delivered bytes don't have."""


def headers_of(response: aiohttp.ClientResponse) -> Mapping[str, str]:
    """Return the headers of a source that may be passed on: printable ASCII that describes the file."""
    found = {name: response.headers.get(name, "") for name in _OF_THE_FILE}
    return {
        name: value
        for name, value in found.items()
        if value and value.isascii() and value.isprintable()
    }


async def bounded_body(response: aiohttp.ClientResponse, most: int) -> bytes:
    """Return at most ``most`` bytes of a body; none if the transfer breaks, as half a text may mislead."""
    body = bytearray()
    try:
        async for chunk in response.content.iter_chunked(CHUNK):
            body += chunk
            if len(body) >= most:
                break
    except NO_RESPONSE:
        # The caller has the status, which is enough.
        return b""
    return bytes(body[:most])


def announced_size(response: aiohttp.ClientResponse) -> int | None:
    """Return ``Content-Length`` in bytes, or None if the server sent none."""
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() else None


MAX_ANSWER: Final = 64 * 1024
"""The most bytes of an error response that are read, and may be passed on."""
MAX_QUOTA_TEXT: Final = 1000
"""The most characters of storage's text on a quota; its usual texts have about 100."""


_ANSWERS_TO_RANGE: Final = frozenset(
    {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE}
)
"""The statuses that depend on ``Range``, or would if the service knew it."""


class StoredFiles:
    """Opens files by checksum in rs-storage, or by dataset and checksum in rs-dam."""

    def __init__(
        self, client: aiohttp.ClientSession, tokens: TokenIssuer, *, storage_url: str, dam_url: str
    ) -> None:
        self._client = client
        self._tokens = tokens
        self._storage_url = storage_url.rstrip("/")
        self._dam_url = dam_url.rstrip("/")
        self._ranges = RangeAnswers()

    @asynccontextmanager
    async def open(
        self, tenant: Tenant, email: str, file: FileToDownload, *, start: int = 0
    ) -> AsyncIterator[OpenFile]:
        """Open a file in the name of a user, at a byte if its service takes ranges, or else at the first.

        Raises:
            FetchError: on entering, or while reading when the transfer breaks.
        """
        headers = {
            **DOWNLOAD_HEADERS,
            "Authorization": f"Bearer {self._tokens.downloader(tenant, email)}",
        }
        response, start = await self._response(file, headers, start)
        try:
            if response.status != (HTTPStatus.PARTIAL_CONTENT if start else HTTPStatus.OK):
                raise await _rejection(response)
            async with aclosing(_body(response, file.size, start)) as chunks:
                yield OpenFile(chunks, headers_of(response), start)
        finally:
            response.release()

    def takes_ranges(self, file: FileToDownload) -> bool:
        return self._ranges.takes_ranges(_service_of(file))

    async def _response(
        self, file: FileToDownload, headers: Mapping[str, str], start: int
    ) -> tuple[aiohttp.ClientResponse, int]:
        """Return the response for a file, and the byte that its body begins with.

        Raises:
            FetchError: there is no response.
        """
        service = _service_of(file)
        if not start or not self._ranges.is_worth_asking(service):
            return await self._request(file, headers), 0
        response = await self._request(file, {**headers, "Range": f"bytes={start}-"})
        if response.status not in _ANSWERS_TO_RANGE:
            return response, 0  # rejected, whatever was asked for
        takes = is_rest_of_file(response, start, file.size)
        self._ranges.note(service, takes=takes)
        if takes:
            return response, start
        if response.status == HTTPStatus.OK:
            return response, 0
        # It isn't what was asked for, and nobody knows what it is.
        response.close()
        return await self._request(file, headers), 0

    async def _request(
        self, file: FileToDownload, headers: Mapping[str, str]
    ) -> aiohttp.ClientResponse:
        url = URL(self._address(file), encoded=True)
        try:
            with measured(_service_of(file)) as call:
                response = await send(self._client, "GET", url, headers)
                call.outcome = outcome_of(response.status)
        except NO_RESPONSE as error:
            raise FetchError(failure_reasons.NO_ANSWER) from error
        return response

    def _address(self, file: FileToDownload) -> str:
        if file.checksum is None:
            raise FetchError(failure_reasons.NO_CHECKSUM)
        checksum = quote(file.checksum, safe="")
        if file.stored_by_dam:
            product = quote(file.product, safe=":,")
            return f"{self._dam_url}/entities/{product}/files/{checksum}?isContentInline=false"
        return f"{self._storage_url}/files/{checksum}/download?isContentInline=false"


def _service_of(file: FileToDownload) -> PlatformService:
    return PlatformService.DAM if file.stored_by_dam else PlatformService.STORAGE


async def _body(
    response: aiohttp.ClientResponse, size: int | None, start: int
) -> AsyncGenerator[bytes, None]:
    received = start
    try:
        async for chunk in response.content.iter_any():
            received += len(chunk)
            yield chunk
    except NO_RESPONSE as error:
        expected = announced_size(response) if size is None else size
        raise FetchError(failure_reasons.short_read(received, expected)) from error


async def _rejection(response: aiohttp.ClientResponse) -> FetchError:
    status = response.status
    answer = SourceAnswer(status, headers_of(response), await bounded_body(response, MAX_ANSWER))
    if status != HTTPStatus.TOO_MANY_REQUESTS:
        return FetchError(failure_reasons.bad_status(status), status, answer)
    text = answer.body.decode(errors="replace")[:MAX_QUOTA_TEXT].strip()
    return FetchError(text or failure_reasons.QUOTA_EXCEEDED, status, answer)


MAX_REDIRECTS: Final = 5
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
EXTERNAL_LIMITS: Final = replace(FILE_LIMITS, connect_seconds=10.0)


@dataclass(frozen=True, slots=True)
class ExternalAccess:
    """The settings for external files: allowed folders, and the proxy."""

    folders: tuple[Path, ...] = ()
    """Folders whose files may be read by ``file:`` URLs; none: no ``file:`` URL is read."""
    proxy: str | None = None
    """URL of the HTTP proxy (``http.proxy.host``, ``http.proxy.port``)."""
    direct_hosts: tuple[str, ...] = ()
    """Hosts reached without the proxy (``http.proxy.noproxy``)."""
    policy: AddressPolicy = field(default_factory=AddressPolicy)
    """The addresses that may be reached. What a proxy reaches is up to the proxy."""


class ExternalFiles:
    """Opens files by their URL: http, https, and file within the configured folders."""

    def __init__(self, access: ExternalAccess, limits: CallLimits = EXTERNAL_LIMITS) -> None:
        self._folders = tuple(folder.resolve() for folder in access.folders)
        self._direct_hosts = frozenset(host.strip().lower() for host in access.direct_hosts)
        self._direct = new_client(limits, decode=False, policy=access.policy)
        self._proxied = (
            new_client(limits, decode=False, proxy=access.proxy) if access.proxy else self._direct
        )

    async def aclose(self) -> None:
        await self._direct.close()
        await self._proxied.close()

    def open(self, url: str) -> AbstractAsyncContextManager[OpenFile]:
        """Open the content of a URL.

        Raises:
            FetchError: on entering, or while reading when the transfer breaks.
        """
        if _scheme(url) == "file":
            return _open_path(url, self._folders)
        return self._open_http(url)

    @asynccontextmanager
    async def _open_http(self, url: str) -> AsyncIterator[OpenFile]:
        response = await self._final_response(url)
        try:
            if response.status != HTTPStatus.OK:
                status = response.status
                raise FetchError(failure_reasons.bad_status(status), status)
            async with aclosing(_http_body(response)) as chunks:
                yield OpenFile(chunks, headers_of(response))
        finally:
            response.release()

    async def _final_response(self, address: str) -> aiohttp.ClientResponse:
        """Return the first response that isn't a redirect to follow, or the one after the last redirect."""
        try:
            url = _url(address)
        except ValueError as error:
            raise FetchError(failure_reasons.TRANSFER_FAILED) from error
        for _ in range(MAX_REDIRECTS):
            response = await self._request(url)
            target = _redirect_target(response)
            if target is None:
                return response
            response.release()
            url = target
        return await self._request(url)

    async def _request(self, url: URL) -> aiohttp.ClientResponse:
        try:
            refuse_disguised(url.host or "")
            with measured(EXTERNAL) as call:
                response = await send(
                    self._client_for(url), "GET", url, DOWNLOAD_HEADERS, traced=False
                )
                call.outcome = outcome_of(response.status)
        except AddressRefused as error:
            raise FetchError(failure_reasons.NOT_ALLOWED) from error
        except (*NO_RESPONSE, ValueError) as error:
            # ValueError: the host name or user of the URL can't be sent.
            raise FetchError(failure_reasons.TRANSFER_FAILED) from error
        return response

    def _client_for(self, url: URL) -> aiohttp.ClientSession:
        host = (url.host or "").lower()
        return self._direct if host in self._direct_hosts else self._proxied


def _scheme(url: str) -> str:
    return url.partition(":")[0].lower()


_STAYS: Final = "".join(c for c in map(chr, range(0x21, 0x7F)) if c not in '"<>`{}')
"""Characters of a path or query that are sent as they are, escapes among them: a signature may cover them."""


def _url(address: str) -> URL:
    """Return a URL whose path and query are sent as they are, except what no URL may hold.

    Raises:
        ValueError: it isn't a URL.
    """
    url, parts = URL(address), urlsplit(address)
    return URL.build(
        scheme=url.scheme,
        authority=url.raw_authority,
        path=quote(parts.path, safe=_STAYS) or "/",
        query_string=quote(parts.query, safe=_STAYS),
        encoded=True,
    )


def _redirect_target(response: aiohttp.ClientResponse) -> URL | None:
    """Return the target of a redirect, or None if there is none or it must not be followed.

    Redirects to other schemes than http and https, and from https to http, are not followed.
    """
    location = response.headers.get("Location")
    if response.status not in REDIRECTS or location is None:
        return None
    try:
        target = _url(urljoin(str(response.url), location))
    except ValueError:
        # Not a URL; the response is the last one.
        return None
    if target.scheme not in {"http", "https"}:
        return None
    return None if (response.url.scheme, target.scheme) == ("https", "http") else target


async def _http_body(response: aiohttp.ClientResponse) -> AsyncGenerator[bytes, None]:
    try:
        async for chunk in response.content.iter_any():
            yield chunk
    except NO_RESPONSE as error:
        raise FetchError(failure_reasons.TRANSFER_FAILED) from error


@asynccontextmanager
async def _open_path(url: str, folders: Sequence[Path]) -> AsyncIterator[OpenFile]:
    """Open a local file.

    It is read in a thread, because reads block: a slow network disk would stop all other tasks.
    """
    path = _allowed_path(url, folders)
    try:
        file = await asyncio.to_thread(path.open, "rb")
    except OSError as error:
        raise FetchError(failure_reasons.TRANSFER_FAILED) from error
    with file:
        size = os.fstat(file.fileno()).st_size
        yield OpenFile(_file_body(file), {"Content-Length": str(size)})


async def _file_body(file: BinaryIO) -> AsyncIterator[bytes]:
    try:
        while chunk := await asyncio.to_thread(file.read, CHUNK):
            yield chunk
    except OSError as error:
        raise FetchError(failure_reasons.TRANSFER_FAILED) from error


def _allowed_path(url: str, folders: Sequence[Path]) -> Path:
    """Return the path of a ``file:`` URL, with links resolved so that none leads out of the folders.

    Raises:
        FetchError: the path is not below an allowed folder.
    """
    try:
        parts = urlsplit(url)
        if parts.netloc not in {"", "localhost"}:
            raise FetchError(failure_reasons.NOT_ALLOWED)
        path = Path(url2pathname(parts.path)).resolve()
    except (OSError, ValueError, RuntimeError) as error:
        raise FetchError(failure_reasons.NOT_ALLOWED) from error
    if not any(path.is_relative_to(folder) for folder in folders):
        raise FetchError(failure_reasons.NOT_ALLOWED)
    return path


class RegardsFileSources:
    """Implements :class:`rs_order.ports.FileSources`: external files by URL, the others by checksum."""

    def __init__(self, stored: StoredFiles, external: ExternalFiles) -> None:
        self._stored = stored
        self._external = external

    def open(
        self, tenant: Tenant, email: str, file: FileToDownload, *, start: int = 0
    ) -> AbstractAsyncContextManager[OpenFile]:
        if file.external:
            return self._external.open(file.url)
        return self._stored.open(tenant, email, file, start=start)

    def takes_ranges(self, file: FileToDownload) -> bool:
        return not file.external and self._stored.takes_ranges(file)
