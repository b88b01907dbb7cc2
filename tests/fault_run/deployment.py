"""Servers, sandbox and instances of the service, with everything between them that can fail."""

import asyncio
import os
import pwd
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from rs_order.demo.servers.database_and_broker import Broker, Database
from rs_order.demo.servers.lifecycle import VHOSTS, Servers, running_servers
from rs_order.demo.servers.machine import ThisMachine
from rs_order.demo.servers.private_resources import unprivileged_account
from rs_order.sandbox.faults import Faults
from rs_order.sandbox.launch import running_sandbox
from rs_order.sandbox.service_protocol import DEVELOPMENT_KEY
from rs_order.sandbox.simulated_platform import Sandbox, SandboxOptions
from rs_order.sandbox.synthetic import SyntheticDataset
from rs_order.settings import MEBIBYTE
from tests.fault_run.plan import CLOCK_SECONDS, TENANTS, Plan
from tests.fault_run.service_process import CLOCK_VARIABLE
from tests.support.polling import eventually
from tests.support.proxy import TcpProxy, tcp_proxy

SLOTS: Final = 2
"""Sub-orders of an owner that run or wait for their download."""
DATABASE: Final = "fault_run"
FILE_BYTES: Final = 1000
RESTORE_SECONDS: Final = 0.3
SMALL_DISK_BYTES: Final = 256 * 1024 * 1024
_READY: Final = b"rs-order is ready on "
_RESTART_SECONDS: Final = 0.5
START_SECONDS: Final = 120.0
MIXED: Final = "mixed"
"""A value of the setting ``queues``: every second instance has the mode quorum, the others compatible."""


class Instance:
    """A process of rs_order that is started again whenever it ends, as an orchestrator does."""

    def __init__(
        self, number: int, environment: dict[str, str], database: TcpProxy, broker: TcpProxy
    ) -> None:
        self.number = number
        self.database = database
        """Its connection to PostgreSQL."""
        self.broker = broker
        """Its connection to RabbitMQ."""
        self.url: str | None = None
        """The base URL of its REST API; None while it isn't ready."""
        self.lines: list[str] = []
        self.starts = 0
        self._environment = environment
        self._process: asyncio.subprocess.Process | None = None
        self._may_run = asyncio.Event()
        self._may_run.set()
        self._stopping = False

    async def run(self) -> None:
        """Start it, and start it again when it ends, until ``stop``."""
        while not self._stopping:
            await self._may_run.wait()
            await self._run_once()
            await asyncio.sleep(_RESTART_SECONDS)

    def kill(self) -> None:
        """End it by SIGKILL; it isn't started again before ``allow``."""
        self._may_run.clear()
        self._signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask it to end, by SIGTERM; it is started again."""
        self._signal(signal.SIGTERM)

    def allow(self) -> None:
        self._may_run.set()

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    async def stop(self) -> None:
        self._stopping = True
        self._may_run.set()
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    async def _run_once(self) -> None:
        self.starts += 1
        self._process = process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "tests.fault_run.service_process"),
            env=os.environ | self._environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=2**20,
        )
        assert process.stdout is not None
        try:
            while line := await process.stdout.readline():
                self._read(line)
        finally:
            self.url = None
            if process.returncode is None:
                process.kill()
            await process.wait()

    def _read(self, line: bytes) -> None:
        self.lines.append(line.decode(errors="replace").rstrip())
        if line.startswith(_READY):
            self.url = line.removeprefix(_READY).split()[0].decode()


@dataclass
class Deployment:
    """All parts of a run. The service reaches the servers through proxies only."""

    servers: Servers
    database_url: str
    """Of the database, without a proxy."""
    small_disk: Path | None
    """The file system of the database's tables; None if this machine can't mount one."""
    sandbox: Sandbox
    instances: list[Instance] = field(default_factory=list)

    @property
    def database(self) -> Database:
        return self.servers.database

    @property
    def broker(self) -> Broker:
        return self.servers.broker

    @property
    def links(self) -> list[TcpProxy]:
        return [link for one in self.instances for link in (one.database, one.broker)]

    @asynccontextmanager
    async def connection(self, tenant: str | None = None) -> AsyncIterator[asyncpg.Connection]:
        """Connect to the database, in the schema of a tenant."""
        connection = await asyncpg.connect(self.database_url, timeout=10)
        try:
            if tenant is not None:
                await connection.execute(f"set search_path to order_{tenant}")
            yield connection
        finally:
            await connection.close()

    async def until_ready(self) -> None:
        await eventually(
            lambda: all(one.url for one in self.instances), "ready", seconds=START_SECONDS
        )


def may_mount() -> bool:
    """True if this process may mount a file system."""
    if os.geteuid() != 0:
        return False
    with tempfile.TemporaryDirectory() as folder:
        if _mount(Path(folder), "size=1m").returncode != 0:
            return False
        _unmount(Path(folder))
    return True


@asynccontextmanager
async def running_deployment(plan: Plan, **settings: Any) -> AsyncIterator[Deployment]:
    """Start everything for a run, and wait until all instances are ready."""
    async with AsyncExitStack() as stack:
        disk = stack.enter_context(_small_disk())
        servers = await stack.enter_async_context(
            running_servers(durable=False, machine=ThisMachine(environment={}))
        )
        database_url = await _create_database(servers.database_url, disk)
        sandbox = await stack.enter_async_context(running_sandbox(_options(plan, servers)))
        deployment = Deployment(servers, database_url, disk, sandbox)
        for number in range(plan.instances):
            database = await stack.enter_async_context(tcp_proxy(database_url))
            broker = await stack.enter_async_context(tcp_proxy(servers.amqp_url))
            environment = _environment(sandbox, number, database, broker, _sizes(plan) | settings)
            deployment.instances.append(Instance(number, environment, database, broker))
        running = [asyncio.create_task(one.run()) for one in deployment.instances]
        stack.push_async_callback(_stop, deployment.instances, running)
        await deployment.until_ready()
        yield deployment


async def _stop(instances: list[Instance], running: list[asyncio.Task[None]]) -> None:
    for instance in instances:
        await instance.stop()
    await asyncio.gather(*running)


def _options(plan: Plan, servers: Servers) -> SandboxOptions:
    return SandboxOptions(
        archive=None,
        amqp_url=servers.amqp_url,
        vhost=VHOSTS[0],
        instance_vhost=VHOSTS[1],
        tenants=TENANTS,
        synthetic=[
            SyntheticDataset(name=order.dataset, products=order.files, size=FILE_BYTES)
            for order in plan.orders
        ],
        faults=Faults(nearline_seconds=RESTORE_SECONDS),
    )


def _sizes(plan: Plan) -> dict[str, float]:
    """Return the settings that cut the largest order into three pages and five sub-orders."""
    files = max(order.files for order in plan.orders)
    return {
        "batch_size": -(-files // 3),
        "files_bucket_size_mb": -(-files // 5) * FILE_BYTES / MEBIBYTE,
    }


def _environment(
    sandbox: Sandbox,
    number: int,
    database: TcpProxy,
    broker: TcpProxy,
    settings: dict[str, Any],
) -> dict[str, str]:
    values = {
        **sandbox.urls,
        "database_url": database.url,
        "database_pool_size": 8,
        "amqp_url": broker.url,
        "amqp_microservice_instance_identifier": f"instance-{number}",
        "jwt_key_hs512": DEVELOPMENT_KEY,
        "http_host": "127.0.0.1",
        "http_port": 0,
        "tenants": ",".join(TENANTS),
        "external_allowed_networks": "127.0.0.0/8",
        "file_url_folders": sandbox.executions.folder,
        "max_storage_files_jobs_per_user": SLOTS,
        "storage_reask_minutes": 0.2,
        **settings,
    }
    if values.get("queues") == MIXED:
        values["queues"] = ("compatible", "quorum")[number % 2]
    clock = CLOCK_SECONDS[number % len(CLOCK_SECONDS)]
    return {f"RS_ORDER_{name.upper()}": str(value) for name, value in values.items()} | {
        CLOCK_VARIABLE: str(clock)
    }


async def _create_database(server_url: str, disk: Path | None) -> str:
    """Create the database, on the small disk if there is one, and return its URL.

    Commits are synchronous: unlike other tests, this one kills PostgreSQL.
    """
    connection = await asyncpg.connect(server_url)
    try:
        await connection.execute("alter role current_user set synchronous_commit = on")
        tablespace = ""
        if disk is not None:
            await connection.execute(f"create tablespace small location '{disk}/tables'")
            tablespace = " tablespace small"
        await connection.execute(f"create database {DATABASE}{tablespace}")
    finally:
        await connection.close()
    return urlunsplit(urlsplit(server_url)._replace(path=f"/{DATABASE}"))


@contextmanager
def _small_disk() -> Iterator[Path | None]:
    """Mount a small file system for the tables, if this process may."""
    if not may_mount():
        yield None
        return
    account = pwd.getpwnam(unprivileged_account("postgres") or "root")
    folder = Path(tempfile.mkdtemp(prefix="rs-order-disk-"))
    options = f"size={SMALL_DISK_BYTES},mode=755,uid={account.pw_uid},gid={account.pw_gid}"
    _mount(folder, options).check_returncode()
    try:
        tables = folder / "tables"
        tables.mkdir(mode=0o700)
        os.chown(tables, account.pw_uid, account.pw_gid)
        yield folder
    finally:
        _unmount(folder)
        folder.rmdir()


def _mount(folder: Path, options: str) -> subprocess.CompletedProcess[bytes]:
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True, check=False)  # noqa: S603 - fixed programs


def _unmount(folder: Path) -> None:
    command = ["umount", str(folder)]
    subprocess.run(command, capture_output=True, check=True)  # noqa: S603 - fixed programs
