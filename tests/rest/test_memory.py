"""The memory of a download (promise 8: cost follows the change, not the size of the order)."""

import asyncio
import json
import sys

import pytest

ZIP, METALINK = "/user/orders/12/download", "/user/orders/12/metalink/download"
ONE_FILE = "/orders/files/1"
ARCHIVE = "/user/orders/12/archives/a1/order_12.zip"


async def probe(files: int, size: int, path: str) -> dict[str, float]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.rest.memory_probe", str(files), str(size), path),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    measured: dict[str, float] = json.loads(output.splitlines()[-1])
    return measured


@pytest.mark.slow
async def test_w21_a_large_file_streams_in_bounded_memory() -> None:
    """512 MiB with a checked MD5 need less than 64 MiB above idle."""
    size = 512 * 2**20

    measured = await probe(1, size, ZIP)

    assert measured["received"] > size
    assert measured["settled"] == 1
    assert measured["growth_mib"] < 64


@pytest.mark.slow
async def test_w21_many_files_stream_in_bounded_memory() -> None:
    """100,000 files need less memory than 512 MiB may need: 250 bytes for each would be too much."""
    measured = await probe(100_000, 100, ZIP)

    assert measured["settled"] == 100_000
    assert measured["growth_mib"] < 24


@pytest.mark.slow
@pytest.mark.parametrize(
    ("files", "size", "most"),
    [(1, 512 * 2**20, 64), (20_000, 100, 64 / 4)],
    ids=["large file", "many files"],
)
async def test_an_archive_streams_in_bounded_memory(files: int, size: int, most: float) -> None:
    """As the zip that can't be resumed does; all files become DOWNLOADED."""
    measured = await probe(files, size, ARCHIVE)

    assert measured["received"] > files * size
    assert measured["settled"] == files
    assert measured["growth_mib"] < most


@pytest.mark.slow
async def test_w20_w21_a_single_file_beyond_2_gib_streams_in_bounded_memory() -> None:
    """The file arrives completely, with its length in the header, and becomes DOWNLOADED."""
    size = 2**31 + 5

    measured = await probe(1, size, ONE_FILE)

    assert measured["received"] == size
    assert measured["settled"] == 1
    assert measured["growth_mib"] < 16


@pytest.mark.slow
async def test_w21_a_metalink_of_many_files_streams_in_bounded_memory() -> None:
    """The metalink reads 40,000 files page by page."""
    files = 40_000

    measured = await probe(files, 100, METALINK)

    assert measured["received"] > files * 500
    assert measured["growth_mib"] < 64 / 4
