"""A real download tool reads the metalink (remote-services.md 9.4)."""

import asyncio
import re
from pathlib import Path

import pytest

from rs_order.demo.servers.errors import InstallError
from tests.acceptance.platform import Platform
from tests.acceptance.shared_platform import EVE_01, new_user
from tests.api.downloading import files_of, ordered, until_state
from tests.support.tools import ARIA2, ToolMissing, program

EVERYTHING = "*"


@pytest.fixture(scope="module")
async def aria2c() -> str:
    try:
        return await program(ARIA2)
    except (ToolMissing, InstallError) as error:
        pytest.fail(str(error))


async def run(aria2c: str, metalink: Path, folder: Path, *options: str) -> tuple[int, str]:
    """Download all files, check their checksums, and return the exit status and output."""
    process = await asyncio.create_subprocess_exec(
        *(aria2c, "--no-conf", "--metalink-file", str(metalink), "--dir", str(folder)),
        *("--check-integrity=true", "--max-tries=1", "--file-allocation=none", *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode(errors="replace")


async def saved_metalink(here: Platform, user: str, order_id: int, path: Path) -> Path:
    """Save the metalink like a user, with the links changed to the address of the tested service."""
    async with here.client(user) as client:
        answer = await client.get(f"/user/orders/{order_id}/metalink/download")
    assert answer.status_code == 200
    text = answer.text.replace("http://localhost:9043/", f"http://127.0.0.1:{here.port}/")
    await asyncio.to_thread(path.write_text, text, encoding="utf-8")
    return path


async def test_a_download_tool_gets_all_files_of_an_order(
    here: Platform, aria2c: str, tmp_path: Path
) -> None:
    """Stored, attached and external files arrive complete under their names and become DOWNLOADED."""
    jane = new_user(here)
    order_id = await ordered(here, jane, EVERYTHING)
    metalink = await saved_metalink(here, jane, order_id, tmp_path / "order.metalink")

    status, output = await run(aria2c, metalink, tmp_path / "files")

    files = await files_of(here, order_id)
    assert status == 0, output
    assert len(files) > 30
    assert {path.name for path in (tmp_path / "files").iterdir()} == {
        file["name"] for file in files
    }
    for file in files:
        await until_state(here, file["id"], "DOWNLOADED")


async def test_a_download_tool_rejects_wrong_bytes(
    here: Platform, aria2c: str, tmp_path: Path
) -> None:
    """The tool checks the metalink's checksums: with a changed one the download fails."""
    jane = new_user(here)
    order_id = await ordered(here, jane, EVE_01)
    metalink = await saved_metalink(here, jane, order_id, tmp_path / "order.metalink")
    text, changed = re.subn(r'("md5">)[0-9a-f]{32}', rf"\g<1>{'0' * 32}", metalink.read_text())
    metalink.write_text(text)

    status, output = await run(aria2c, metalink, tmp_path / "files")

    assert changed == 1
    assert status != 0
    assert "checksum" in output.lower()
