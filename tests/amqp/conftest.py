"""Fixtures of the tests of the broker package."""

from collections.abc import AsyncIterator

import pytest

from rs_order.app.clock import SystemClock
from rs_order.domain.ids import Tenant
from rs_order.store.outbox import Outbox, OutgoingMessage
from rs_order.store.pool import Pool
from rs_order.store.unit_of_work import Store
from tests.amqp.outboxes import MemoryOutbox, ObservedOutbox
from tests.support.stores import MigratedDatabases


class StoredOutbox(Outbox):
    """The real outbox, to which tests can add rows as a unit of work does."""

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool, SystemClock())
        self._store = Store(pool, lambda _: None)

    async def add(self, *messages: OutgoingMessage) -> None:
        await self._store.send(messages)


@pytest.fixture(params=["memory", "postgres"])
async def outbox(
    request: pytest.FixtureRequest, migrated_databases: MigratedDatabases
) -> AsyncIterator[ObservedOutbox]:
    """The outbox that the relay works on: each test runs on the fake and on the real one."""
    if request.param == "memory":
        yield ObservedOutbox(MemoryOutbox())
        return
    async with migrated_databases.pool(Tenant("project1")) as (pool, _):
        yield ObservedOutbox(StoredOutbox(pool))
