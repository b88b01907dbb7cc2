"""Promise 6: a download goes on at another instance when its own is killed (faces.md, acceptance R)."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from rs_order.sandbox.products import Location
from rs_order.sandbox.synthetic import SyntheticDataset
from tests.acceptance.platform import Platform, running_platform
from tests.promises.process import instance
from tests.support.polling import eventually
from tests.support.servers import FreshBroker
from tests.support.tools import CURL, program

OWNER = "jane@example.org"
PRODUCTS, SIZE = 40, 1_000_000
"""More bytes than all buffers between an instance and a client on the same machine hold."""
SLOWLY = ("--limit-rate", "8M")
ENOUGH = 4_000_000
CUT = {18, 56}
"""How curl ends when a server closes, or resets, a connection whose response isn't complete."""


@pytest.fixture
async def platform(platform_broker: FreshBroker, database_url: str) -> AsyncIterator[Platform]:
    """40 MB of files that are available at once."""
    online = SyntheticDataset(name="DS", products=PRODUCTS, size=SIZE, location=Location.ONLINE)
    async with running_platform(
        platform_broker, database_url, archive=None, synthetic=(online,)
    ) as ready:
        yield ready


@pytest.mark.parametrize("kind", ["zip", "tar"])
async def test_promise_6_any_instance_goes_on_with_a_download(
    platform: Platform, tmp_path: Path, kind: str
) -> None:
    """The process that sends an archive is killed; curl goes on at the other, and has the same bytes."""
    file = tmp_path / "archive"
    async with (
        platform.client(OWNER) as client,
        instance(platform) as killed,
        instance(platform, amqp_microservice_instance_identifier="two") as other,
    ):
        done = await platform.peer.until_final(await platform.peer.order("*"))
        order = f"/user/orders/{done.body['orderId']}"
        archive = await _made(client, killed.url + order, kind)
        path = httpx.URL(archive["href"]).path
        path = path[path.index(order) :]

        async with _curl(client, killed.url + path, file, *SLOWLY) as first:
            await eventually(
                lambda: file.exists() and file.stat().st_size > ENOUGH, "some bytes arrived"
            )
            await killed.kill()
            status = await first.wait()
        received = file.stat().st_size
        async with _curl(client, other.url + path, file) as second:
            resumed = await second.wait()
        of_tool = await _states(platform)
        whole = await client.get(other.url + path)

        assert status in CUT
        assert ENOUGH < received < archive["length"]
        assert resumed == 0
        assert _sha256(await asyncio.to_thread(file.read_bytes)) == _sha256(whole.content)
        assert of_tool == {"AVAILABLE"}, "the killed process recorded nothing"
        await eventually(lambda: _all_downloaded(platform), "all files are downloaded")


async def _made(client: httpx.AsyncClient, order: str, kind: str) -> dict[str, Any]:
    answer = await client.post(f"{order}/archives", json={"format": kind})
    assert answer.status_code == 201, answer.text
    archive: dict[str, Any] = answer.json()
    assert archive["files"] == PRODUCTS
    return archive


@asynccontextmanager
async def _curl(
    client: httpx.AsyncClient, url: str, file: Path, *options: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run curl, which goes on where the file ends; end it with the block."""
    token = f"Authorization: {client.headers['Authorization']}"
    arguments = ("-sf", "-H", token, "-C", "-", "-o", str(file), *options, url)
    process = await asyncio.create_subprocess_exec(await program(CURL), *arguments)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _states(platform: Platform) -> set[str]:
    return {row["state"] for row in await platform.rows("select distinct state from data_file")}


async def _all_downloaded(platform: Platform) -> bool:
    return await _states(platform) == {"DOWNLOADED"}


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
