"""The archive in the hands of the programs that people unpack it with (faces.md R-4)."""

import asyncio
import zipfile
import zlib
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rs_order.demo.servers.errors import InstallError
from rs_order.domain.archives import Entry
from rs_order.domain.ids import DataFileId
from rs_order.downloads.archive_layout import TarLayout
from rs_order.downloads.zip_stream import NO_COMPRESSION, ZipStream
from tests.rest.fake_downloads import incompressible
from tests.support.tools import (
    BSDTAR,
    GNU_TAR,
    JAVA_COMPILER,
    SEVEN_ZIP,
    UNZIP,
    Tool,
    ToolMissing,
    program,
)

LIGHT = 1
AT = datetime(2026, 3, 1, tzinfo=UTC)
CONTENTS = {
    "empty.txt": b"",
    "empty of unknown size": b"",
    "compressed.txt": b"0123456789" * 20_000,
    "stored.bin": incompressible(200_000),
    "one block.bin": incompressible(65_535),
    "unknown size.txt": b"0123456789" * 20_000,
    "unknown size.bin": incompressible(200_000),
    "4.0 GB announced": b"broke off",
    "4.29 GB announced": b"broke off",
}
ANNOUNCED = {
    "empty of unknown size": None,
    "unknown size.txt": None,
    "unknown size.bin": None,
    "4.0 GB announced": 4_000_000_000,
    "4.29 GB announced": 4_294_000_000,
}


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A zip with entries of every kind that our zips have, but for those of more than 4 GiB."""
    path = tmp_path / "order.zip"
    with ZipStream(AT) as zip_stream, path.open("wb") as file:
        for name, content in CONTENTS.items():
            level = LIGHT if name.endswith(".txt") else NO_COMPRESSION
            size = ANNOUNCED.get(name, len(content))
            zip_stream.begin(name, size=size, level=level, comment="a:b" * (level == LIGHT))
            zip_stream.add(content[:1000])
            if content:
                zip_stream.fill()
            zip_stream.add(content[1000:])
            zip_stream.end()
            file.writelines(zip_stream.pieces())
        file.writelines(zip_stream.finish())
    return path


async def run(tool: Tool, *arguments: str, stdin: Path | None = None) -> str:
    """Run a program, which must succeed; return its output."""
    try:
        path = await program(tool)
    except (ToolMissing, InstallError) as error:
        pytest.fail(str(error))
    return await output_of(path, *arguments, stdin=stdin)


async def output_of(*command: str, stdin: Path | None = None) -> str:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    content = b"" if stdin is None else await asyncio.to_thread(stdin.read_bytes)
    output, _ = await process.communicate(content)
    text = output.decode(errors="replace")
    assert process.returncode == 0, text
    return text


async def unzip(archive: Path, folder: Path) -> None:
    await run(UNZIP, "-q", str(archive), "-d", str(folder))


async def seven_zip(archive: Path, folder: Path) -> None:
    await run(SEVEN_ZIP, "x", str(archive), f"-o{folder}")


async def bsdtar(archive: Path, folder: Path) -> None:
    await run(BSDTAR, "-xf", str(archive), "-C", str(folder))


async def bsdtar_from_a_pipe(archive: Path, folder: Path) -> None:
    await run(BSDTAR, "-xf", "-", "-C", str(folder), stdin=archive)


async def gnu_tar(archive: Path, folder: Path) -> None:
    await run(GNU_TAR, "-xf", str(archive), "-C", str(folder))


async def python(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as read:
        assert read.testzip() is None
        read.extractall(folder)


@pytest.mark.parametrize("unpack", [gnu_tar, seven_zip, bsdtar, bsdtar_from_a_pipe])
async def test_r7_a_tar_unpacked(
    tmp_path: Path, unpack: Callable[[Path, Path], Awaitable[None]]
) -> None:
    """Every entry comes out whole, whatever its name."""
    contents = {"a.txt": b"hello", "é": b"", "z" * 150: incompressible(200_000)}
    path, folder, layout = tmp_path / "order.tar", tmp_path / "unpacked", TarLayout(AT)
    parts = []
    for number, (name, content) in enumerate(contents.items()):
        entry = Entry(DataFileId(number), name, len(content))
        parts += [layout.header(entry), content, layout.trailer(entry, 0)]
    path.write_bytes(b"".join([*parts, layout.end(3, sum(map(len, parts)), 0)]))
    folder.mkdir()

    await unpack(path, folder)

    assert {path.name: path.read_bytes() for path in folder.iterdir()} == contents


@pytest.mark.parametrize("unpack", [python, unzip, seven_zip, bsdtar, bsdtar_from_a_pipe])
async def test_f19_unpacked(
    archive: Path, tmp_path: Path, unpack: Callable[[Path, Path], Awaitable[None]]
) -> None:
    """Every entry comes out whole, without a warning that sets the exit status."""
    folder = tmp_path / "unpacked"
    folder.mkdir()

    await unpack(archive, folder)

    assert {path.name: path.read_bytes() for path in folder.iterdir()} == CONTENTS


async def test_f19_read_by_java(archive: Path) -> None:
    """As a stream, whose reader trusts the order of the bytes alone, and as a file."""
    compiler = Path(await program(JAVA_COMPILER))

    output = await output_of(
        str(compiler.with_name("java")),
        *("-Xshare:auto", "-XX:TieredStopAtLevel=1"),
        *(str(Path(__file__).with_name("ReadZips.java")), str(archive)),
    )

    assert output.splitlines() == [
        *(f"{way} {line}" for way in ("stream", "file") for line in lines(CONTENTS))
    ]


def lines(contents: Mapping[str, bytes]) -> list[str]:
    return [f"{len(content)} {zlib.crc32(content)} {name}" for name, content in contents.items()]
