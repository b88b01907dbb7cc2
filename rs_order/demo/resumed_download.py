"""Download an archive as somebody whose connection breaks: cut it, let curl go on, and compare the bytes."""

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
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
    """Bytes of the archive."""
    sha256: str
    sha256_uncut: str
    """Of a download of the same archive that wasn't cut."""


class ArchiveDownloader:
    """Downloads archives for users of one tenant."""

    def __init__(self, client: httpx.AsyncClient, folder: Path, tokens: UserTokens) -> None:
        """Create a downloader; ``folder`` holds an archive while it is read."""
        self._client = client
        self._folder = folder
        self._tokens = tokens

    async def download(self, link: str, user: str) -> Resumed | None:
        """Make an archive of an order, and download it with a cut; None if no file is left to download.

        Args:
            link: ``downloadLink`` of a response.
            user: the owner of the order.

        Raises:
            DownloadFailed: the archive can't be made or downloaded.
        """
        path = self._folder / f"{uuid4().hex}.zip"
        try:
            archive = await self._make(link.removesuffix("/download") + "/archives", user)
            if archive is None:
                return None
            address, length = str(archive["href"]), int(archive["length"])
            headers = self._tokens.headers(user)
            cut_at = await self._fetch_until(address, headers, length // 2, path)
            await _resume(address, headers, path)
            uncut = await self._sha256(address, headers)
            received = await asyncio.to_thread(path.read_bytes)
            entries = await asyncio.to_thread(entries_of, path)
        except httpx.HTTPError as error:
            raise DownloadFailed(f"{link}: {error or type(error).__name__}") from error
        finally:
            path.unlink(missing_ok=True)
        return Resumed(entries, cut_at, length, hashlib.sha256(received).hexdigest(), uncut)

    async def _make(self, address: str, user: str) -> dict[str, Any] | None:
        headers = self._tokens.headers(user)
        answer = await self._client.post(address, json={"format": "zip"}, headers=headers)
        if answer.status_code == httpx.codes.CONFLICT:
            return None
        if answer.status_code != httpx.codes.CREATED:
            raise DownloadFailed(f"{address} answered {answer.status_code}: {answer.text[:200]}")
        archive: dict[str, Any] = answer.json()
        return archive

    async def _fetch_until(
        self, address: str, headers: Mapping[str, str], end: int, path: Path
    ) -> int:
        """Store the beginning of an archive, hang up, and return how much was stored."""
        async with self._client.stream(
            "GET", address, headers=dict(headers), timeout=TIMEOUT
        ) as answer:
            with path.open("wb") as file:
                async for chunk in answer.aiter_bytes(CHUNK_BYTES):
                    file.write(chunk[: end - file.tell()])
                    if file.tell() >= end:
                        break
                return file.tell()

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
