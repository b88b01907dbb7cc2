"""Starts the parts of a process in order, runs them, and stops them in order."""

import asyncio
import ctypes
import gc
from collections.abc import Callable, Coroutine, Sequence
from contextlib import aclosing
from enum import StrEnum
from functools import partial
from typing import Final

import structlog
from fastapi import FastAPI

from rs_order.app.application import Application, compose_application
from rs_order.app.broker import (
    Incoming,
    Outgoing,
    build_incoming,
    build_outgoing,
    input_queue_session,
    provision_vhosts,
)
from rs_order.app.database import Database, open_database
from rs_order.app.events import EventParts
from rs_order.app.health import RecentHealth, ServiceHealth
from rs_order.app.heartbeat import Heartbeat, identity
from rs_order.app.mails import MailRules
from rs_order.app.metric_sources import (
    current_values,
    database_sources,
    health_source,
    queues_source,
)
from rs_order.app.metrics import MetricsSampler, Source, measure_event_loop
from rs_order.app.platform_clients import OpenClients, open_platform_clients
from rs_order.app.rest import create_app, rest_services
from rs_order.app.shared_parts import (
    SharedParts,
    broker_topology,
    copied_to_notifier,
    token_verifier,
)
from rs_order.app.webhooks import WebhookParts, secret_seal
from rs_order.broker.connection import SupervisedConnection
from rs_order.consumers.local_steps import LocalSteps
from rs_order.downloads.readings import Readings
from rs_order.ports import Clock
from rs_order.regards.http import CALLS
from rs_order.regards.role_cache import RoleCache
from rs_order.rest.actuator import Metrics
from rs_order.rest.connection_limits import ConnectionLimits
from rs_order.rest.security import resource_mappings
from rs_order.rest.server import run_rest
from rs_order.settings import Settings
from rs_order.store.dead_letters import DeadLetterIndex
from rs_order.store.instances import Instances
from rs_order.store.outbox import LeasedRows, Outbox
from rs_order.store.pool import Pool, open_pool
from rs_order.store.tenants import DataSource, Maintenance
from rs_order.store.watch import DatabaseWatch

COLLECTION_THRESHOLDS: Final = (5_000, 20, 20)
"""Of the garbage collector, instead of 700, 10 and 10: it took a fifth of the CPU time under load."""
LARGE_BLOCK: Final = 2 * 2**20
"""Bytes."""
_M_MMAP_THRESHOLD: Final = -3
"""From ``malloc.h`` of glibc."""

log = structlog.get_logger(__name__)


class Role(StrEnum):
    """The part of the work that a process does."""

    ALL = "all"
    WORKER = "worker"
    """Consumers and relay. REST serves only health and metrics."""
    API = "api"
    """REST, the relay for its own messages, and the events that every instance must receive."""


async def serve(
    settings: Settings,
    role: Role,
    stop: asyncio.Event,
    *,
    on_ready: Callable[[int], None] = lambda _: None,
    clock: Clock | None = None,
    open_clients: OpenClients = open_platform_clients,
) -> None:
    """Serve until ``stop`` is set, then finish the work in progress and return.

    Args:
        settings: the settings of the deployment.
        role: the part of the work to do.
        stop: ends the process when it is set.
        on_ready: called with the port as soon as REST answers.
        clock: a clock for tests. The default is the system clock.
        open_clients: opens the clients of the platform's services; benchmarks open stubs.
    """
    return_large_blocks()
    tokens = token_verifier(settings)
    MailRules.of(settings)
    copied_to_notifier(settings)
    secret_seal(settings)
    async with (
        open_database(settings, clock) as database,
        await _open_monitoring_pool(settings) as monitoring_pool,
        open_clients(settings, database.tenants, resource_mappings()) as clients,
        aclosing(Readings(clients.file_sources)) as readings,
    ):
        await provision_vhosts(settings)
        names, outbox = broker_topology(settings), Outbox(database.pool, database.clock)
        index, is_worker = DeadLetterIndex(database.pool, database.clock), role is not Role.API
        inputs = input_queue_session(settings, names)
        outgoing = build_outgoing(settings, names, outbox, inputs, index, is_worker=is_worker)
        notify = outgoing.relay.notify
        rows = LeasedRows(database.pool, notify)
        local_steps = LocalSteps(database.clock, database.tenants, rows)
        shared = SharedParts.of(settings, database, clients, notify, leases=local_steps)
        application = compose_application(shared, stopping=stop)
        await _catch_up(application)
        if clients.roles is not None:
            database.tenants.watch(clients.roles.tenants_changed)
        incoming = build_incoming(settings, names, inputs, application, index, is_worker=is_worker)
        watch = _database_watch(settings, database, incoming)
        health = _health(
            watch, monitoring_pool, database.clock, incoming, outgoing, roles=clients.roles
        )
        queues = queues_source(outgoing.depths, names.all_dead_letter_queues)
        sources = [health_source(health), queues, *database_sources(shared, monitoring_pool)]
        metrics = _metrics(sources, incoming, database)
        webhooks = WebhookParts.of(shared, database.pool)
        me = identity(role.value, database.clock)
        heartbeat = Heartbeat(me, Instances(monitoring_pool), health, CALLS.services)
        services = rest_services(
            application,
            database.pool,
            tokens,
            health=health,
            metrics=metrics,
            readings=readings,
            webhooks=webhooks.manage,
            me=me,
        )
        app = create_app(services, only_actuator=role is Role.WORKER)
        rest = partial(_run_rest, app, settings, on_ready)
        watches = [
            watch.run,
            measure_event_loop,
            database.tenants.follow,
            heartbeat.run,
            shared.throughput.run,
        ]
        local = partial(local_steps.run, shared.steps) if is_worker else None
        dispatcher = webhooks.dispatcher if is_worker else None
        if dispatcher is not None:
            shared.events.numbering.watch(dispatcher.numbered)
        await _run_until(
            stop,
            incoming.connections,
            outgoing,
            rest,
            watches,
            events=shared.events,
            local=local,
            dispatch=None if dispatcher is None else dispatcher.run,
            roles=clients.roles,
        )
        await shared.throughput.write()


def _metrics(sources: Sequence[Source], incoming: Incoming, database: Database) -> Metrics:
    current = current_values(lambda: incoming.shared, DataSource(database.pool), database.clock)
    return Metrics(refresh=MetricsSampler(sources, current).refresh)


def _database_watch(settings: Settings, database: Database, incoming: Incoming) -> DatabaseWatch:
    return DatabaseWatch(
        settings.database_url.get_secret_value(),
        database.pool,
        lost=incoming.pause,
        back=incoming.resume,
    )


async def _run_rest(
    app: FastAPI, settings: Settings, on_ready: Callable[[int], None], *, stop: asyncio.Event
) -> None:
    await run_rest(
        app,
        settings.http_host,
        settings.http_port,
        stop=stop,
        on_ready=on_ready,
        limits=connection_limits(settings),
    )


def connection_limits(settings: Settings) -> ConnectionLimits:
    """Return the limits that the settings give for each HTTP connection."""
    return ConnectionLimits(
        head_seconds=settings.http_head_seconds,
        body_seconds=settings.http_body_seconds,
        idle_seconds=settings.http_idle_seconds,
        unread_seconds=settings.http_unread_seconds,
        connections=settings.http_max_connections,
        connections_per_address=settings.http_max_connections_per_address,
        proxies=settings.trusted_networks,
    )


async def _open_monitoring_pool(settings: Settings) -> Pool:
    """Open connections of their own for health and metrics, which must not wait for the work.

    The second one is opened only while a sample of the metrics takes long.
    """
    return await open_pool(
        settings.database_url.get_secret_value(),
        size=2,
        statement_cache=settings.database_statement_cache,
    )


def _health(
    watch: DatabaseWatch,
    pool: Pool,
    clock: Clock,
    incoming: Incoming,
    outgoing: Outgoing,
    *,
    roles: RoleCache | None,
) -> RecentHealth:
    return RecentHealth(
        ServiceHealth(
            lambda: watch.error,
            Outbox(pool, clock),
            [*incoming.connections, *outgoing.connections],
            lambda: incoming.consumers,
            maintenance=Maintenance(pool),
            roles=roles,
        )
    )


def collect_garbage_rarely() -> None:
    """Spend less time on garbage collections, which hold the event loop.

    What the start created lives as long as the process, so collections leave it out. What an order needs is
    mostly freed without a collection, so they start after more allocations than by default.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTION_THRESHOLDS)


def return_large_blocks() -> None:
    """Let glibc grow large blocks without copies, and return them to the system as soon as they are free.

    By default, glibc keeps the memory of a freed block for later blocks of up to its size. A page of the
    catalog grows block by block, so it would leave memory behind that nothing uses. Other C libraries have no
    such setting.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, LARGE_BLOCK)


async def _catch_up(application: Application) -> None:
    """Resume the tenants, and look for tenants whose events were published while no process ran."""
    await application.tenants.resume.all()
    if application.shared.settings.tenants_from_platform:
        await application.tenants.connect.plan_search()


async def _run_until(
    stop: asyncio.Event,
    incoming: Sequence[SupervisedConnection],
    outgoing: Outgoing,
    rest: Callable[..., Coroutine[None, None, None]],
    watchers: Sequence[Callable[[], Coroutine[None, None, None]]],
    *,
    events: EventParts,
    local: Callable[[asyncio.Event], Coroutine[None, None, None]] | None,
    dispatch: Callable[[asyncio.Event], Coroutine[None, None, None]] | None,
    roles: RoleCache | None,
) -> None:
    """Run the parts concurrently. Stop first those that receive work, last those that publish results.

    The watchers have no work to finish, so they are cancelled.
    """
    rest_stop, local_stop = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for connection in (*incoming, *outgoing.connections):
            tasks.create_task(connection.run())
        tasks.create_task(outgoing.relay.run())
        tasks.create_task(events.numbering.run())
        watching = [tasks.create_task(watcher()) for watcher in watchers]
        local_steps = tasks.create_task(local(local_stop)) if local else None
        dispatching = tasks.create_task(dispatch(local_stop)) if dispatch else None
        if roles is not None:
            tasks.create_task(roles.run())
        tasks.create_task(rest(stop=rest_stop))
        await stop.wait()
        log.info("service-stopping")
        events.feed.close()
        rest_stop.set()
        for watcher in watching:
            watcher.cancel()
        await asyncio.gather(*(connection.stop() for connection in incoming))
        local_stop.set()
        if local_steps is not None:
            await local_steps
        if dispatching is not None:
            await dispatching
        if roles is not None:
            await roles.stop()
        await events.numbering.stop()
        await outgoing.relay.stop()
        await asyncio.gather(*(connection.stop() for connection in outgoing.connections))
    log.info("service-stopped")
