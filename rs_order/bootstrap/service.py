"""A process of the service, from its start to its orderly end."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from enum import StrEnum
from functools import partial

import structlog
from prometheus_client import REGISTRY

from rs_order.adapters.regards.role_cache import RoleCache
from rs_order.application.download import Metalinks
from rs_order.application.maintenance import SwitchMaintenance
from rs_order.application.step import StepQueue, step_names
from rs_order.bootstrap.application import Application, copied_to_notifier
from rs_order.bootstrap.broker import (
    connection_to,
    names_on_the_broker,
    provision_vhosts,
    rights_consumers,
    tenant_consumers,
    work_consumers,
)
from rs_order.bootstrap.database import open_database
from rs_order.bootstrap.health import ServiceHealth
from rs_order.bootstrap.mails import MailRules
from rs_order.bootstrap.platform_clients import open_platform_clients
from rs_order.bootstrap.tokens import token_verifier
from rs_order.broker.connection import SupervisedConnection
from rs_order.broker.publications import Publications
from rs_order.broker.publishing import Publisher
from rs_order.broker.relay import Relay
from rs_order.broker.topology import Topology, Vhost
from rs_order.entrypoints.rest.app import create_app
from rs_order.entrypoints.rest.resource_mappings import resource_mappings
from rs_order.entrypoints.rest.roles import DefaultRoles
from rs_order.entrypoints.rest.server import run_rest
from rs_order.entrypoints.rest.services import PlatformServices, RestServices, RestSettings
from rs_order.ports.clock import Clock
from rs_order.settings import Settings
from rs_order.store.downloads import StoredDownloads
from rs_order.store.file_views import FileViews
from rs_order.store.order_views import OrderViews
from rs_order.store.outbox import Outbox
from rs_order.store.pool import DataSource
from rs_order.store.tenants import Maintenance

log = structlog.get_logger(__name__)


class Role(StrEnum):
    """Which part of the work a process takes."""

    ALL = "all"
    WORKER = "worker"
    """Consumers and relay; of REST only health and metrics."""
    API = "api"
    """REST, the relay for what it commits itself, and the events that every instance must hear."""


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
    tokens = token_verifier(settings)
    MailRules.of(settings)
    copied_to_notifier(settings)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(open_database(settings, clock))
        clients = await stack.enter_async_context(
            open_platform_clients(settings, database.tenants, resource_mappings())
        )
        names = names_on_the_broker(settings)
        await provision_vhosts(settings)

        outbox = Outbox(database.pool, database.clock)
        publishers = {vhost: Publisher() for vhost in Vhost}
        relay = Relay(outbox, _messages(settings, names), publishers)
        application = Application(settings, database, clients, relay.nudge)
        for tenant in database.tenants.names():
            await application.wake.handle(tenant)
        if settings.tenants_from_platform:
            await application.connect.look()

        roles = clients.roles
        if roles is not None:
            database.tenants.watch(roles.tenants_changed)
        works = role is not Role.API
        working = work_consumers(settings, names, application, database.tenants) if works else []
        hearing = rights_consumers(names, roles, application, database.tenants)
        told = tenant_consumers(names, application, database.tenants, database.clock)
        incoming = [
            connection_to(
                settings,
                Vhost.MULTITENANT,
                names.multitenant if works else names.of_each_instance,
                [*working, *hearing],
            ),
            connection_to(settings, Vhost.INSTANCE, names.instance, told),
        ]
        outgoing = [
            connection_to(
                settings, vhost, names.elements(vhost).exchanges_only, [publishers[vhost]]
            )
            for vhost in Vhost
        ]
        maintenance = Maintenance(database.pool)
        health = ServiceHealth(
            database.pool,
            outbox,
            [*incoming, *outgoing],
            [*working, *hearing, *told],
            maintenance=maintenance,
            roles=roles,
        )
        downloads = StoredDownloads(database.pool)
        services = RestServices(
            tenants=database.tenants,
            create_order=application.create_order,
            apply_order=application.apply_order,
            orders=OrderViews(database.pool),
            files=FileViews(database.pool),
            users=application.users,
            links=application.links,
            actions=application.actions,
            downloads=downloads,
            settle_downloads=application.settle_downloads.handle,
            baskets=application.baskets,
            sources=clients.file_sources,
            metalinks=Metalinks(downloads, application.order_tokens, application.links),
            order_tokens=application.order_tokens,
            tokens=tokens,
            platform=PlatformServices(
                settings=application.settings,
                export_configuration=application.export_configuration,
                import_configuration=application.import_configuration,
                maintenance=SwitchMaintenance(maintenance, database.clock),
                data_source=DataSource(database.pool),
            ),
            roles=roles or DefaultRoles(),
            health=health,
            metrics=REGISTRY,
            clock=database.clock,
            settings=RestSettings(
                token_in_query=settings.token_in_query,
                cross_origins=tuple(settings.cors_requests_authorized_clients_addresses),
                trusted_proxies=settings.trusted_networks,
            ),
        )
        rest = partial(
            run_rest,
            create_app(services, only_actuator=role is Role.WORKER),
            settings.http_host,
            settings.http_port,
            on_ready=on_ready,
        )
        await _run_until(stop, incoming, relay, outgoing, rest, roles=roles)


def _messages(settings: Settings, names: Topology) -> Publications:
    return Publications(
        step_queue=names.steps.name,
        remote_step_queue=names.remote_steps.name,
        remote_steps=step_names(StepQueue.REMOTE),
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
    *,
    roles: RoleCache | None,
) -> None:
    """Run the parts side by side, and stop them in the order in which work flows through them."""
    rest_stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for connection in (*incoming, *outgoing):
            tasks.create_task(connection.run())
        tasks.create_task(relay.run())
        if roles is not None:
            tasks.create_task(roles.run())
        tasks.create_task(rest(stop=rest_stop))
        await stop.wait()
        log.info("service-stopping")
        rest_stop.set()
        await asyncio.gather(*(connection.stop() for connection in incoming))
        if roles is not None:
            await roles.stop()
        await relay.stop()
        await asyncio.gather(*(connection.stop() for connection in outgoing))
    log.info("service-stopped")
