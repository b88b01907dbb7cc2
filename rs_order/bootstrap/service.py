"""A process of the service, from its start to its orderly end."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from enum import StrEnum
from functools import partial

import structlog
from prometheus_client import REGISTRY

from rs_order.adapters.amqp.connection import SupervisedConnection
from rs_order.adapters.amqp.messages import Messages
from rs_order.adapters.amqp.publisher import Publisher
from rs_order.adapters.amqp.relay import Relay
from rs_order.adapters.amqp.topology import Topology, Vhost
from rs_order.adapters.health import ServiceHealth
from rs_order.adapters.order_tokens import JwtOrderTokens, NoOrderTokens
from rs_order.adapters.postgres.downloads import PostgresDownloads
from rs_order.adapters.postgres.file_views import PostgresFileViews
from rs_order.adapters.postgres.outbox import PostgresOutbox
from rs_order.adapters.postgres.views import PostgresOrderViews
from rs_order.adapters.regards.http import CallLimits, new_client
from rs_order.adapters.regards.sources import RegardsFileSources
from rs_order.application.download import Metalinks
from rs_order.bootstrap.application import Application
from rs_order.bootstrap.broker import (
    connection_to,
    consumers,
    names_on_the_broker,
    provision_vhosts,
)
from rs_order.bootstrap.remote import Remote
from rs_order.bootstrap.store import open_store
from rs_order.entrypoints.rest.app import create_app
from rs_order.entrypoints.rest.roles import DefaultRoles
from rs_order.entrypoints.rest.server import run_rest
from rs_order.entrypoints.rest.services import RestServices, RestSettings
from rs_order.entrypoints.rest.tokens import TokenVerifier
from rs_order.ports.clock import Clock
from rs_order.ports.order_tokens import OrderTokens
from rs_order.settings import PREFIX, Settings, SettingsError

log = structlog.get_logger(__name__)


class Role(StrEnum):
    """Which part of the work a process takes."""

    ALL = "all"
    WORKER = "worker"
    """Consumers and relay; of REST only health and metrics."""
    API = "api"
    """REST, and the relay for what it commits itself."""


def _token_verifier(settings: Settings) -> TokenVerifier:
    for algorithm, key in settings.token_keys.items():
        try:
            TokenVerifier({algorithm: key})
        except ValueError as error:
            raise SettingsError(f"{PREFIX}JWT_KEY_{algorithm}: {error}") from error
    return TokenVerifier(settings.token_keys)


def _order_tokens(settings: Settings, clock: Clock) -> OrderTokens:
    if settings.order_secret is None:
        return NoOrderTokens()
    return JwtOrderTokens(settings.order_secret.get_secret_value(), clock)


async def serve(
    settings: Settings,
    role: Role,
    stop: asyncio.Event,
    *,
    on_ready: Callable[[int], None] = lambda _: None,
    clock: Clock | None = None,
) -> None:
    """Serve until ``stop`` is set, then finish what is held and return.

    Args:
        settings: everything an operator can set.
        role: which part of the work to take.
        stop: set by whoever owns the signals.
        on_ready: told the port of the REST side once it answers.
        clock: another than the machine's, for tests.
    """
    tokens = _token_verifier(settings)
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_store(settings, clock))
        client = await stack.enter_async_context(new_client())
        files = await stack.enter_async_context(new_client(CallLimits(connections=None)))
        remote = Remote(settings, client, files)
        external = remote.external_files
        stack.push_async_callback(external.aclose)
        names = names_on_the_broker(settings)
        await provision_vhosts(settings)

        outbox = PostgresOutbox(store.pool, store.clock)
        publishers = {vhost: Publisher() for vhost in Vhost}
        relay = Relay(outbox, _messages(settings, names), publishers)
        application = Application(settings, store, remote, relay.nudge)
        for tenant in store.tenants.names():
            await application.schedule.wake(tenant)

        works = role is not Role.API
        consuming = consumers(settings, names, application, store.tenants) if works else {}
        incoming = [
            connection_to(settings, vhost, names.elements(vhost), consuming[vhost])
            for vhost in consuming
        ]
        outgoing = [
            connection_to(
                settings, vhost, names.elements(vhost).exchanges_only, [publishers[vhost]]
            )
            for vhost in Vhost
        ]
        health = ServiceHealth(
            store.pool,
            outbox,
            [*incoming, *outgoing],
            [consumer for some in consuming.values() for consumer in some],
        )
        downloads = PostgresDownloads(store.pool, application.settle_downloads.handle)
        order_tokens = _order_tokens(settings, store.clock)
        services = RestServices(
            tenants=store.tenants,
            create_order=application.create_order,
            apply_order=application.apply_order,
            orders=PostgresOrderViews(store.pool),
            files=PostgresFileViews(store.pool),
            users=application.users,
            links=application.links,
            actions=application.actions,
            downloads=downloads,
            sources=RegardsFileSources(remote.stored_files, external),
            metalinks=Metalinks(downloads, order_tokens, application.links),
            order_tokens=order_tokens,
            tokens=tokens,
            roles=DefaultRoles(),
            health=health,
            metrics=REGISTRY,
            clock=store.clock,
            settings=RestSettings(token_in_query=settings.token_in_query),
        )
        rest = partial(
            run_rest,
            create_app(services, only_actuator=role is Role.WORKER),
            settings.http_host,
            settings.http_port,
            on_ready=on_ready,
        )
        await _run_until(stop, incoming, relay, outgoing, rest)


def _messages(settings: Settings, names: Topology) -> Messages:
    return Messages(
        step_queue=names.steps.name,
        request_queue=names.order_requests,
        namespace=settings.amqp_management_namespace,
        instance_name=settings.instance_name,
    )


async def _run_until(
    stop: asyncio.Event,
    incoming: Sequence[SupervisedConnection],
    relay: Relay,
    outgoing: Sequence[SupervisedConnection],
    rest: Callable[..., Coroutine[None, None, None]],
) -> None:
    """Run the parts side by side, and stop them in the order in which work flows through them."""
    rest_stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for connection in (*incoming, *outgoing):
            tasks.create_task(connection.run())
        tasks.create_task(relay.run())
        tasks.create_task(rest(stop=rest_stop))
        await stop.wait()
        log.info("service-stopping")
        rest_stop.set()
        await asyncio.gather(*(connection.stop() for connection in incoming))
        await relay.stop()
        await asyncio.gather(*(connection.stop() for connection in outgoing))
    log.info("service-stopped")
