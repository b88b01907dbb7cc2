"""Archives and files in the hands of download tools, whose transfers are cut (faces.md 5.7)."""

import asyncio
import hashlib
import random
import zipfile
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import httpx
import pytest

from rs_order.demo.servers.errors import InstallError
from rs_order.ports import FetchError, FetchResult
from tests.rest.conftest import bearer
from tests.rest.fake_downloads import DownloadableOrder, incompressible
from tests.rest.order_tokens import order_token
from tests.support.polling import eventually
from tests.support.tools import ARIA2, CURL, WGET, Tool, ToolMissing, program

CONTENTS = {f"{number}.bin": incompressible(3_000_000 + number) for number in range(4)}
CHUNK = 64 * 1024
DONE = FetchResult.DOWNLOADED
KINDS = pytest.mark.parametrize("kind", ["zip", "tar"])


async def run(tool: Tool, *arguments: str, folder: Path) -> int:
    """Run a program in a folder; return its exit status."""
    try:
        path = await program(tool)
    except (ToolMissing, InstallError) as error:
        pytest.fail(str(error))
    process = await asyncio.create_subprocess_exec(
        *(path, *arguments),
        cwd=folder,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    return await process.wait()


def breaking(
    content: bytes, times: int, chance: random.Random
) -> Callable[[], AsyncGenerator[bytes, None]]:
    """Return the content of a file whose first transfers break off at random, behind its first quarter."""
    ends = [chance.randrange(len(content) // 4, len(content)) for _ in range(times)]

    async def pieces() -> AsyncGenerator[bytes, None]:
        end = ends.pop() if ends else len(content)
        for start in range(0, end, CHUNK):
            await asyncio.sleep(0)
            yield content[start : min(start + CHUNK, end)]
        if end < len(content):
            raise FetchError("broken")

    return pieces


@pytest.fixture
async def addresses(api: httpx.AsyncClient, downloadable: DownloadableOrder) -> dict[str, str]:
    """The public addresses of a zip and a tar, of files whose transfers break off three times."""
    chance = random.Random(1)  # noqa: S311 - where transfers are cut
    for name, content in CONTENTS.items():
        downloadable.add(name, breaking(content, 3, chance), of=content)
    archives = [
        (await api.post("/user/orders/12/archives", json={"format": kind})).json()
        for kind in ("zip", "tar")
    ]
    return {one["format"]: one["publicHref"] for one in archives}


async def assert_complete(api: httpx.AsyncClient, address: str, file: Path) -> None:
    """Assert that the file has the bytes of a download that isn't cut."""
    received = await asyncio.to_thread(file.read_bytes)
    whole = await api.get(address)

    assert hashlib.sha256(received).digest() == hashlib.sha256(whole.content).digest()


@KINDS
async def test_curl(
    api: httpx.AsyncClient, addresses: dict[str, str], tmp_path: Path, kind: str
) -> None:
    """It goes on where it was cut, as often as it is called; once more is harmless."""
    options = ("-sf", "-C", "-", "-o", "archive", addresses[kind])

    statuses = []
    while (status := await run(CURL, *options, folder=tmp_path)) != 0:
        statuses.append(status)

    assert 18 in statuses, "transfer closed with outstanding data"
    assert set(statuses) <= {18, 22}, (
        "or 503: the transfer broke off before the place where it goes on"
    )
    await assert_complete(api, addresses[kind], tmp_path / "archive")


@KINDS
async def test_wget(
    api: httpx.AsyncClient, addresses: dict[str, str], tmp_path: Path, kind: str
) -> None:
    """It goes on by itself, in one call."""
    status = await run(
        WGET,
        "-qc",
        "--waitretry=0",
        "--tries=30",
        "--retry-on-http-error=503",
        "-O",
        "archive",
        addresses[kind],
        folder=tmp_path,
    )

    assert status == 0
    await assert_complete(api, addresses[kind], tmp_path / "archive")


@KINDS
async def test_aria2_in_four_parts(
    api: httpx.AsyncClient,
    downloadable: DownloadableOrder,
    addresses: dict[str, str],
    tmp_path: Path,
    kind: str,
) -> None:
    """It asks for four parts at the same time, and again for what was cut."""
    status = await run(
        *(
            ARIA2,
            "--no-conf",
            "-q",
            "-x4",
            "-s4",
            "-k1M",
            "-m30",
            "--retry-wait=1",
            "-o",
            "archive",
        ),
        addresses[kind],
        folder=tmp_path,
    )

    assert status == 0
    await eventually(
        lambda: downloadable.order.results == dict.fromkeys(range(1, 5), DONE), "all downloaded"
    )
    await assert_complete(api, addresses[kind], tmp_path / "archive")
    if kind == "zip":
        with zipfile.ZipFile(tmp_path / "archive") as archive:
            assert {name: archive.read(name) for name in archive.namelist()} == CONTENTS


@pytest.mark.parametrize(
    ("tool", "options"),
    [
        (CURL, ["-sf", "-C", "-", "-H", "{}", "-o", "zip"]),
        (WGET, ["-qc", "--waitretry=0", "--tries=30", "--header={}", "-O", "zip"]),
        (
            ARIA2,
            [
                "--no-conf",
                "-q",
                "-x4",
                "-k1M",
                "-m30",
                "--retry-wait=1",
                "--header={}",
                "-o",
                "zip",
            ],
        ),
    ],
    ids=["curl", "wget", "aria2"],
)
async def test_r12_the_link_of_the_order(
    base_url: str,
    downloadable: DownloadableOrder,
    tmp_path: Path,
    tool: Tool,
    options: list[str],
) -> None:
    """It goes on where it was cut, although the tool sends no validator. Nothing has failed in the end."""
    chance = random.Random(2)  # noqa: S311 - where transfers are cut
    for name, content in CONTENTS.items():
        downloadable.add(name, breaking(content, 1, chance), of=content)
    authorized = f"Authorization: Bearer {bearer()}"
    command = [option.format(authorized) for option in options]
    link = f"{base_url}/user/orders/12/download"

    statuses = [await run(tool, *command, link, folder=tmp_path)]
    while statuses[-1] != 0 and len(statuses) < 30:
        statuses.append(await run(tool, *command, link, folder=tmp_path))

    assert statuses[-1] == 0, statuses
    with zipfile.ZipFile(tmp_path / "zip") as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == CONTENTS
    await eventually(
        lambda: downloadable.order.results == dict.fromkeys(range(1, 5), DONE), "all downloaded"
    )


async def test_curl_resumes_a_single_file(
    base_url: str, downloadable: DownloadableOrder, tmp_path: Path
) -> None:
    """The file has all its bytes, and is DOWNLOADED with the last of them."""
    content = CONTENTS["0.bin"]
    chance = random.Random(1)  # noqa: S311 - where the transfer is cut
    downloadable.add("a.bin", breaking(content, 1, chance), of=content)
    address = f"{base_url}/orders/public/files/1?scope=demo&orderToken={order_token()}"
    options = ("-sf", "-C", "-", "-o", "a.bin", address)

    cut = await run(CURL, *options, folder=tmp_path)
    resumed = await run(CURL, *options, folder=tmp_path)

    assert (cut, resumed) == (18, 0)
    assert await asyncio.to_thread((tmp_path / "a.bin").read_bytes) == content
    await eventually(lambda: downloadable.order.results[1] is DONE, "the file is downloaded")
