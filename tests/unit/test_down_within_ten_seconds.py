"""Health is DOWN, and messages are given back, within ten seconds of a fault (issue 11, section 3).

The clock of the event loop is simulated, so that the real limits are tested without waiting. A broker
connection that is half open, and an event loop that is blocked, are tested in tests/amqp/test_connection.py;
the watchdog of the loop in tests/unit/test_loop_watchdog.py.
"""

import asyncio
import selectors
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import asyncpg
import pytest

from rs_order.app.health import RecentHealth, ServiceHealth
from rs_order.contracts.administration import HealthStatus
from rs_order.store.outbox import Outbox, OutboxLag
from rs_order.store.pool import Pool
from rs_order.store.tenants import Maintenance
from rs_order.store.watch import DatabaseWatch

LIMIT = 10.0
ASKED_EVERY = 0.5


class SimulatedTime(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next due time instead of waiting for it."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(_NoWait(self))

    def time(self) -> float:
        return self.now


class _NoWait(selectors.DefaultSelector):
    def __init__(self, loop: SimulatedTime) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        events = super().select(0)
        if not events and timeout:
            self._loop.now += timeout
        return events


class Server:
    """A database that works, fails or doesn't answer. It is its only connection, its pool, and the stores."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.works = asyncio.Event()
        self.works.set()
        self.disk_is_full = False

    async def connect(self, *_: object, **__: object) -> "Server":
        await self._answer()
        return self

    async def fetch(self, *_: Any) -> list[dict[str, Any]]:
        await self._answer()
        return [{"only_reads": False, "ended": []}]

    async def execute(self, _: str) -> None:
        if isinstance(self.error, asyncpg.DiskFullError):
            raise self.error

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        yield

    async def lag(self) -> OutboxLag:
        await self._answer()
        return OutboxLag(rows=0, oldest_seconds=0)

    async def all(self) -> dict[str, Any]:
        await self._answer()
        return {}

    async def expire_connections(self) -> None:
        pass

    def is_closed(self) -> bool:
        return False

    def terminate(self) -> None:
        pass

    async def _answer(self) -> None:
        await self.works.wait()
        if self.error is not None and not isinstance(self.error, asyncpg.DiskFullError):
            raise self.error


def hang(server: Server) -> None:
    server.works.clear()


def refuse(server: Server) -> None:
    server.error = ConnectionRefusedError()


def read_only(server: Server) -> None:
    server.error = asyncpg.ReadOnlySQLTransactionError("read only")


def fill_disk(server: Server) -> None:
    """Fill the disk. A unit of work has met the error."""
    server.error = asyncpg.DiskFullError("full")
    server.disk_is_full = True


def repair(server: Server) -> None:
    server.error = None
    server.works.set()


@pytest.mark.parametrize("seconds_after_a_check", [0.1, 1.5, 2.9])
@pytest.mark.parametrize("fail", [hang, refuse, read_only, fill_disk])
def test_a_database_that_cannot_be_used(
    fail: Any, seconds_after_a_check: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whenever it begins, health and the consumers notice it, and its end."""
    with asyncio.Runner(loop_factory=SimulatedTime) as runner:
        steps = _fails_and_is_repaired(fail, seconds_after_a_check, monkeypatch)
        runner.run(asyncio.wait_for(steps, 10 * LIMIT))


async def _fails_and_is_repaired(
    fail: Any, seconds_after_a_check: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, server, lost, back = (
        asyncio.get_running_loop(),
        Server(),
        asyncio.Event(),
        asyncio.Event(),
    )
    monkeypatch.setattr(asyncpg, "connect", server.connect)
    watch = DatabaseWatch("", cast("Pool", server), lost=lost.set, back=back.set)
    health = RecentHealth(
        ServiceHealth(
            lambda: watch.error,
            cast("Outbox", server),
            [],
            list,
            maintenance=cast("Maintenance", server),
        ),
        now=loop.time,
    )
    watching = asyncio.create_task(watch.run())
    await _until(health, HealthStatus.UP)
    await asyncio.sleep(seconds_after_a_check)

    fail(server)
    began = loop.time()
    await asyncio.gather(_until(health, HealthStatus.DOWN), lost.wait())
    assert loop.time() - began <= LIMIT

    repair(server)
    began = loop.time()
    await asyncio.gather(_until(health, HealthStatus.UP), back.wait())
    assert loop.time() - began <= LIMIT
    watching.cancel()


async def _until(health: RecentHealth, status: HealthStatus) -> None:
    """Ask again and again, as a probe does, until the database has a status."""
    while (await health.check())["db"].status is not status:  # noqa: ASYNC110 - a probe has no event
        await asyncio.sleep(ASKED_EVERY)
