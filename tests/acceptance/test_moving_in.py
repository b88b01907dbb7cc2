"""A whole deployment goes on with the orders of a Java service (moving-in.md M3, “Shown by”)."""

import asyncio
import hashlib
import io
import os
import re
import sys
import zipfile
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from rs_order.app.serve import Role
from rs_order.cli import app as commands
from rs_order.demo.servers.lifecycle import Servers
from rs_order.domain.ids import Tenant
from rs_order.domain.instants import wire_instant
from rs_order.moving_in.rules import EXPLANATIONS
from rs_order.sandbox.process_catalog import Process
from rs_order.sandbox.products import urn_for
from rs_order.sandbox.user_directory import User
from rs_order.store.pool import statements
from tests.acceptance.archives import ArchiveMaker
from tests.acceptance.platform import TENANT, Platform, running_platform
from tests.integration.moving_in.java_database import java_database
from tests.integration.moving_in.java_orders import (
    PROCESS,
    JavaOrders,
    StoredFile,
    healthy_orders,
    process_under_way,
)
from tests.promises.process import environment_of
from tests.support.polling import eventually
from tests.support.servers import FreshBroker
from tests.support.stores import MigratedDatabases

PAGE = (Path(__file__).parents[2] / "docs/moving-in.md").read_text(encoding="utf-8")
PRODUCTS = 12
HEALTHY = 36
ADMIN = "alan@example.org"
FAR = datetime(3000, 1, 1, tzinfo=UTC)
CHECK_ORDERS = statements("reconciliation")["check_orders"]
WITHOUT_METALINK = ("DELETED", "EXPIRED", "PENDING", "FAILED")


@pytest.fixture
def java(tmp_path: Path) -> JavaOrders:
    """Orders of files that the archive in the same folder has."""
    maker = ArchiveMaker(tmp_path)
    names = [
        maker.product("moved", f"P{number}", location="online")[0] for number in range(PRODUCTS)
    ]
    dataset = maker.dataset("moved")
    stored = [
        StoredFile(name, 1000, maker.checksum(name), urn_for(TENANT, product["urn"]))
        for name, product in zip(names, dataset["products"], strict=True)
    ]
    maker.write()
    orders = JavaOrders(stored, dataset=urn_for(TENANT, dataset["urn"]), query="productId:P1")
    healthy_orders(orders, HEALTHY)
    orders.order("PENDING")
    process_under_way(orders)
    return orders


@pytest.fixture
async def source(java: JavaOrders, servers: Servers) -> AsyncIterator[str]:
    """The URL of a Java service's database with these orders."""
    async with java_database(servers.database_url) as (url, connection):
        await java.load(connection)
        yield url


@pytest.fixture
async def tenant_url(
    migrated_databases: MigratedDatabases, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[str]:
    """The URL of a database with an empty tenant, which commands in this process use."""
    async with migrated_databases.url(Tenant(TENANT)) as url:
        monkeypatch.setenv("RS_ORDER_DATABASE_URL", url)
        monkeypatch.setenv("RS_ORDER_JWT_KEY_HS512", "k" * 64)
        monkeypatch.setattr("rs_order.cli.terminal.configure_command_logs", lambda _: None)
        yield url


@pytest.fixture
async def empty(
    java: JavaOrders, tenant_url: str, broker: FreshBroker, tmp_path: Path
) -> AsyncIterator[Platform]:
    """A deployment with an empty tenant, and with the files of the orders; it isn't started."""
    async with running_platform(
        broker,
        tenant_url,
        archive=tmp_path,
        max_storage_files_jobs_per_user=0,
        order_secret="the secret of the order tokens of this test",
    ) as platform:
        for email in {row["owner"] for row in java.rows["t_order"]} | {ADMIN}:
            platform.sandbox.directory.put(User(email=email))
        process = {"id": PROCESS, "name": "test", "scope": "SUBORDER"}
        platform.sandbox.processes.add(
            Process.model_validate(process | {"cardinality": "ONE_PER_EXECUTION"})
        )
        yield platform


@pytest.fixture
async def moved(empty: Platform, source: str, tmp_path: Path) -> Platform:
    """The deployment, whose tenant has taken over these orders."""
    arguments = ["import-java", "--from", source, "--tenant", TENANT]
    result = await asyncio.to_thread(
        CliRunner().invoke, commands, [*arguments, "--templates", str(tmp_path / "mails")]
    )
    assert result.exit_code == 0, result.output
    return empty


async def test_rest_says_what_the_source_says(moved: Platform, java: JavaOrders) -> None:
    """Lists, orders, files, links, metalinks and zips of every order."""
    async with moved.service(Role.API), moved.client(ADMIN, "PROJECT_ADMIN") as admin:
        answer = await admin.post("/orders/search", json={}, params={"size": 1000})
        listed = {one["content"]["id"]: one["content"] for one in answer.json()["content"]}
        for row in java.rows["t_order"]:
            answer = await admin.get(f"/user/orders/{row['id']}")
            order = answer.json()["content"]
            assert order == listed[row["id"]]
            # Without those that go into a process.
            files = [one for one in java.files(row["id"]) if one["files_task_id"] is not None]
            if files or row["status"] not in ("FAILED", "DONE_WITH_WARNING"):
                # Of an order that ended without files this service says 100 %, the Java service 0.
                assert order["percentCompleted"] == row["percent_complete"]
            assert _facts(order) == _expected(row)
            await _check_files(admin, row, files)
        await _check_downloads(admin, java)


def _facts(order: dict[str, Any]) -> tuple[Any, ...]:
    names = ("owner", "label", "status", "filesInErrorCount", "availableFilesCount")
    dates = order["creationDate"], order.get("expirationDate"), order["statusDate"]
    return (*(order[name] for name in names), order["waitingForUser"], *dates)


def _expected(row: dict[str, Any]) -> tuple[Any, ...]:
    names = ("owner", "label", "status", "files_in_error", "available_count", "waiting_for_user")
    dates = (row[name] for name in ("creation_date", "expiration_date", "status_date"))
    written = (wire_instant(at.replace(tzinfo=UTC)) if at else None for at in dates)
    return (*(row[name] for name in names), *written)


async def _check_files(
    admin: httpx.AsyncClient, row: dict[str, Any], files: list[dict[str, Any]]
) -> None:
    """Compare the lists of the files of an order, and its metalink, with the source."""
    order = row["id"]
    answer = await admin.get(f"/user/orders/{order}")
    found = []
    for task in answer.json()["content"]["datasetTasks"]:
        answer = await admin.get(f"/orders/{order}/dataset/{task['id']}/files?size=100")
        found += [one["content"] for one in answer.json()["content"]]
    assert [
        (one["id"], one["state"], one["filename"], one.get("checksum"), one["filesize"])
        for one in found
    ] == [(one["id"], one["state"], one["name"], _checksum(one), one["size"]) for one in files]
    answer = await admin.get(f"/orders/{order}/files/available?size=100")
    available = [one["content"]["id"] for one in answer.json()["content"]]
    assert available == [one["id"] for one in files if one["state"] == "AVAILABLE"]
    metalink = await admin.get(f"/user/orders/{order}/metalink/download")
    if row["status"] in WITHOUT_METALINK or not files:
        assert metalink.status_code == 404
    else:
        links = re.findall(r"/orders/public/files/(\d+)\?", metalink.text)
        assert sorted({int(id_) for id_ in links}) == [one["id"] for one in files]


def _checksum(file: dict[str, Any]) -> str | None:
    """Return the checksum of a file. An output that is still to be made has a random text (domain.md 5.5)."""
    promised = file["state"] == "PENDING" and file["url"].startswith("file:/")
    return None if promised else file["checksum"]


async def _check_downloads(admin: httpx.AsyncClient, java: JavaOrders) -> None:
    """Download a file by its number in the source, and the zip of its order: storage has their bytes."""
    file = next(one for one in java.rows["t_data_file"] if one["state"] == "AVAILABLE")
    names = {
        one["name"]: one["checksum"]
        for one in java.files(file["order_id"])
        if one["state"] == "AVAILABLE"
    }
    zipped = await admin.get(f"/user/orders/{file['order_id']}/download")
    single = await admin.get(f"/orders/files/{file['id']}")

    assert _md5(single.content) == file["checksum"]
    with zipfile.ZipFile(io.BytesIO(zipped.content)) as archive:
        assert {name: _md5(archive.read(name)) for name in archive.namelist()} == names


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


async def test_orders_under_way_end_done(moved: Platform, java: JavaOrders) -> None:
    """Storage is asked for what was pending, a creation begins again, and the reconciler finds nothing."""
    under_way = [
        row["id"] for row in java.rows["t_order"] if row["status"] in ("RUNNING", "PENDING")
    ]

    async with moved.service():
        await eventually(
            lambda: _ended(moved), "no order of the Java service is RUNNING or PENDING"
        )

    rows = await moved.rows(
        "select id, status, (select max(reason) from data_file where order_id = orders.id) as reason"
        " from orders where id = any ($1) order by id",
        under_way,
    )
    assert [tuple(row) for row in rows] == [(id_, "DONE", None) for id_ in under_way]
    checked = await moved.rows(CHECK_ORDERS, 0, 1000, FAR)
    assert [row["id"] for row in checked if row["miscounted"] or row["left_behind"]] == []


async def _ended(moved: Platform) -> bool:
    rows = await moved.rows("select from orders where status in ('RUNNING', 'PENDING')")
    return not rows


async def test_the_commands_of_the_page(empty: Platform, source: str, tmp_path: Path) -> None:
    """The blocks of docs/moving-in.md, from the check to the way back, as an operator runs them."""
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```", PAGE, re.MULTILINE | re.DOTALL)
    setting, check, import_, start, look, way_back = map(dedent, blocks)
    environment = {
        **os.environ,
        **environment_of(empty.settings),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "JAVA_DATABASE_URL": source,
        "TENANT": TENANT,
    }

    async def run(block: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *("bash", "-euo", "pipefail", "-c", setting + block),
            cwd=tmp_path,
            env=environment,
            stdout=PIPE,
            stderr=STDOUT,
        )
        output, _ = await process.communicate()
        assert process.returncode == 0, output.decode()
        return output.decode()

    assert "An import will take about 1 min." in await run(check)
    assert "Both sides agree." in await run(import_)
    assert start.strip() == "rs-order serve"
    async with empty.service():
        await run(look)
        await eventually(lambda: _ended(empty), "no order is RUNNING or PENDING")
    await run(way_back)
    listed = (tmp_path / "changed-since-import.csv").read_text(encoding="utf-8")
    assert listed.startswith("ORDER_ID,CHANGE,OWNER,")
    assert ",changed," in listed


def test_the_page_has_every_rule() -> None:
    """In the words of the report."""
    rows = [f"| `{rule}` | {words.found} | {words.done} |" for rule, words in EXPLANATIONS.items()]

    assert [row for row in rows if row not in PAGE] == []
