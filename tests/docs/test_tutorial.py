"""The commands of the tutorial and of the runbook work when they are run as a reader runs them."""

import asyncio
import hashlib
import json
import os
import re
import sys
import zipfile
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from rs_order.demo.servers.lifecycle import Servers
from rs_order.demo.servers.management_api import Management
from rs_order.demo.servers.private_resources import free_ports
from rs_order.sandbox.simulated_platform import BUNDLED_ARCHIVE
from tests.cli.commands import line_with
from tests.support.polling import WAIT_SECONDS
from tests.support.servers import FreshBroker, fresh_broker, fresh_database
from tests.support.stac_clients import files_below, python_of_clients
from tests.support.tools import ARIA2, CURL, JQ, PSQL, WGET, program

ROOT = Path(__file__).parents[2]
RUNBOOK = (ROOT / "docs/runbook.md").read_text(encoding="utf-8")
PAGE = (ROOT / "docs/tutorial/README.md").read_text(encoding="utf-8")
EVENT_PAGE = (ROOT / "docs/tutorial/events.md").read_text(encoding="utf-8")
LIST_PAGE = (ROOT / "docs/tutorial/lists.md").read_text(encoding="utf-8")
STOP_SECONDS = 35


def commands_of(text: str) -> list[str]:
    """Return the commands of a page or a part of it, block by block."""
    return re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands_with(text: str) -> str:
    """Return the commands of the page, from the one block that holds a text."""
    (found,) = [block for block in commands_of(PAGE) if text in block]
    return found


async def shell(commands: str, environment: dict[str, str]) -> Process:
    """Run commands in the root of the checkout, in a shell that knows the tutorial's settings."""
    return await asyncio.create_subprocess_exec(
        *("bash", "-euc", f". docs/tutorial/settings.sh\n{commands}"),
        cwd=ROOT,
        env=environment,
        stdout=PIPE,
        stderr=STDOUT,
    )


async def ended(commands: str, environment: dict[str, str]) -> tuple[int | None, list[str]]:
    """Return the exit code of commands, and the lines that they print."""
    process = await shell(commands, environment)
    output, _ = await process.communicate()
    return process.returncode, output.decode().splitlines()


@asynccontextmanager
async def terminal(commands: str, ready: str, environment: dict[str, str]) -> AsyncIterator[None]:
    """Run commands until the block ends. They have printed the line ``ready`` when it begins."""
    process = await shell(f"exec {commands}", environment)
    try:
        await line_with(process, ready)
        reading = asyncio.create_task(process.communicate())
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), STOP_SECONDS)
    await reading


@pytest.fixture(scope="module")
async def environment(
    servers: Servers,
    _database_admin: asyncpg.Connection,
    _management: Management,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[dict[str, str]]:
    """Start the sandbox and the service as the tutorial does, on servers and ports of this test."""
    async with (
        fresh_database(_database_admin, servers.database_url) as database_url,
        fresh_broker(_management, servers.amqp_url, servers.management_url or "") as broker,
    ):
        settings = await settings_of(database_url, broker, tmp_path_factory.mktemp("downloads"))
        async with (
            terminal(commands_with("rs-order sandbox"), "Sandbox listens", settings),
            terminal(commands_with("rs-order serve"), "rs-order is ready", settings),
        ):
            yield settings


async def settings_of(database_url: str, broker: FreshBroker, downloads: Path) -> dict[str, str]:
    """Return the environment of a reader who has servers and ports of their own."""
    service_port, sandbox_port, webhook_port = free_ports(3)
    tools = [sys.executable, *[await program(tool) for tool in (CURL, JQ, PSQL)]]
    return {
        "PATH": os.pathsep.join([*(str(Path(tool).parent) for tool in tools), os.environ["PATH"]]),
        "HOME": str(downloads),
        "DOWNLOADS": str(downloads),
        "RS_ORDER_DATABASE_URL": database_url,
        "RS_ORDER_AMQP_URL": broker.url,
        "RS_ORDER_AMQP_MANAGEMENT_URL": broker.management_url,
        "RS_ORDER_AMQP_VHOST": broker.vhost,
        "RS_ORDER_AMQP_INSTANCE_VHOST": broker.instance_vhost,
        "RS_ORDER_HTTP_PORT": str(service_port),
        "SANDBOX_PORT": str(sandbox_port),
        "WEBHOOK_PORT": str(webhook_port),
    }


async def test_order_over_amqp(environment: dict[str, str]) -> None:
    """The program follows its order to DONE, and prints a link to the files."""
    code, lines = await ended(commands_with("order_over_amqp.py jane"), environment)

    assert code == 0, lines
    statuses = [line.split()[0] for line in lines]
    assert statuses[0] == "REQUESTED"
    assert statuses[-2:] == ["DONE", "DOWNLOAD"]
    assert sorted(statuses[1:-2]) == ["GRANTED", "SUBORDER_DONE", "SUBORDER_DONE"]
    link = lines[-1].split()[1]
    code, lines = await ended(commands_with("eit.zip"), environment | {"LINK": link})
    assert code == 0, lines
    assert content_of(Path(environment["DOWNLOADS"]) / "eit.zip") == content_of_dataset("SOHO_EIT")


async def test_order_that_is_denied(environment: dict[str, str]) -> None:
    """An order for an unknown user is rejected: the program prints the reason, and fails."""
    code, lines = await ended(commands_with("nobody@example.org"), environment)

    assert code == 1
    assert [line.split()[0] for line in lines] == ["REQUESTED", "DENIED"]
    assert "errorType=FORBIDDEN" in lines[1]


async def test_order_with_curl(environment: dict[str, str]) -> None:
    """The script prints each step, and the downloads are the files that were ordered."""
    code, lines = await ended(commands_with("order_with_curl.sh"), environment)

    assert code == 0, lines
    assert "   SDO EVE irradiance: 2 products, 2 files, 8318 bytes" in lines
    assert "   DONE, 100 %, 2 files to download" in lines
    assert "   with 2 links" in lines
    assert lines[-1] in {"eve_01.txt: OK", "eve_02.txt: OK"}
    eve = content_of_dataset("SDO_EVE")
    zipped = content_of(Path(environment["DOWNLOADS"]) / "order.zip")
    assert zipped == {name: eve[name] for name in ("eve_01.txt", "eve_02.txt")}


async def ordered_with_curl(environment: dict[str, str]) -> str:
    """Run the script of the page. Return the id of its order, whose files are downloaded."""
    code, lines = await ended(commands_with("order_with_curl.sh"), environment)
    assert code == 0, lines
    (order,) = [line.split()[1] for line in lines if re.fullmatch(r" +order \d+", line)]
    return order


async def test_lists_for_download_tools(environment: dict[str, str], tmp_path: Path) -> None:
    """Each tool gets the files of an order from its list."""
    for tool in (ARIA2, CURL, JQ, WGET):
        await program(tool)
    own = environment | {"DOWNLOADS": str(tmp_path)}
    order = await ordered_with_curl(own)
    blocks = commands_of(LIST_PAGE)

    code, lines = await ended("".join(blocks), own | {"ORDER": order})

    assert code == 0, lines
    eve = content_of_dataset("SDO_EVE")
    for folder in ("tools", "tools/aria2", "tools/wget"):
        for name in ("eve_01.txt", "eve_02.txt"):
            content = (tmp_path / folder / name).read_bytes()
            assert hashlib.md5(content, usedforsecurity=False).hexdigest() == eve[name]
            assert f"{name}: OK" in lines
    assert len(list((tmp_path / "tools/products").glob("*/eve_0?.txt"))) == 2


async def test_hear_of_orders(environment: dict[str, str], tmp_path: Path) -> None:
    """The list, the stream and the command have the events of an order, from its creation to its download."""
    own = environment | {"DOWNLOADS": str(tmp_path)}
    *blocks, follow = commands_of(
        re.sub(r"\n## As a webhook.*?(?=\n## )", "", EVENT_PAGE, flags=re.DOTALL)
    )
    # From the first event on, so that it doesn't matter when the command is ready.
    following = await shell(f"exec {follow.strip()} --after 0", own)
    try:
        order = await ordered_with_curl(own)
        await line_with(following, f"order {order} of john@example.org: order.downloaded")
    finally:
        following.terminate()
        await asyncio.wait_for(following.communicate(), STOP_SECONDS)
    code, lines = await ended("".join(blocks), own | {"ORDER": order})

    assert code == 0, lines
    assert "1. order.created: PENDING, 0 %" in lines
    assert any(re.fullmatch(r"\d\. order.downloaded: DONE, 100 %", line) for line in lines)
    assert any(line.startswith("[]") for line in lines), "the list behind the position is empty"
    streamed = [line for line in lines if line.startswith("event: ")]
    assert (streamed[0], streamed[-1]) == ("event: order.created", "event: order.downloaded")
    printed = [
        line.split(": ")[1].split()[0] for line in lines if f"order {order} of john@" in line
    ]
    assert printed == ["order.done", "order.downloaded"]


async def test_hear_of_orders_by_webhook(environment: dict[str, str], tmp_path: Path) -> None:
    """The receiver prints each event of an order, from its creation to its download, once and in order."""
    own = environment | {"DOWNLOADS": str(tmp_path)}
    begin = commands_of(EVENT_PAGE)[0]
    (webhook,) = re.findall(r"^## As a webhook\n(.*?)^## ", EVENT_PAGE, re.MULTILINE | re.DOTALL)
    receive, *subscribe, unsubscribe = commands_of(webhook)
    receiving = await shell(f"exec {receive}", own)
    try:
        await line_with(receiving, "Waiting for events")
        code, lines = await ended("".join([begin, *subscribe]), own)
        assert code == 0, lines
        order = await ordered_with_curl(own)
        printed = await lines_until(receiving, f"order {order}: order.downloaded")
        code, lines = await ended(begin + unsubscribe, own)
        assert code == 0, lines
    finally:
        receiving.terminate()
        await asyncio.wait_for(receiving.communicate(), STOP_SECONDS)
    events = [line for line in printed if line.startswith("order ")]

    assert events[:2] == [
        f"order {order}: order.created, PENDING, 0 %",
        f"order {order}: order.listed, RUNNING, 0 %",
    ]
    assert f"order {order}: order.done, DONE, 100 %" in events
    assert len({*events}) >= 6


async def lines_until(process: Process, text: str) -> list[str]:
    """Return the lines of a program's output, up to the first that holds a text."""
    assert process.stdout is not None
    found: list[str] = []
    async with asyncio.timeout(WAIT_SECONDS):
        while not (found and text in found[-1]):
            line = await process.stdout.readline()
            assert line, found
            found.append(line.decode().rstrip())
    return found


async def test_order_with_eodag_and_read_with_pystac(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """The one unpacks the file of the product, and the other finds the order with the same file."""
    own = environment | {
        "DOWNLOADS": str(tmp_path / "products"),
        "EODAG_HOME": str(tmp_path / "home"),
        "EODAG_PYTHON": str(python_of_clients()),
    }
    blocks = [
        block
        for page in ("eodag", "pystac")
        for block in commands_of((ROOT / f"docs/tutorial/{page}.md").read_text(encoding="utf-8"))
    ]
    code, lines = await ended("".join(blocks), own)

    assert code == 0, lines
    (order,) = [line.split()[1] for line in lines if line.startswith("ORDER ")]
    (path,) = [line.split(maxsplit=1)[1] for line in lines if line.startswith("DOWNLOADED ")]
    assert files_below(path) == {"eve_01.txt": content_of_dataset("SDO_EVE")["eve_01.txt"]}
    assert any(line.startswith(f"order-{order} succeeded 1 product ") for line in lines)
    assert "      eve_01.txt 4159 whole" in lines


async def test_commands_of_the_runbook(environment: dict[str, str]) -> None:
    """An operator can copy each block. None of them fails, whatever the state of the service."""
    blocks = commands_of(RUNBOOK)
    code, lines = await ended("set -o pipefail\n" + "".join(dict.fromkeys(blocks)), environment)

    assert code == 0, lines
    assert '  "status": "UP",' in lines
    assert any(line.startswith("rs_order_pool_size ") for line in lines)


def content_of(path: Path) -> dict[str, str]:
    """Return the MD5 of each file in a zip, by name."""
    with zipfile.ZipFile(path) as archive:
        return {
            name: hashlib.md5(archive.read(name), usedforsecurity=False).hexdigest()
            for name in archive.namelist()
        }


def content_of_dataset(name: str) -> dict[str, str]:
    """Return the MD5 of each file of a dataset in the archive that ships, by name."""
    datasets = json.loads((BUNDLED_ARCHIVE / "manifest.json").read_bytes())["datasets"]
    (dataset,) = [dataset for dataset in datasets if dataset["id"] == name]
    files = [file for product in dataset["products"] for file in product["files"]]
    return {file["filename"]: file["md5"] for file in [*files, *dataset["files"]]}
