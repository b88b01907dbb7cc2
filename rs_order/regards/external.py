"""Chooses the source of a file, and opens external files by URL without a token (remote-services.md 3.5)."""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

import httpx

from rs_order.domain import failure_reasons
from rs_order.domain.ids import Tenant
from rs_order.ports import FetchError, FileToDownload, OpenFile
from rs_order.regards.http import CallLimits, new_client, send
from rs_order.regards.storage import StoredFiles
from rs_order.regards.transfers import CHUNK, DOWNLOAD_HEADERS, chunks_of, headers_of

MAX_REDIRECTS: Final = 5
EXTERNAL_LIMITS: Final = CallLimits(connect_seconds=10.0, connections=None)


@dataclass(frozen=True, slots=True)
class ExternalAccess:
    """The settings for external files: allowed folders, and the proxy."""

    folders: tuple[Path, ...] = ()
    """Folders whose files may be read by ``file:`` URLs; none: no ``file:`` URL is read."""
    proxy: str | None = None
    """URL of the HTTP proxy (``http.proxy.host``, ``http.proxy.port``)."""
    direct_hosts: tuple[str, ...] = ()
    """Hosts reached without the proxy (``http.proxy.noproxy``)."""


class ExternalFiles:
    """Opens files by their URL: http, https, and file within the configured folders."""

    def __init__(self, access: ExternalAccess, limits: CallLimits = EXTERNAL_LIMITS) -> None:
        self._folders = tuple(folder.resolve() for folder in access.folders)
        self._direct_hosts = frozenset(host.strip().lower() for host in access.direct_hosts)
        self._direct = new_client(limits)
        self._proxied = new_client(limits, proxy=access.proxy) if access.proxy else self._direct

    async def aclose(self) -> None:
        await self._direct.aclose()
        await self._proxied.aclose()

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
            if response.status_code != httpx.codes.OK:
                status = response.status_code
                raise FetchError(failure_reasons.bad_status(status), status)
            async with aclosing(_http_body(response)) as chunks:
                yield OpenFile(chunks, headers_of(response))
        finally:
            await response.aclose()

    async def _final_response(self, url: str) -> httpx.Response:
        """Return the first response that isn't a redirect to follow, or the one after the last redirect."""
        for _ in range(MAX_REDIRECTS):
            response = await self._request(url)
            target = _redirect_target(response)
            if target is None:
                return response
            await response.aclose()
            url = target
        return await self._request(url)

    async def _request(self, url: str) -> httpx.Response:
        try:
            client = self._client_for(url)
            request = client.build_request("GET", url, headers=DOWNLOAD_HEADERS)
            return await send(client, request)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            # httpx raises ValueError for a host name that is not valid IDNA, in a URL or a redirect.
            raise FetchError(failure_reasons.TRANSFER_FAILED) from error

    def _client_for(self, url: str) -> httpx.AsyncClient:
        host = httpx.URL(url).host.lower()
        return self._direct if host in self._direct_hosts else self._proxied


def _scheme(url: str) -> str:
    return url.partition(":")[0].lower()


def _redirect_target(response: httpx.Response) -> str | None:
    """Return the target of a redirect, or None if there is none or its scheme must not be followed.

    Redirects to other schemes than http and https, and from https to http, are not followed.
    """
    if response.next_request is None:
        return None
    here, target = response.url, response.next_request.url
    if target.scheme not in {"http", "https"} or (here.scheme, target.scheme) == ("https", "http"):
        return None
    return str(target)


async def _http_body(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    try:
        async for chunk in chunks_of(response):
            yield chunk
    except httpx.HTTPError as error:
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
        self, tenant: Tenant, email: str, file: FileToDownload
    ) -> AbstractAsyncContextManager[OpenFile]:
        if file.external:
            return self._external.open(file.url)
        return self._stored.open(tenant, email, file)
