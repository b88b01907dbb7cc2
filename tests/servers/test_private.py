"""Private servers restart at the same address, and leave no process and no file behind."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sys
import tempfile
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aio_pika
import asyncpg
import psutil
import pytest

from rs_order.demo.servers import postgresql
from rs_order.demo.servers.database_and_broker import Broker, Database
from rs_order.demo.servers.errors import NotOursError, ServerStartError
from rs_order.demo.servers.handles import ExternalServer, SupervisedServer
from rs_order.demo.servers.lifecycle import running_database
from rs_order.demo.servers.machine import ThisMachine
from rs_order.demo.servers.postgresql import private_database
from rs_order.demo.servers.private_resources import free_ports
from rs_order.demo.servers.programs import find_postgresql, find_rabbitmq
from rs_order.demo.servers.rabbitmq import private_broker
from rs_order.demo.servers.supervisor import ServerSpec
from tests.support.processes import interruptible_children

pytestmark = pytest.mark.servers

_END_SECONDS = 20

_PARENT = """
import asyncio, sys
from rs_order.demo.servers.postgresql import private_database
from rs_order.demo.servers.programs import find_postgresql

async def main():
    database = await private_database(await find_postgresql(), durable=False)
    await database.start()
    print("ready", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


class WithoutEngine(ThisMachine):
    """This machine, as if it had no Docker engine and no URL was given."""

    def __init__(self) -> None:
        super().__init__(environment={})

    async def engine_answers(self) -> bool:
        return False


@pytest.fixture
def server_folders(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The parent folder of the folders of private servers. Their accounts may read it."""
    folder = Path(tempfile.mkdtemp(prefix="rs-order-test-"))
    folder.chmod(0o755)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
async def database(server_folders: Path) -> AsyncIterator[Database]:
    programs = await find_postgresql()
    if programs is None:
        pytest.skip("no PostgreSQL programs on this machine: servers are given or in containers")
    database = await private_database(programs, durable=False)
    yield database
    await database.discard()


@pytest.fixture
async def private_rabbitmq(server_folders: Path) -> AsyncIterator[Broker]:
    programs = await find_rabbitmq()
    if programs is None:
        pytest.skip("no RabbitMQ programs on this machine: servers are given or in containers")
    broker = private_broker(programs, durable=False)
    yield broker
    await broker.discard()


def left_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def descendants() -> set[psutil.Process]:
    return set(psutil.Process().children(recursive=True))


def names_of(processes: set[psutil.Process]) -> set[str]:
    """Of those that still run: a server starts some that live for a moment."""
    names = set()
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            names.add(process.name())
    return names


def is_zombie(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def all_ended(processes: set[psutil.Process]) -> bool:
    _, alive = await asyncio.to_thread(psutil.wait_procs, processes, _END_SECONDS)
    return all(is_zombie(process) for process in alive)


async def test_discard_leaves_nothing(database: Database, server_folders: Path) -> None:
    """After discard there is no process and no file of the server."""
    before = descendants()
    await database.start()
    started = descendants() - before
    running = names_of(started)
    await database.discard()

    assert "postgres" in running
    assert await all_ended(started)
    assert left_in(server_folders) == []


async def test_failure_in_the_block_leaves_nothing(server_folders: Path) -> None:
    """An exception in the block ends the server too."""
    before = descendants()
    started: set[psutil.Process] = set()

    async def use_and_fail() -> None:
        async with running_database(machine=WithoutEngine()):
            started.update(descendants() - before)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await use_and_fail()

    assert started
    assert await all_ended(started)
    assert left_in(server_folders) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
async def test_death_of_the_parent_leaves_nothing(
    database: Database, server_folders: Path, number: signal.Signals
) -> None:
    """When the process that started a server ends in any way, the server ends and its folder is removed."""
    await database.discard()
    with interruptible_children():
        parent = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            _PARENT,
            stdout=PIPE,
            stderr=PIPE,
            env=dict(os.environ) | {"TMPDIR": str(server_folders)},
        )
    assert parent.stdout is not None
    await parent.stdout.readline()
    family = set(psutil.Process(parent.pid).children(recursive=True))
    parent.send_signal(number)
    await parent.communicate()

    assert len(family) > 2
    assert await all_ended(family)
    assert left_in(server_folders) == []


async def test_database_keeps_its_rows_and_address(database: Database) -> None:
    """A stop and a start keep the rows and the address."""
    await database.start()
    await _execute(database.url, "create table kept as select 42 as answer")
    await database.stop()
    with pytest.raises(ConnectionRefusedError):
        await asyncpg.connect(database.url)
    await database.start()

    assert await _execute(database.url, "select answer from kept") == "SELECT 1"


async def test_broker_keeps_its_messages_and_address(private_rabbitmq: Broker) -> None:
    """A persistent message of a durable queue is there after a restart, at the same URL."""
    before = descendants()
    await private_rabbitmq.start()
    async with await aio_pika.connect(private_rabbitmq.url) as connection:
        channel = await connection.channel()
        await channel.declare_queue("kept", durable=True)
        message = aio_pika.Message(b"still here", delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await channel.default_exchange.publish(message, "kept")
    await private_rabbitmq.restart()
    async with await aio_pika.connect(private_rabbitmq.url) as connection:
        channel = await connection.channel()
        queue = await channel.get_queue("kept")
        kept = await queue.get()
        await kept.ack()
    started = descendants() - before
    names = names_of(started)
    await private_rabbitmq.discard()

    assert kept.body == b"still here"
    assert {"beam.smp", "epmd"} <= names
    assert await all_ended(started)


async def test_server_that_ends_at_once_says_why(server_folders: Path) -> None:
    """The error holds the last lines of the log, instead of a timeout without a reason."""
    folder = server_folders / "broken"
    folder.mkdir()
    broken = SupervisedServer(
        ServerSpec(
            folder=str(folder),
            command=["/bin/sh", "-c", "echo no space left on device; exit 1"],
            helpers=[],
            environment={},
            account=None,
            stop_signal=signal.SIGTERM,
            discard_signal=signal.SIGKILL,
            stop_limit_seconds=1,
        )
    )
    database = Database("postgresql://me:secret@127.0.0.1:1/orders", broken)
    with pytest.raises(ServerStartError) as failure:
        await database.start()
    await database.discard()

    assert str(failure.value) == (
        "PostgreSQL at 127.0.0.1:1 ended instead of starting:\nno space left on device\n"
    )


async def test_external_server_is_not_stopped() -> None:
    """A server that is given by URL belongs to its owner."""
    database = Database("postgresql://elsewhere/orders", ExternalServer("RS_ORDER_DATABASE_URL"))

    with pytest.raises(NotOursError, match="RS_ORDER_DATABASE_URL"):
        await database.stop()


async def _execute(url: str, statement: str) -> str:
    connection = await asyncpg.connect(url)
    try:
        return await connection.execute(statement)
    finally:
        await connection.close()


async def test_start_is_repeated_when_a_port_is_taken(
    server_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server whose port another program has taken starts on another port."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        choices = iter([taken.getsockname()[1], *free_ports(1)])
        monkeypatch.setattr(postgresql, "free_ports", lambda _: [next(choices)])
        lines: list[str] = []
        async with running_database(machine=WithoutEngine(), report=lines.append) as database:
            selected = await _execute(database.url, "select 1")

    assert selected == "SELECT 1"
    assert lines[-1].endswith("trying once more, on other ports")
    assert left_in(server_folders) == []
