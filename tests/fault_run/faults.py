"""The faults of a run. Each has a beginning and an end, and leaves nothing behind."""

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

import aio_pika
import asyncpg
import httpx
from aiormq.abc import FieldTable

from rs_order.demo.servers.lifecycle import VHOSTS
from rs_order.demo.servers.programs import find_rabbitmq, run
from rs_order.sandbox.faults import Outage, Service
from rs_order.sandbox.process_executions import Executions
from tests.acceptance.peer import RESPONSES
from tests.fault_run.deployment import Deployment, Instance
from tests.support.polling import eventually
from tests.support.proxy import TcpProxy

FULL_QUEUE: Final = "fault-run.full"
_CHUNK = bytes(64 * 1024)


class Fault(Protocol):
    async def begin(self) -> None: ...

    async def end(self) -> None: ...


class KilledInstance:
    """An instance gets SIGKILL. It is started again at the end."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    async def begin(self) -> None:
        self._instance.kill()

    async def end(self) -> None:
        self._instance.allow()


class FrozenInstance:
    """An instance gets SIGSTOP, and SIGCONT at the end. Its connections stay open."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    async def begin(self) -> None:
        self._instance.freeze()

    async def end(self) -> None:
        self._instance.thaw()


class StoppedServer:
    """A server ends in good order, or by SIGKILL. It is started again at the end."""

    def __init__(self, deployment: Deployment, name: str, *, killed: bool) -> None:
        self._deployment = deployment
        self._server = getattr(deployment, name)
        self._name = name
        self._killed = killed

    async def begin(self) -> None:
        if not self._killed:
            await self._server.stop()
            return
        processes = await (
            _broker_process(self._deployment)
            if self._name == "broker"
            else _database_process(self._deployment)
        )
        await _kill(processes)

    async def end(self) -> None:
        await self._server.start()


class KilledSession:
    """A session of PostgreSQL gets SIGKILL, so the server ends all sessions and recovers from its log."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment

    async def begin(self) -> None:
        with suppress(asyncpg.PostgresError, OSError):
            async with self._deployment.connection() as connection:
                os.kill(connection.get_server_pid(), signal.SIGKILL)
                await connection.execute("select 1")

    async def end(self) -> None:
        await until_the_database_answers(self._deployment)


class FullDatabaseDisk:
    """The file system of PostgreSQL's tables is full."""

    def __init__(self, deployment: Deployment) -> None:
        assert deployment.small_disk is not None
        self._filler = deployment.small_disk / "filler"

    async def begin(self) -> None:
        with self._filler.open("wb", buffering=0) as filler, suppress(OSError):
            while filler.write(_CHUNK):
                pass

    async def end(self) -> None:
        self._filler.unlink()


class FullBrokerDisk:
    """RabbitMQ's alarm for a full disk blocks all publishers."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment

    async def begin(self) -> None:
        await self._set_limit("100000GB")

    async def end(self) -> None:
        await self._set_limit("1MB")

    async def _set_limit(self, limit: str) -> None:
        programs = await find_rabbitmq()
        (process,) = await _broker_process(self._deployment)
        environment = _environment_of(process)
        assert programs is not None
        result = await run(
            programs.folder / "rabbitmqctl",
            *("-q", "-n", environment["RABBITMQ_NODENAME"], "set_disk_free_limit", limit),
            environment=environment,
        )
        assert result.succeeded, result.output


class ReadOnlyDatabase:
    """PostgreSQL refuses to write, as a standby does."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment

    async def begin(self) -> None:
        await self._set("on")

    async def end(self) -> None:
        await self._set("off")

    async def _set(self, value: str) -> None:
        await until_the_database_answers(self._deployment)
        async with self._deployment.connection() as connection:
            await connection.execute(f"alter system set default_transaction_read_only = {value}")
            await connection.execute("select pg_reload_conf()")


class CutConnections:
    """Connections break, and new ones are refused until the end."""

    def __init__(self, *links: TcpProxy) -> None:
        self._links = links

    async def begin(self) -> None:
        for link in self._links:
            link.cut(refuse=True)

    async def end(self) -> None:
        for link in self._links:
            link.accept()


class FrozenConnections:
    """Freezes connections: they stay open, but nothing that one side sends arrives."""

    def __init__(self, link: TcpProxy, *, requests: bool) -> None:
        self._link = link
        self._requests = requests

    async def begin(self) -> None:
        self._link.pause(requests=self._requests, answers=not self._requests)

    async def end(self) -> None:
        self._link.resume()


class SlowConnections:
    """All data is late."""

    def __init__(self, link: TcpProxy, seconds: float = 0.05) -> None:
        self._link = link
        self._seconds = seconds

    async def begin(self) -> None:
        self._link.delay_seconds = self._seconds

    async def end(self) -> None:
        self._link.delay_seconds = 0.0


class FullQueue:
    """A peer's queue on the exchange of responses refuses messages."""

    def __init__(self, deployment: Deployment) -> None:
        self._url = f"{deployment.servers.amqp_url}/{VHOSTS[0]}"

    async def begin(self) -> None:
        async with await aio_pika.connect(self._url) as connection:
            channel = await connection.channel()
            arguments: FieldTable = {"x-max-length": 1, "x-overflow": "reject-publish"}
            queue = await channel.declare_queue(FULL_QUEUE, durable=True, arguments=arguments)
            await queue.bind(RESPONSES)

    async def end(self) -> None:
        async with await aio_pika.connect(self._url) as connection:
            channel = await connection.channel()
            await channel.queue_delete(FULL_QUEUE)


class ServiceOutage:
    """A service of the platform fails."""

    def __init__(self, deployment: Deployment, service: Service, outage: Outage) -> None:
        self._outages = deployment.sandbox.faults.outages
        self._service = service
        self._outage = outage

    async def begin(self) -> None:
        self._outages[self._service] = self._outage

    async def end(self) -> None:
        del self._outages[self._service]


class SandboxSetting:
    """A setting of the sandbox's faults has another value."""

    def __init__(self, deployment: Deployment, name: str, value: object) -> None:
        self._faults = deployment.sandbox.faults
        self._name = name
        self._value = value
        self._before: object = None

    async def begin(self) -> None:
        self._before = getattr(self._faults, self._name)
        setattr(self._faults, self._name, self._value)

    async def end(self) -> None:
        setattr(self._faults, self._name, self._before)


class SilentStorage(SandboxSetting):
    """rs-storage answers no request. At the end it answers late, or not before it is asked again."""

    def __init__(self, deployment: Deployment, *, late: bool) -> None:
        super().__init__(deployment, "silence", value=True)
        self._restores = deployment.sandbox.restores
        self._late = late

    async def end(self) -> None:
        await super().end()
        if self._late:
            self._restores.release()


class SilentProcessing(SandboxSetting):
    """rs-processing sends the results of the executions of this time at the end, in reverse order."""

    def __init__(self, deployment: Deployment) -> None:
        super().__init__(deployment, "processing_silence", value=True)
        self._executions: Executions = deployment.sandbox.executions
        self._earlier = 0

    async def begin(self) -> None:
        await super().begin()
        self._earlier = len(self._executions.requested)

    async def end(self) -> None:
        await super().end()
        for execution in reversed(self._executions.requested[self._earlier :]):
            self._executions.run_again(execution)


class OldEvents:
    """Events of storage and processing come a second time, much later and in reverse order."""

    def __init__(self, deployment: Deployment, most: int = 300) -> None:
        self._sandbox = deployment.sandbox
        self._most = most

    async def begin(self) -> None:
        """Wait for the end: the events of this time are sent again, too."""

    async def end(self) -> None:
        for sent in reversed(self._sandbox.events_since()[-self._most :]):
            self._sandbox.send(sent.event)


async def until_the_database_answers(deployment: Deployment) -> None:
    async def answers() -> bool:
        try:
            async with deployment.connection() as connection:
                await connection.execute("select 1")
        except (asyncpg.PostgresError, OSError):
            return False
        return True

    await eventually(answers, "the database answers")


async def _broker_process(deployment: Deployment) -> list[int]:
    """Return the processes of the broker. It names them only after the first statistics since its start."""

    async def processes() -> list[int]:
        nodes = await client.get(f"{deployment.broker.management_url}/api/nodes")
        return [int(node["os_pid"]) for node in nodes.raise_for_status().json() if "os_pid" in node]

    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        named: list[int] = await eventually(processes, "the broker names its process")
    return named


async def _database_process(deployment: Deployment) -> list[int]:
    """Return the server's first process, and all its children."""
    async with deployment.connection() as connection:
        folder = await connection.fetchval("show data_directory")
    return _with_children(int(_first_line(Path(folder, "postmaster.pid"))))


def _first_line(file: Path) -> str:
    return file.read_text(encoding="utf-8").splitlines()[0]


def _with_children(process: int) -> list[int]:
    children = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii")
    return [process, *map(int, children.split())]


async def _kill(processes: list[int]) -> None:
    """Kill a server's processes, and wait until none is left: a new server finds its memory free."""
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    await eventually(lambda: not any(map(_lives, processes)), "the server is dead")


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def _environment_of(process: int) -> dict[str, str]:
    entries = Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
    pairs = (entry.decode().partition("=") for entry in entries if entry)
    return {name: value for name, _, value in pairs}
