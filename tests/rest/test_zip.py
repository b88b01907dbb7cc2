"""The content of an order's zip, and the states of its files afterwards (rest.md 10.3, domain.md 11.1)."""

import asyncio
import hashlib
import io
import unicodedata
import zipfile
import zlib
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from rs_order.downloads.entry_names import safe_name
from rs_order.downloads.order_zip import AHEAD, ZipReport, ZipRequest, zip_order
from rs_order.ports import ContentHashes, FetchError, FetchResult
from tests.rest.fake_downloads import DEMO, ORDER, OWNER, DownloadableOrder, incompressible, pieces

REQUEST = ZipRequest(DEMO, ORDER, OWNER, datetime(2026, 3, 1, 12, 30, 45, tzinfo=UTC))
DONE, FAILED, QUOTA = FetchResult.DOWNLOADED, FetchResult.FAILED, FetchResult.QUOTA_EXCEEDED
WRONG = FetchResult.WRONG_CONTENT


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test with both stores, which shows that the fake one behaves like PostgreSQL."""
    if "downloadable" in metafunc.fixturenames:
        metafunc.parametrize("downloadable", ["memory", "postgres"], indirect=True)


async def download(
    downloadable: DownloadableOrder, report: ZipReport | None = None
) -> zipfile.ZipFile:
    """Download the order and return the archive, read and checked with Python's reader."""
    archive = bytearray()
    async for piece in zip_order(
        downloadable.order, downloadable.order.settle, downloadable.sources, REQUEST, report
    ):
        archive += piece
    read = zipfile.ZipFile(io.BytesIO(archive))
    assert None is read.testzip()
    assert downloadable.sources.open_now == 0
    return read


def contents(archive: zipfile.ZipFile) -> dict[str, bytes]:
    assert len(set(archive.namelist())) == len(archive.namelist())
    return {name: archive.read(name) for name in archive.namelist()}


def notice(archive: zipfile.ZipFile) -> list[str]:
    assert archive.namelist()[-1] == "NOTICE.txt"
    return archive.read("NOTICE.txt").decode().split("\n")


async def test_all_files_are_in_the_zip_and_downloaded(downloadable: DownloadableOrder) -> None:
    """The archive has all files in the order of their ids, without folders. They are DOWNLOADED."""
    downloadable.add_all([("b.fits", b"bytes" * 100_000), ("a.txt", b""), ("ü €.jp2", b"\0\xff")])
    report = ZipReport()

    archive = await download(downloadable, report)

    assert archive.namelist() == ["b.fits", "a.txt", "ü €.jp2"]
    assert list(contents(archive).values()) == [b"bytes" * 100_000, b"", b"\0\xff"]
    assert downloadable.order.results == {1: DONE, 2: DONE, 3: DONE}
    assert ZipReport(downloaded=3) == report
    assert archive.infolist()[0].date_time == (2026, 3, 1, 12, 30, 44)


@pytest.mark.parametrize(
    ("error", "line", "result"),
    [
        (FetchError("Server returned HTTP error code 404", 404), None, FAILED),
        (FetchError("Server returned no content"), None, FAILED),
        (FetchError("Error during file download"), None, FAILED),
        (FetchError("Download quota of 1 exceeded (by 1) for user j@x.", 429), None, QUOTA),
        (FetchError("two\r\nlines\x1b[31m"), "two lines [31m", FAILED),
    ],
)
async def test_w15_files_that_cannot_be_fetched_do_not_stop_the_others(
    downloadable: DownloadableOrder, error: FetchError, line: str | None, result: FetchResult
) -> None:
    """They aren't in the archive, NOTICE.txt has the reason, and they are not DOWNLOADED."""
    downloadable.add_all([("a", b"A")])
    downloadable.add("b", error)
    downloadable.add_all([("c", b"C")])

    archive = await download(downloadable)

    assert archive.namelist() == ["a", "c", "NOTICE.txt"]
    assert [f"Failed to download file (b): {line or error.reason}."] == notice(archive)
    assert {1: DONE, 2: result, 3: DONE} == downloadable.order.results
    assert (line or error.reason) == downloadable.order.reasons[2]


async def test_r_15_hashes_of_all_files_of_the_zip_are_kept(
    downloadable: DownloadableOrder,
) -> None:
    """Also of those that can't be verified. Only the bytes of a copy don't pass."""
    sent = {
        downloadable.add("a", b"content"): b"content",
        downloadable.add("b", b"other", checksum=None): b"other",
        downloadable.add("c", b"third", algorithm="unknown"): b"third",
        downloadable.add("d", b""): b"",
    }
    copy = downloadable.add("a", b"content")

    await download(downloadable)

    assert {outcome.id: outcome.hashes for outcome in downloadable.order.settled} == {
        **{
            file: ContentHashes(zlib.crc32(content), hashlib.sha256(content).digest())
            for file, content in sent.items()
        },
        copy: None,
    }


async def test_the_next_zip_has_what_is_left(downloadable: DownloadableOrder) -> None:
    """It has the files that a quota stopped, not those that were downloaded or failed (decisions.md)."""
    downloadable.add("a", b"A")
    stopped = downloadable.add(
        "b", FetchError("Download quota of 1 exceeded (by 1).", 429), of=b"B"
    )
    downloadable.add("c", FetchError("Server returned no content"))
    await download(downloadable)

    downloadable.sources.contents[stopped] = b"B"
    archive = await download(downloadable)

    assert contents(archive) == {"b": b"B"}
    assert downloadable.order.results == {1: DONE, 2: DONE, 3: FAILED}


async def test_notice_has_a_line_per_failure(downloadable: DownloadableOrder) -> None:
    """There is no line feed at the end. The notice may be the only entry of the archive."""
    for name in ("a", "b"):
        downloadable.add(name, FetchError("Server returned no content"))

    archive = await download(downloadable)

    assert archive.read("NOTICE.txt") == (
        b"Failed to download file (a): Server returned no content.\n"
        b"Failed to download file (b): Server returned no content."
    )


@pytest.mark.parametrize(
    ("sent", "reason", "result"),
    [
        (
            b"right byte",
            "Cannot completely download data file from storage, only 10/11 bytes",
            FAILED,
        ),
        (b"", "Cannot completely download data file from storage, only 0/11 bytes", FAILED),
        (b"right bytes and more", "Wrong content: more than the 11 bytes of the catalog", WRONG),
        (
            b"wrong bytes",
            "Wrong content: MD5 is 6d7c35b3b6d3ea9a9a4ba0f0ebb1ea9d instead of ",
            WRONG,
        ),
    ],
    ids=["short", "nothing", "long", "wrong"],
)
async def test_no_false_done_wrong_content_is_never_downloaded(
    downloadable: DownloadableOrder, sent: bytes, reason: str, result: FetchResult
) -> None:
    """The archive may have wrong or incomplete content. The notice names the file (decisions.md)."""
    downloadable.add("a", sent, of=b"right bytes")
    downloadable.add("b", b"B")

    archive = await download(downloadable)

    expected = reason
    if sent == b"wrong bytes":
        wrong, right = (
            hashlib.md5(text, usedforsecurity=False).hexdigest() for text in (sent, b"right bytes")
        )
        expected = f"Wrong content: MD5 is {wrong} instead of {right}"
    assert [f"Failed to download file (a): {expected}."] == notice(archive)
    assert downloadable.order.results == {1: result, 2: DONE}


@pytest.mark.parametrize(("announced", "version"), [("7", 20), ("5000000000", 45), ("?", 20)])
async def test_f19_a_size_that_only_the_source_knows(
    downloadable: DownloadableOrder, announced: str, version: int
) -> None:
    """The size of the source decides in advance if the entry needs 64-bit sizes."""
    downloadable.add("a", size=None, headers={"Content-Length": announced})

    archive = await download(downloadable)

    assert archive.infolist()[0].extract_version == version
    assert archive.read("a") == b"content"


async def test_transfer_that_breaks_off(downloadable: DownloadableOrder) -> None:
    """The received part stays in the archive, and the next files are complete."""

    async def breaking() -> AsyncGenerator[bytes, None]:
        yield b"half"
        raise FetchError("Cannot completely download data file from storage, only 4/8 bytes")

    downloadable.add("a", breaking, size=8)
    downloadable.add("b", b"B")

    archive = await download(downloadable)

    assert (archive.read("a"), archive.read("b")) == (b"half", b"B")
    reason = "Cannot completely download data file from storage, only 4/8 bytes"
    assert notice(archive) == [f"Failed to download file (a): {reason}."]
    assert downloadable.order.results == {1: FAILED, 2: DONE}


@pytest.mark.parametrize(
    ("algorithm", "name"),
    [
        ("MD5", "md5"),
        ("md5", "md5"),
        (None, "md5"),
        ("SHA-1", "sha1"),
        ("SHA-256", "sha256"),
        ("SHA256", "sha256"),
        ("sha_512", "sha512"),
    ],
)
async def test_checksums_are_checked_by_their_algorithm(
    downloadable: DownloadableOrder, algorithm: str | None, name: str
) -> None:
    """The name of the algorithm may be in upper or lower case, with or without a dash."""
    right = hashlib.new(name, b"content").hexdigest()
    downloadable.add("right", b"content", checksum=right.upper(), algorithm=algorithm)
    downloadable.add("wrong", b"c0ntent", checksum=right, algorithm=algorithm)

    await download(downloadable)

    assert downloadable.order.results == {1: DONE, 2: WRONG}


@pytest.mark.parametrize(
    ("algorithm", "checksum"),
    [
        ("SHA3-256", hashlib.sha3_256(b"content").hexdigest()),
        ("sha3_512", hashlib.sha3_512(b"content").hexdigest()),
        ("SHA-224", hashlib.sha224(b"content").hexdigest()),
        ("BLAKE2b", hashlib.blake2b(b"content").hexdigest()),
        ("BLAKE2B-512", hashlib.blake2b(b"content").hexdigest()),
        ("ADLER32", f"{zlib.adler32(b'content'):08X}"),
        ("adler-32", f"{zlib.adler32(b'content'):x}"),
        ("CRC32", f"{zlib.crc32(b'content'):08x}"),
    ],
)
async def test_f22d_whatever_the_standard_library_can_check_is_checked(
    downloadable: DownloadableOrder, algorithm: str, checksum: str
) -> None:
    """Wrong bytes of the right size are found; zeros at the beginning may be missing."""
    downloadable.add("right", b"content", checksum=checksum, algorithm=algorithm)
    downloadable.add("wrong", b"c0ntent", checksum=checksum, algorithm=algorithm)
    report = ZipReport()

    await download(downloadable, report)

    assert downloadable.order.results == {1: DONE, 2: WRONG}
    assert report.unverifiable == 0


@pytest.mark.parametrize(
    ("checksum", "algorithm", "reason"),
    [
        ("abc", "CRC32C", "CRC32C checksums like this one can't be checked"),
        ("4294967295", "CRC32", "CRC32 checksums like this one can't be checked"),
        ("f" * 64, None, "its algorithm is unknown"),
        (None, None, None),
    ],
)
async def test_f22d_files_without_a_usable_checksum_are_checked_by_their_size(
    downloadable: DownloadableOrder, checksum: str | None, algorithm: str | None, reason: str | None
) -> None:
    """The report counts them as unverifiable. NOTICE.txt and the outcome name those with a checksum."""
    downloadable.add("a", b"content", checksum=checksum, algorithm=algorithm)
    downloadable.add("b", b"conten", of=b"content", checksum=checksum, algorithm=algorithm)
    report = ZipReport()

    archive = await download(downloadable, report)

    assert downloadable.order.results == {1: DONE, 2: FAILED}
    assert ZipReport(downloaded=1, failed=1, unverifiable=1) == report
    assert downloadable.order.settled[0].unverifiable is (reason is not None)
    unchecked = [] if reason is None else [f"Checksum of file (a) not checked: {reason}."]
    failed = "Failed to download file (b): Cannot completely download data file from storage, only 6/7 bytes."
    assert notice(archive) == [*unchecked, failed]


async def test_f22d_copies_of_an_unverifiable_file_are_unverifiable(
    downloadable: DownloadableOrder,
) -> None:
    """NOTICE.txt exists though no file failed, and names each."""
    for _ in range(2):
        downloadable.add("a", b"content", checksum="abc", algorithm="CRC32C")
    report = ZipReport()

    archive = await download(downloadable, report)

    assert archive.namelist() == ["a", "NOTICE.txt"]
    assert len(notice(archive)) == 2
    assert downloadable.order.results == {1: DONE, 2: DONE}
    assert ZipReport(downloaded=2, unverifiable=2) == report


async def test_repeated_names_are_numbered(downloadable: DownloadableOrder) -> None:
    """The number is before the last dot, ``name (1).ext``, or at the end."""
    downloadable.add_all([("a.tar.gz", bytes([n])) for n in range(3)])
    downloadable.add_all([("noext", bytes([n])) for n in range(2)])
    downloadable.add_all([(".hidden", bytes([n])) for n in range(2)])

    archive = await download(downloadable)

    assert [
        *("a.tar.gz", "a.tar (1).gz", "a.tar (2).gz"),
        *("noext", "noext (1)"),
        *(".hidden", ".hidden (1)"),
    ] == archive.namelist()


async def test_numbered_names_differ_from_all_other_names(downloadable: DownloadableOrder) -> None:
    """The other name may come first or later."""
    downloadable.add_all(
        [("a (1).txt", b"0"), ("a.txt", b"1"), ("a.txt", b"2"), ("a (2).txt", b"3")]
    )

    archive = await download(downloadable)

    assert contents(archive) == {
        "a (1).txt": b"0",
        "a.txt": b"1",
        "a (2).txt": b"2",
        "a (2) (1).txt": b"3",
    }


async def test_fact_12_copies_are_stored_once_and_count_as_downloaded(
    downloadable: DownloadableOrder,
) -> None:
    """Files with the same name and checksum are one entry and fetched once (domain.md 11.1, point 3)."""
    downloadable.add_all([("a", b"same"), ("a", b"same"), ("b", b"same"), ("a", b"other")])

    archive = await download(downloadable)

    assert contents(archive) == {"a": b"same", "b": b"same", "a (1)": b"other"}
    assert list(downloadable.order.results.values()) == [DONE] * 4
    assert sorted(downloadable.sources.opened) == [1, 3, 4]


@pytest.mark.parametrize("external", [True, False])
async def test_f18_files_without_checksum_are_never_copies(
    downloadable: DownloadableOrder, *, external: bool
) -> None:
    """Each file with the same name is sent under a number. Only files that were sent are DOWNLOADED."""
    downloadable.add("a", b"first", checksum=None, external=external)
    downloadable.add("a", b"second", checksum=None, external=external)
    downloadable.add("a", b"third")
    downloadable.add(
        "a", FetchError("Server returned no content"), checksum=None, external=external
    )

    archive = await download(downloadable)

    archive_contents = contents(archive)
    del archive_contents["NOTICE.txt"]
    assert archive_contents == {"a": b"first", "a (1)": b"second", "a (2)": b"third"}
    assert downloadable.order.results == {1: DONE, 2: DONE, 3: DONE, 4: FAILED}
    assert sorted(downloadable.sources.opened) == [1, 2, 3, 4]


async def test_f18_copies_agree_in_all_that_the_catalog_knows(
    downloadable: DownloadableOrder,
) -> None:
    """Copies have the same size, algorithm and checksum. The case of the checksum doesn't matter."""
    checksum = hashlib.md5(b"same", usedforsecurity=False).hexdigest()
    downloadable.add("a", b"same", checksum=checksum.upper())
    downloadable.add("a", b"same", checksum=checksum, algorithm=None)
    downloadable.add("a", b"same", checksum=checksum, size=5)
    downloadable.add("a", b"same", checksum=checksum, algorithm="CRC-64")

    archive = await download(downloadable)

    assert archive.namelist() == ["a", "a (1)", "a (2)", "NOTICE.txt"]
    assert downloadable.order.results == {1: DONE, 2: DONE, 3: FAILED, 4: DONE}


async def test_no_false_done_copy_of_a_failure_is_tried_itself(
    downloadable: DownloadableOrder,
) -> None:
    """A file isn't DOWNLOADED if its copy failed."""
    downloadable.add("a", b"wr0ng", of=b"right")
    downloadable.add("a", FetchError("Server returned no content"), of=b"right")
    downloadable.add("a", b"right")
    downloadable.add("a", b"right")

    archive = await download(downloadable)

    assert archive.read("a (1)") == b"right"
    assert [downloadable.order.results[n] for n in (1, 2, 3, 4)] == [WRONG, FAILED, DONE, DONE]
    assert len(notice(archive)) == 2


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("../../etc/passwd", "passwd"),
        ("/etc/passwd", "passwd"),
        ("C:\\InputBatches\\win.ini", "win.ini"),
        ("C:evil.exe", "C_evil.exe"),
        ("..", "_"),
        (".", "_"),
        ("folder/", "_"),
        ("a\1b\nc\x7f\x85", "a_b_c__"),
        ("report\u202efdp.exe", "report_fdp.exe"),
        ("NOTICE.txt", "NOTICE (1).txt"),
        ("12:30:00.fits", "12_30_00.fits"),
        ("a..b.fits", "a..b.fits"),
        ("", "last segment.dat"),
        ("é" * 200 + ".fits", "é" * 117 + ".fits"),
        ("x" * 300, "x" * 240),
    ],
)
async def test_hostile_names_are_harmless(
    downloadable: DownloadableOrder, name: str, entry: str
) -> None:
    """Entries have no folder, no drive, no control characters, and a length that file systems accept."""
    downloadable.add(name)

    archive = await download(downloadable)

    assert [entry] == [info.filename for info in archive.infolist()]


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("CON", "CON_"),
        ("aux.txt", "aux_.txt"),
        ("Nul.tar.gz", "Nul_.tar.gz"),
        ("lpt1", "lpt1_"),
        ("COM\u00b9.dat", "COM\u00b9_.dat"),
        ("con .txt", "con _.txt"),
        ("CONIN$", "CONIN$_"),
        ("CONFIG.SYS", "CONFIG.SYS"),
        ("COM10", "COM10"),
        ("a?.txt", "a_.txt"),
        ("a:b", "a_b"),
        ('<x>|"*', "_x____"),
        ("dot.", "dot_"),
        ("trail ", "trail_"),
        ("...", "___"),
        (". .", "___"),
        ("é" * 119 + "." + "x", "é" * 119 + ".x"),
        ("x" * 239 + ".", "x" * 239 + "_"),
        ("e\u0301.txt", "\u00e9.txt"),
    ],
)
async def test_f22_names_are_portable(
    downloadable: DownloadableOrder, name: str, entry: str
) -> None:
    """Windows and macOS can save each entry; a comment of the entry has the name of the catalog."""
    downloadable.add(name)

    (info,) = (await download(downloadable)).infolist()

    assert info.filename == entry
    assert info.comment.decode() == ("" if name == entry else name)


@pytest.mark.parametrize(
    ("first", "second", "entry"),
    [
        ("A.txt", "a.txt", "a (1).txt"),
        ("\u00e9.txt", "e\u0301.txt", "\u00e9 (1).txt"),
        ("\u00c9.txt", "e\u0301.txt", "\u00e9 (1).txt"),
        ("a:b", "a_b", "a_b (1)"),
        ("Notice.TXT", "x", "x"),
    ],
)
async def test_f22_names_are_unique_where_case_and_normal_form_do_not_count(
    downloadable: DownloadableOrder, first: str, second: str, entry: str
) -> None:
    """No entry overwrites another one on Windows or macOS, and none is taken for the notice."""
    downloadable.add_all([(first, b"1"), (second, b"2")])

    archive = await download(downloadable)

    assert archive.read(entry) == b"2"
    names = [unicodedata.normalize("NFC", name).lower() for name in archive.namelist()]
    assert len({*names, "notice.txt"}) == 3


async def test_f22_the_notice_has_the_names_of_the_catalog(
    downloadable: DownloadableOrder,
) -> None:
    """The owner finds the file by the name that they ordered."""
    downloadable.add("a:b", b"wr0ng", of=b"right")

    archive = await download(downloadable)

    assert archive.namelist() == ["a_b", "NOTICE.txt"]
    assert notice(archive)[0].startswith("Failed to download file (a:b): Wrong content")


@pytest.mark.parametrize("url", ["http://[::1/x", "http://[x]/", "", "x:"])
async def test_f20_a_file_without_a_name_and_with_an_unreadable_url_has_a_name(
    downloadable: DownloadableOrder, url: str
) -> None:
    """The name is ``_``."""
    downloadable.add("", url=url)

    assert (await download(downloadable)).namelist() == ["_"]


def test_a_nul_in_a_name_is_harmless() -> None:
    """The character is replaced. PostgreSQL can't store it, so only this function can be tested."""
    assert safe_name("a\0b") == "a_b"


async def test_names_made_harmless_differ_from_all_others(downloadable: DownloadableOrder) -> None:
    """Different names may become equal and are then numbered."""
    downloadable.add_all([("passwd", b"0"), ("/etc/passwd", b"1"), ("../passwd", b"2")])

    archive = await download(downloadable)

    assert contents(archive) == {"passwd": b"0", "passwd (1)": b"1", "passwd (2)": b"2"}


async def test_notice_lines_cannot_be_forged(downloadable: DownloadableOrder) -> None:
    """Line feeds in a name are replaced."""
    downloadable.add("a\nFailed to download file (b): x.", FetchError("Server returned no content"))

    assert len(notice(await download(downloadable))) == 1


async def test_a_file_rejected_by_a_rate_limit_is_fetched_again_alone(
    downloadable: DownloadableOrder,
) -> None:
    """If storage allows one download at a time, files that were opened ahead don't fail with a 429."""

    def granted_alone(content: bytes) -> AsyncGenerator[bytes, None]:
        if downloadable.sources.open_now > 1:
            raise FetchError("Download rate of 1 exceeded (by 1) for user j@x.", 429)
        return pieces(content)

    for name in ("a", "b", "c", "d"):
        downloadable.add(name, lambda: granted_alone(b"content"))

    archive = await download(downloadable)

    assert archive.namelist() == ["a", "b", "c", "d"]
    assert list(downloadable.order.results.values()) == [DONE] * 4
    assert downloadable.sources.opened == [1, 2, 3, 2, 3, 4]


@pytest.mark.parametrize(("external", "ahead"), [(False, 1), (True, AHEAD)])
async def test_the_next_small_files_are_opened_ahead(
    downloadable: DownloadableOrder, *, external: bool, ahead: int
) -> None:
    """At most one stored file, which counts against the quota, and at most four external ones."""
    for number in range(20):
        downloadable.add(f"{number}", bytes([number]), external=external)

    await download(downloadable)

    assert downloadable.sources.most_open == 1 + ahead
    assert list(range(1, 21)) == downloadable.sources.opened


async def test_nothing_is_opened_ahead_of_a_large_file(downloadable: DownloadableOrder) -> None:
    """A source that waits for hours would close the connection."""
    downloadable.add("large", b"x", size=2**30)
    downloadable.add("unknown", b"x", size=None)
    downloadable.add("small", b"x")

    await download(downloadable)

    assert downloadable.sources.most_open == 1


async def test_a_client_that_disconnects_changes_nothing(downloadable: DownloadableOrder) -> None:
    """No state changes, and all sources are closed (domain.md 11.1, point 7)."""
    downloadable.add_all([(f"{n}", bytes(100_000)) for n in range(10)])
    for file in downloadable.order.files:
        downloadable.sources.contents[file.id] = (
            b"".join(hashlib.sha512(bytes([file.id, n])).digest() for n in range(256)) * 100
        )
    reading = zip_order(
        downloadable.order, downloadable.order.settle, downloadable.sources, REQUEST
    )

    await anext(reading)
    await reading.aclose()

    assert downloadable.order.settlements == []
    assert downloadable.sources.open_now == 0


async def test_a_defect_in_a_source_aborts_the_archive_and_changes_nothing(
    downloadable: DownloadableOrder,
) -> None:
    """The notice is for fetch errors only, so it doesn't hide a defect."""

    async def broken() -> AsyncGenerator[bytes, None]:
        yield b"x"
        raise ZeroDivisionError

    downloadable.add_all([("a", b"A")])
    downloadable.add("b", broken)

    with pytest.raises(ZeroDivisionError):
        await download(downloadable)

    assert downloadable.order.settlements == []
    assert downloadable.sources.open_now == 0


async def test_outcomes_are_settled_in_batches(downloadable: DownloadableOrder) -> None:
    """A batch has at most 5000 outcomes, and each file is settled once."""
    downloadable.add_all([(f"{n}", b"") for n in range(5_200)])
    downloadable.add("missing", FetchError("Server returned no content"))

    archive = await download(downloadable)

    assert downloadable.order.settlements == [5000, 201]
    assert 5201 == len(downloadable.order.results) == len(archive.namelist())


class SilentSource:
    """A source that sends nothing until it is released, and then its content or an error."""

    def __init__(self, content: bytes | FetchError, first: bytes = b"") -> None:
        """``first``: what it sends before it is silent."""
        self.released = asyncio.Event()
        self._content = content
        self._first = first

    async def __call__(self) -> AsyncGenerator[bytes, None]:
        if self._first:
            yield self._first
        await self.released.wait()
        if isinstance(self._content, FetchError):
            raise self._content
        yield self._content


async def read_until(
    reading: AsyncGenerator[bytes, None], archive: bytearray, expected: bytes
) -> None:
    """Append pieces to the archive until it contains some bytes."""
    async with asyncio.timeout(30):
        while expected not in archive:
            archive += await anext(reading)


def reading_of(
    downloadable: DownloadableOrder, max_silence: float = 30.0
) -> AsyncGenerator[bytes, None]:
    request = replace(REQUEST, max_silence=max_silence)
    return zip_order(downloadable.order, downloadable.order.settle, downloadable.sources, request)


async def whole(reading: AsyncGenerator[bytes, None], archive: bytearray) -> zipfile.ZipFile:
    async for piece in reading:
        archive += piece
    read = zipfile.ZipFile(io.BytesIO(archive))
    assert read.testzip() is None
    return read


async def test_f22c_entries_leave_while_the_next_source_is_silent(
    downloadable: DownloadableOrder,
) -> None:
    """A small entry doesn't wait for others to make a large piece."""
    silent = SilentSource(b"B")
    downloadable.add("a", b"A")
    downloadable.add("b", silent, of=b"B")
    reading, archive = reading_of(downloadable), bytearray()

    await read_until(reading, archive, b"PK\7\10")
    silent.released.set()

    assert contents(await whole(reading, archive)) == {"a": b"A", "b": b"B"}


@pytest.mark.parametrize("first", [b"", b"be", incompressible(70_000)])
async def test_f22c_a_silent_source_does_not_make_the_zip_silent(
    downloadable: DownloadableOrder, first: bytes
) -> None:
    """Empty blocks leave from time to time, before the first bytes of a file and after them."""
    silent = SilentSource(b"gun", first)
    downloadable.add("a", b"A")
    downloadable.add("b", silent, of=first + b"gun")
    reading, archive = reading_of(downloadable, max_silence=0.01), bytearray()

    await read_until(reading, archive, 3 * b"\0\0\0\xff\xff")
    silent.released.set()

    assert contents(await whole(reading, archive)) == {"a": b"A", "b": first + b"gun"}
    assert downloadable.order.results == {1: DONE, 2: DONE}


async def test_f22c_a_silent_source_that_fails_leaves_an_empty_entry(
    downloadable: DownloadableOrder,
) -> None:
    """The notice names the file, which is not DOWNLOADED; the others follow."""
    silent = SilentSource(FetchError("Server returned no content"))
    downloadable.add("a", silent, of=b"A")
    downloadable.add("b", b"B")
    reading, archive = reading_of(downloadable, max_silence=0.01), bytearray()

    await read_until(reading, archive, b"\0\0\0\xff\xff")
    silent.released.set()

    read = await whole(reading, archive)
    assert (read.read("a"), read.read("b")) == (b"", b"B")
    assert notice(read) == ["Failed to download file (a): Server returned no content."]
    assert downloadable.order.results == {1: FAILED, 2: DONE}


async def test_f22c_a_source_that_trickles_does_not_make_the_zip_silent(
    downloadable: DownloadableOrder,
) -> None:
    """Bytes that arrive in time leave in time, even if they don't make a piece."""
    downloadable.add("a", bytes(100_000))
    reading, archive = reading_of(downloadable, max_silence=1e-6), bytearray()

    read = await whole(reading, archive)

    assert contents(read) == {"a": bytes(100_000)}
    assert archive.count(b"\0\0\0\xff\xff") >= 50
