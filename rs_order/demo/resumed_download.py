"""Download a zip as somebody whose connection breaks: cut it, let curl go on, and compare the bytes."""

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import httpx

from rs_order.demo.cases import CURL
from rs_order.demo.user_tokens import UserTokens
from rs_order.demo.zip_verification import TIMEOUT, DownloadFailed, Entry, entries_of

CHUNK_BYTES = 64 * 1024
LONGEST_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Resumed:
    """A download that was cut, and went on."""

    entries: list[Entry]
    cut_at: int
    length: int
    """Bytes of the zip."""
    sha256: str
    sha256_uncut: str
    """Of a download of the same bytes that wasn't cut."""


@dataclass(frozen=True, slots=True)
class _Begun:
    """A download that was begun, and cut."""

    received: int
    length: int
    archive: str
    """Where the same bytes can be downloaded again."""


class ArchiveDownloader:
    """Downloads archives for users of one tenant."""

    def __init__(self, client: httpx.AsyncClient, folder: Path, tokens: UserTokens) -> None:
        """Create a downloader; ``folder`` holds an archive while it is read."""
        self._client = client
        self._folder = folder
        self._tokens = tokens

    async def download(self, link: str, user: str) -> Resumed | None:
        """Download the zip of an order with a cut; None if no file is left to download.

        Args:
            link: ``downloadLink`` of a response.
            user: the owner of the order.

        Raises:
            DownloadFailed: the zip can't be downloaded, or not in parts.
        """
        path = self._folder / f"{uuid4().hex}.zip"
        try:
            headers = self._tokens.headers(user)
            begun = await self._begin(link, headers, path)
            if begun is None:
                return None
            await _resume(link, headers, path)
            uncut = await self._sha256(begun.archive, headers)
            received = await asyncio.to_thread(path.read_bytes)
            entries = await asyncio.to_thread(entries_of, path)
        except httpx.HTTPError as error:
            raise DownloadFailed(f"{link}: {error or type(error).__name__}") from error
        finally:
            path.unlink(missing_ok=True)
        sha256 = hashlib.sha256(received).hexdigest()
        return Resumed(entries, begun.received, begun.length, sha256, uncut)

    async def _begin(self, link: str, headers: Mapping[str, str], path: Path) -> _Begun | None:
        """Store the first half of a zip, and hang up; None if there is none."""
        async with self._client.stream(
            "GET", link, headers=dict(headers), timeout=TIMEOUT
        ) as answer:
            if answer.status_code == httpx.codes.NO_CONTENT:
                return None
            if answer.status_code != httpx.codes.OK or "ETag" not in answer.headers:
                raise DownloadFailed(f"{link} answered {answer.status_code}, not to be resumed")
            length = int(answer.headers["Content-Length"])
            with path.open("wb") as file:
                async for chunk in answer.aiter_bytes(CHUNK_BYTES):
                    file.write(chunk[: length // 2 - file.tell()])
                    if file.tell() >= length // 2:
                        break
                return _Begun(file.tell(), length, answer.headers["Content-Location"])

    async def _sha256(self, address: str, headers: Mapping[str, str]) -> str:
        digest = hashlib.sha256()
        async with self._client.stream(
            "GET", address, headers=dict(headers), timeout=TIMEOUT
        ) as answer:
            async for chunk in answer.aiter_bytes(CHUNK_BYTES):
                digest.update(chunk)
        return digest.hexdigest()


async def _resume(address: str, headers: Mapping[str, str], path: Path) -> None:
    """Let curl fetch the rest.

    Raises:
        DownloadFailed: curl failed, or took too long.
    """
    told = [part for name, value in headers.items() for part in ("--header", f"{name}: {value}")]
    command = (CURL, "--silent", "--fail", "--continue-at", "-", "--output", str(path))
    process = await asyncio.create_subprocess_exec(*command, *told, address)
    try:
        async with asyncio.timeout(LONGEST_SECONDS):
            status = await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise DownloadFailed(f"curl took more than {LONGEST_SECONDS:g} s") from None
    if status != 0:
        raise DownloadFailed(f"curl ended with exit code {status}")
