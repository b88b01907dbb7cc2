"""Opens files that REGARDS stores: in rs-storage, or in rs-dam if attached to a dataset.

Calls are made in the name of the user, whose quota they are charged to, with a role that may read
every file (remote-services.md 2.9, 3.4).
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Final
from urllib.parse import quote

import httpx

from rs_order.domain import failure_reasons
from rs_order.domain.ids import Tenant
from rs_order.ports import FetchError, FileToDownload, OpenFile, SourceAnswer
from rs_order.regards.http import send
from rs_order.regards.token_issuer import TokenIssuer
from rs_order.regards.transfers import (
    DOWNLOAD_HEADERS,
    announced_size,
    bounded_body,
    chunks_of,
    headers_of,
)

MAX_ANSWER: Final = 64 * 1024
"""The most bytes of an error response that are read, and may be passed on."""
MAX_QUOTA_TEXT: Final = 1000
"""The most characters of storage's text on a quota; its usual texts have about 100."""


class StoredFiles:
    """Opens files by checksum in rs-storage, or by dataset and checksum in rs-dam."""

    def __init__(
        self, client: httpx.AsyncClient, tokens: TokenIssuer, *, storage_url: str, dam_url: str
    ) -> None:
        self._client = client
        self._tokens = tokens
        self._storage_url = storage_url.rstrip("/")
        self._dam_url = dam_url.rstrip("/")

    @asynccontextmanager
    async def open(
        self, tenant: Tenant, email: str, file: FileToDownload
    ) -> AsyncIterator[OpenFile]:
        """Open a file in the name of a user.

        Raises:
            FetchError: on entering, or while reading when the transfer breaks.
        """
        headers = {
            **DOWNLOAD_HEADERS,
            "Authorization": f"Bearer {self._tokens.downloader(tenant, email)}",
        }
        request = self._client.build_request("GET", self._address(file), headers=headers)
        try:
            response = await send(self._client, request)
        except httpx.HTTPError as error:
            raise FetchError(failure_reasons.NO_ANSWER) from error
        try:
            if response.status_code != httpx.codes.OK:
                raise await _rejection(response)
            async with aclosing(_body(response, file.size)) as chunks:
                yield OpenFile(chunks, headers_of(response))
        finally:
            await response.aclose()

    def _address(self, file: FileToDownload) -> str:
        if file.checksum is None:
            raise FetchError(failure_reasons.NO_CHECKSUM)
        checksum = quote(file.checksum, safe="")
        if file.stored_by_dam:
            product = quote(file.product, safe=":,")
            return f"{self._dam_url}/entities/{product}/files/{checksum}?isContentInline=false"
        return f"{self._storage_url}/files/{checksum}/download?isContentInline=false"


async def _body(response: httpx.Response, size: int | None) -> AsyncGenerator[bytes, None]:
    received = 0
    try:
        async for chunk in chunks_of(response):
            received += len(chunk)
            yield chunk
    except httpx.HTTPError as error:
        expected = announced_size(response) if size is None else size
        raise FetchError(failure_reasons.short_read(received, expected)) from error


async def _rejection(response: httpx.Response) -> FetchError:
    status = response.status_code
    answer = SourceAnswer(status, headers_of(response), await bounded_body(response, MAX_ANSWER))
    if status != httpx.codes.TOO_MANY_REQUESTS:
        return FetchError(failure_reasons.bad_status(status), status, answer)
    text = answer.body.decode(errors="replace")[:MAX_QUOTA_TEXT].strip()
    return FetchError(text or failure_reasons.QUOTA_EXCEEDED, status, answer)
