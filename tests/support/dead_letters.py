"""Dead letters as an instance keeps them: index, watcher, relay and the steps of runs, without the rest."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

import aio_pika
from aio_pika.abc import AbstractConnection

from rs_order.app.clock import SystemClock
from rs_order.app.dead_letters import dead_letter_services
from rs_order.broker.batch_consumer import BatchConsumer
from rs_order.broker.connection import Session, SupervisedConnection
from rs_order.broker.dead_letter_watch import DeadLetterWatch
from rs_order.broker.delivery import Delivery, Done, Outcome
from rs_order.broker.publications import Publications
from rs_order.broker.publishing import Publisher
from rs_order.broker.relay import Relay
from rs_order.broker.topology import Elements, Topology, Vhost
from rs_order.consumers.batches import read_body
from rs_order.core.steps import read_step
from rs_order.dead_letters.acts import Handled
from rs_order.dead_letters.routes import DeadLetterServices
from rs_order.dead_letters.runs import LetterRunStep
from rs_order.domain.dead_letters import (
    ANY_DEAD_LETTER,
    DeadLetterFilter,
    LetterRun,
    Operator,
    RunState,
    StoredDeadLetter,
)
from rs_order.domain.identity import INSTANCE
from rs_order.store.dead_letters import DeadLetterIndex, DeadLetterStore
from rs_order.store.outbox import Outbox
from rs_order.store.pool import Pool
from tests.support.polling import eventually
from tests.support.servers import FreshBroker

OPERATOR = Operator("jane", "cli")


@dataclass
class DeadLetterHarness:
    """The parts of an instance that dead letters need."""

    services: DeadLetterServices
    index: DeadLetterIndex
    watches: dict[Vhost, DeadLetterWatch]
    connections: Mapping[Vhost, AbstractConnection]
    store: DeadLetterStore

    async def check(self) -> None:
        """Let the watcher compare all queues with the index once."""
        for vhost, watch in self.watches.items():
            await watch.check(self.connections[vhost])

    async def list(
        self, wanted: DeadLetterFilter = ANY_DEAD_LETTER, limit: int = 1000
    ) -> tuple[StoredDeadLetter, ...]:
        """Return the open dead letters after a check of the watcher."""
        await self.check()
        return tuple((await self.services.acts.list(wanted, OPERATOR, limit)).letters)

    async def replay(self, *ids: str) -> Handled:
        """Replay dead letters, wait until the relay has published them, and let the watcher delete them."""
        handled = await self.services.acts.replay(ids, OPERATOR)
        await self.until_published(handled)
        await self.check()
        return handled

    async def until_published(self, handled: Handled) -> None:
        async def published() -> bool:
            return not await self.services.acts.waiting(handled.messages)

        await eventually(published, "replayed messages published")

    async def until_ended(self, run: LetterRun) -> LetterRun:
        async def ended() -> LetterRun | None:
            found = await self.services.runs.find(run.id, OPERATOR)
            return found if found.state is not RunState.RUNNING else None

        found: LetterRun = await eventually(ended, "the end of the run")
        return found


@asynccontextmanager
async def running_dead_letters(
    broker: FreshBroker, pool: Pool, names: Topology
) -> AsyncIterator[DeadLetterHarness]:
    """Run relay and step consumer on queues that exist; a test calls the watcher itself."""
    clock = SystemClock()
    vhosts = {Vhost.MULTITENANT: broker.vhost, Vhost.INSTANCE: broker.instance_vhost}
    publishers = {vhost: Publisher() for vhost in Vhost}
    relay = Relay(Outbox(pool, clock), _publications(names), publishers)
    store, index = DeadLetterStore(pool, relay.notify), DeadLetterIndex(pool, clock)
    services = dead_letter_services(store, clock, names)
    sessions: dict[Vhost, list[Session]] = {vhost: [one] for vhost, one in publishers.items()}
    sessions[Vhost.MULTITENANT].append(_step_consumer(names, services))
    supervised = [
        SupervisedConnection(broker.url, name, Elements((), (), ()), sessions[vhost])
        for vhost, name in vhosts.items()
    ]
    watches = {
        vhost: DeadLetterWatch(
            broker.url, vhost, name, partial(names.dead_letter_queues, vhost), index
        )
        for vhost, name in vhosts.items()
    }
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        connections = {
            vhost: await stack.enter_async_context(await aio_pika.connect(f"{broker.url}/{name}"))
            for vhost, name in vhosts.items()
        }
        for connection in supervised:
            tasks.create_task(connection.run())
        tasks.create_task(relay.run())
        yield DeadLetterHarness(services, index, watches, connections, store)
        await relay.stop()
        for connection in supervised:
            await connection.stop()


def _publications(names: Topology) -> Publications:
    return Publications(
        step_queue=names.steps.name,
        remote_step_queue=names.remote_steps.name,
        remote_steps=(),
        request_queue=names.order_requests,
        event_exchange=names.events.name,
    )


def _step_consumer(names: Topology, services: DeadLetterServices) -> BatchConsumer:
    async def handle(deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        for delivery in deliveries:
            step = read_step(LetterRunStep, read_body(delivery.body))
            await services.runs.handle(INSTANCE, step)
        return [Done() for _ in deliveries]

    return BatchConsumer(names.steps, handle, unavailable=(), size=1)
