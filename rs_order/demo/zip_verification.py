"""Download the zip of an order as its owner does, and compare its files with the manifest."""

import asyncio
import hashlib
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import httpx

from rs_order.demo.archive import File
from rs_order.demo.user_tokens import UserTokens

CHUNK_BYTES = 1024 * 1024
TIMEOUT = httpx.Timeout(60.0)
NOTICE = "NOTICE.txt"
"""Lists the files that could not be downloaded (rest.md 10.3)."""


class DownloadFailed(Exception):
    """A zip could not be downloaded, or is no valid zip. The text names the link and the reason."""

    code = "download-failed"


@dataclass(frozen=True, slots=True)
class Entry:
    """A file in a zip."""

    name: str
    md5: str
    size: int
    text: str | None = None
    """Content of the notice."""


class ZipDownloader:
    """Downloads zips for users of one tenant."""

    def __init__(self, client: httpx.AsyncClient, folder: Path, tokens: UserTokens) -> None:
        """Create a downloader.

        Args:
            client: makes the HTTP calls.
            folder: holds a zip while it is read.
            tokens: of the owners of the orders.
        """
        self._client = client
        self._folder = folder
        self._tokens = tokens

    async def download(
        self, link: str, user: str, advance: Callable[[int], None] = lambda _: None
    ) -> list[Entry]:
        """Return the content of a zip, which is empty if the order has no file to download.

        Args:
            link: ``downloadLink`` of a response.
            user: the owner of the order.
            advance: receives the number of bytes of each chunk.

        Raises:
            DownloadFailed: the download was rejected or interrupted, or is not a zip.
        """
        path = self._folder / f"{uuid4().hex}.zip"
        try:
            if not await self._fetch(link, user, path, advance):
                return []
            return await asyncio.to_thread(entries_of, path)  # computes checksums
        except httpx.HTTPError as error:
            raise DownloadFailed(f"{link}: {error or type(error).__name__}") from error
        except zipfile.BadZipFile as error:
            raise DownloadFailed(f"{link} is no valid zip: {error}") from error
        finally:
            path.unlink(missing_ok=True)

    async def _fetch(
        self, link: str, user: str, path: Path, advance: Callable[[int], None]
    ) -> bool:
        """Store the zip, and return False if there is none."""
        headers = self._tokens.headers(user)
        async with self._client.stream("GET", link, headers=headers, timeout=TIMEOUT) as answer:
            if answer.status_code == httpx.codes.NO_CONTENT:
                return False
            if answer.status_code != httpx.codes.OK:
                text = (await answer.aread()).decode(errors="replace")
                raise DownloadFailed(f"{link} answered {answer.status_code}: {text[:200]}")
            with path.open("wb") as file:
                async for chunk in answer.aiter_bytes(CHUNK_BYTES):
                    file.write(chunk)
                    advance(len(chunk))
            return True


def differences(expected: Mapping[str, File], entries: Sequence[Entry]) -> list[str]:
    """Return each difference from the manifest as a sentence.

    Args:
        expected: the files that the order must bring, by name.
        entries: the content of all zips of the order.
    """
    notices = [f"{NOTICE}: {entry.text}" for entry in entries if entry.name == NOTICE]
    files = [entry for entry in entries if entry.name != NOTICE]
    times = Counter(entry.name for entry in files)
    return [
        *notices,
        *(f"{name} is missing" for name in expected if name not in times),
        *(f"{name} was not ordered" for name in times if name not in expected),
        *(f"{name} came {count} times" for name, count in times.items() if count > 1),
        *(
            f"{entry.name} has MD5 {entry.md5} instead of {expected[entry.name].md5}"
            for entry in files
            if entry.name in expected and entry.md5 != expected[entry.name].md5
        ),
    ]


def entries_of(path: Path) -> list[Entry]:
    """Return the files in a zip. Raises ``BadZipFile`` if it is none."""
    with zipfile.ZipFile(path) as archive:
        return [_entry(archive, info) for info in archive.infolist()]


def _entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Entry:
    if info.filename == NOTICE:
        text = archive.read(info).decode(errors="replace")
        return Entry(NOTICE, "", info.file_size, text)
    digest = hashlib.md5(usedforsecurity=False)
    with archive.open(info) as content:
        while chunk := content.read(CHUNK_BYTES):
            digest.update(chunk)
    return Entry(info.filename, digest.hexdigest(), info.file_size)
