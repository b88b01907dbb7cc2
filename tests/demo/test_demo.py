"""The whole demo as a user runs it, on external servers."""

import os
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT, Process, create_subprocess_exec
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import psutil
import pytest

from rs_order.demo.servers.lifecycle import Servers
from tests.cli.commands import line_with
from tests.demo.tiny_archives import dataset, product, small_file, write_archive
from tests.support.stac_clients import python_of_clients

END_SECONDS = 5


@pytest.fixture
def one_file(tmp_path: Path) -> dict[str, Any]:
    return small_file(tmp_path, "one.dat")


@pytest.fixture
def archive(tmp_path: Path, one_file: dict[str, Any]) -> Path:
    """A single product on tape: most cases are skipped, so that the demo is short."""
    return write_archive(tmp_path, dataset("A", product("P", one_file)))


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    return folder


async def _demo(servers: Servers, temporary: Path, *arguments: str) -> Process:
    env = os.environ | {
        "RS_ORDER_DATABASE_URL": servers.database_url,
        "RS_ORDER_AMQP_URL": servers.amqp_url,
        "RS_ORDER_AMQP_MANAGEMENT_URL": servers.management_url or "",
        "TMPDIR": str(temporary),
    }
    return await create_subprocess_exec(
        *(sys.executable, "-m", "rs_order", "demo", "--nearline-seconds=0.1", *arguments),
        env=env,
        stdout=PIPE,
        stderr=STDOUT,
    )


async def _ended(demo: Process) -> tuple[int | None, str]:
    out, _ = await demo.communicate()
    return demo.returncode, out.decode()


async def _assert_nothing_left(servers: Servers, temporary: Path) -> None:
    """Assert that no database, virtual host or folder of the demo is left."""
    connection = await asyncpg.connect(servers.database_url)
    names = await connection.fetch("select datname from pg_database where datname like '%demo%'")
    await connection.close()
    async with httpx.AsyncClient(timeout=60) as client:
        vhosts = (await client.get(f"{servers.management_url}/api/vhosts")).json()

    assert names == []
    assert [vhost["name"] for vhost in vhosts if "demo" in vhost["name"]] == []
    assert _content(temporary) == []


def _content(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_demo_passes(servers: Servers, temporary: Path, archive: Path) -> None:
    """Each case passes or is skipped with a reason, and everything created is removed."""
    code, out = await _ended(await _demo(servers, temporary, str(archive)))

    assert code == 0, out
    assert "nearline: 1 product of A, on tape" in out
    assert "1 file, exactly as in the manifest, with the right MD5" in out
    heard = [line.split()[1] for line in out.splitlines() if line.startswith("  webhook ")]
    assert heard[0] == "order.created"
    assert {"order.listed", "suborder.ready", "order.done", "order.downloaded"} <= {*heard}
    assert out.count("signature verified") == len(heard)
    assert "external: skipped, because no product of the archive is external" in out
    assert "eodag: skipped, because eodag isn't installed" in out
    assert "All 6 cases passed, 8 skipped" in out
    await _assert_nothing_left(servers, temporary)


async def test_eodag_is_a_case_of_the_demo(
    servers: Servers, temporary: Path, archive: Path
) -> None:
    """It searches, orders, polls and downloads with its own code."""
    eodag = f"--eodag={python_of_clients()}"

    code, out = await _ended(await _demo(servers, temporary, str(archive), eodag))

    assert code == 0, out
    assert "eodag has ordered and downloaded one.dat" in out
    assert "All 7 cases passed, 7 skipped" in out
    await _assert_nothing_left(servers, temporary)


async def test_demo_fails_on_wrong_bytes(
    servers: Servers, temporary: Path, archive: Path, one_file: dict[str, Any]
) -> None:
    """Wrong content of the right length fails the demo, which names the file."""
    fault = f'--fault=wrong_bytes=["{one_file["md5"]}"]'

    code, out = await _ended(await _demo(servers, temporary, str(archive), fault))

    assert code == 1, out
    assert "✗ NOTICE.txt: Failed to download file (one.dat)" in out
    assert "cases failed (nearline" in out
    await _assert_nothing_left(servers, temporary)


async def test_interrupted(servers: Servers, temporary: Path, archive: Path) -> None:
    """Ctrl-C during an order stops all processes and removes all that was created."""
    demo = await _demo(servers, temporary, str(archive), "--fault=silence=true")
    await line_with(demo, "GRANTED")
    children = psutil.Process(demo.pid).children(recursive=True)

    demo.send_signal(signal.SIGINT)
    code, _ = await _ended(demo)

    assert code == 130
    assert len(children) == 2  # sandbox and service
    assert psutil.wait_procs(children, END_SECONDS)[1] == []
    await _assert_nothing_left(servers, temporary)


async def test_the_console_stays_until_it_is_interrupted(servers: Servers, temporary: Path) -> None:
    """It prints where it is and who may sign in; orders are in different states; Ctrl-C leaves nothing."""
    demo = await _demo(servers, temporary, "--console")
    line = await line_with(demo, "The console is at ")
    address = line.partition("The console is at ")[2].strip()
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        page = await client.get(f"{address}sign-in")
        proof = page.text.partition('name="csrf" value="')[2][:64]
        form = {"project": "demo", "name": "jane@example.org", "password": "orbit", "csrf": proof}
        origin = address.removesuffix("/console/")
        orders = await client.post(
            f"{address}sign-in", data=form, headers={"Origin": origin}, follow_redirects=True
        )
    demo.send_signal(signal.SIGINT)
    code, out = await _ended(demo)

    assert orders.status_code == 200
    for state in (
        "Being read",
        "Done",
        "Done with errors",
        "Expired",
        "Failed",
        "Paused",
        "Running",
    ):
        assert f"</svg>{state}</span>" in orders.text, state
    assert code == 0
    assert "Everything has been stopped" in out
    await _assert_nothing_left(servers, temporary)


async def test_the_console_shows_the_packaged_archive_only(
    servers: Servers, temporary: Path, archive: Path
) -> None:
    code, out = await _ended(await _demo(servers, temporary, str(archive), "--console"))

    assert code == 2
    assert "packaged archive" in out
