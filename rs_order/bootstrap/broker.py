"""Wires what this process has on the broker: names, consumers, connections."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from rs_order.bootstrap.application import Application
from rs_order.broker.batch_consumer import BatchConsumer
from rs_order.broker.bounded_attempts import BatchHandler
from rs_order.broker.connection import Session, SupervisedConnection
from rs_order.broker.queue_names import topology
from rs_order.broker.topology import Elements, PlatformEvent, Queue, Topology, Vhost
from rs_order.broker.virtual_hosts import create_missing_vhosts
from rs_order.contracts.order_request import OrderCancelRequest, OrderRequest
from rs_order.contracts.platform_events import (
    CONNECTION_CREATED,
    CONNECTION_DELETED,
    CONNECTION_UPDATED,
    RESOURCE_ACCESS_EVENT,
    RESOURCE_ACCESS_INIT,
    ROLE_EVENT,
    TENANT_CREATED,
    TENANT_DELETED,
    ResourceAccessEvent,
    ResourceAccessInit,
    RoleEvent,
    TenantConnectionEvent,
    TenantEvent,
)
from rs_order.contracts.processing import ExecutionResultEvent, ProcessRightsEvent
from rs_order.contracts.storage import FileReferenceEvent
from rs_order.contracts.wire import WireModel
from rs_order.domain.ids import Tenant
from rs_order.entrypoints.amqp.batches import Batches, Received, drop
from rs_order.entrypoints.amqp.processing_consumer import (
    ExecutionResultHandler,
    ProcessRightsHandler,
)
from rs_order.entrypoints.amqp.requests_consumer import (
    CancelRequestHandler,
    OrderRequestHandler,
    invalid_cancel_request,
    invalid_order_request,
)
from rs_order.entrypoints.amqp.rights_consumer import RightsHandlers, RoleChanges
from rs_order.entrypoints.amqp.scheduling_consumer import FileReferenceHandler
from rs_order.entrypoints.amqp.step_handler import StepHandler
from rs_order.entrypoints.amqp.tenants_consumer import InstanceTenant, TenantHandlers
from rs_order.ports.clock import Clock
from rs_order.settings import Settings
from rs_order.store.errors import StoreUnavailable
from rs_order.store.tenants import Tenants

FILE_EVENT_BATCH = 1000
RESULT_BATCH = 250
"""Results that are prefetched (amqp.md 1.10); each is committed by itself."""
STEPS_AT_ONCE = 8
"""Steps of one queue that are handled at the same time."""


def names_on_the_broker(settings: Settings) -> Topology:
    """Return the exchanges and queues of the service under the names of this deployment."""
    return topology(
        settings.amqp_management_namespace,
        settings.amqp_microservice_type_identifier,
        instance_identifier=settings.amqp_microservice_instance_identifier,
    )


Event = TypeVar("Event", bound=WireModel)


def work_consumers(
    settings: Settings, names: Topology, application: Application, tenants: Tenants
) -> list[BatchConsumer]:
    """Return a consumer for each queue that the instances share."""
    requests = Batches(
        OrderRequest,
        OrderRequestHandler(application.accept),
        tenants,
        application.failures,
        invalid=invalid_order_request,
    )
    cancels = Batches(
        OrderCancelRequest,
        CancelRequestHandler(application.cancel),
        tenants,
        application.failures,
        invalid=invalid_cancel_request,
    )
    references = Batches(
        FileReferenceEvent,
        FileReferenceHandler(application.availability),
        tenants,
        application.failures,
        platform_wide=True,
    )
    results = Batches(
        ExecutionResultEvent,
        ExecutionResultHandler(application.results),
        tenants,
        application.failures,
        platform_wide=True,
        keep_while_inactive=True,
    )
    rights = Batches(
        ProcessRightsEvent,
        ProcessRightsHandler(application.detach),
        tenants,
        application.failures,
        platform_wide=True,
    )
    steps = StepHandler(application.steps, tenants)
    unused = [names.file_reference_updates]
    return [
        _consumer(names.order_requests, requests, size=settings.request_bulk_size),
        _consumer(names.order_cancels, cancels, size=settings.cancel_request_bulk_size),
        _consumer(names.file_references, references, size=FILE_EVENT_BATCH),
        _consumer(names.processing_results, results, size=RESULT_BATCH),
        _consumer(names.process_rights, rights, size=RESULT_BATCH),
        *(
            _consumer(queue, steps, size=1, concurrency=STEPS_AT_ONCE)
            for queue in (names.steps, names.remote_steps)
        ),
        *(_consumer(queue, drop) for queue in unused),
    ]


def rights_consumers(
    names: Topology, changes: RoleChanges | None, application: Application, tenants: Tenants
) -> list[BatchConsumer]:
    """Return the consumers of events on rights; without rs-admin they drop their messages."""
    if changes is None:
        return _each_event_once(names.security_events, {})
    handlers = RightsHandlers(changes)

    def batches(
        model: type[Event], handle: Callable[[Tenant, Sequence[Received[Event]]], Awaitable[None]]
    ) -> Batches[Event]:
        return Batches(model, handle, tenants, application.failures, platform_wide=True)

    return _each_event_once(
        names.security_events,
        {
            ROLE_EVENT: batches(RoleEvent, handlers.roles),
            RESOURCE_ACCESS_EVENT: batches(ResourceAccessEvent, handlers.access),
            RESOURCE_ACCESS_INIT: batches(ResourceAccessInit, handlers.initialised),
        },
    )


def tenant_consumers(
    names: Topology, application: Application, tenants: Tenants, clock: Clock
) -> list[BatchConsumer]:
    """Return the consumers of events on tenants."""
    handlers = TenantHandlers(application.connect, tenants, clock)

    def batches(
        model: type[Event], handle: Callable[[Tenant, Sequence[Received[Event]]], Awaitable[None]]
    ) -> Batches[Event]:
        return Batches(model, handle, InstanceTenant(), application.failures, platform_wide=True)

    return _each_event_once(
        names.tenant_events,
        {
            TENANT_CREATED: batches(TenantEvent, handlers.created),
            TENANT_DELETED: batches(TenantEvent, handlers.deleted),
            CONNECTION_CREATED: batches(TenantConnectionEvent, handlers.connected),
            CONNECTION_UPDATED: batches(TenantConnectionEvent, handlers.connected),
            CONNECTION_DELETED: batches(TenantConnectionEvent, handlers.disconnected),
        },
    )


def _each_event_once(
    events: Sequence[PlatformEvent], handlers: Mapping[str, BatchHandler]
) -> list[BatchConsumer]:
    """Return a consumer for each queue; an event that arrives on several is handled on the first."""
    left = dict(handlers)
    return [_consumer(event.queue, left.pop(event.event, drop)) for event in events]


def _consumer(
    queue: Queue, handler: BatchHandler, *, size: int = 1000, concurrency: int = 1
) -> BatchConsumer:
    """Return a consumer that waits for as long as the database is unavailable."""
    return BatchConsumer(
        queue,
        handler,
        unavailable=(StoreUnavailable,),
        notify=handler.notify if isinstance(handler, Batches) else None,
        size=size,
        concurrency=concurrency,
    )


def connection_to(
    settings: Settings, vhost: Vhost, elements: Elements, sessions: Sequence[Session]
) -> SupervisedConnection:
    vhosts = {
        Vhost.MULTITENANT: settings.amqp_vhost,
        Vhost.INSTANCE: settings.amqp_instance_vhost,
    }
    return SupervisedConnection(
        settings.amqp_url.get_secret_value(), vhosts[vhost], elements, sessions
    )


async def provision_vhosts(settings: Settings) -> None:
    if settings.amqp_management_url is not None:
        await create_missing_vhosts(
            settings.amqp_management_url.get_secret_value(),
            settings.amqp_url.get_secret_value(),
            [settings.amqp_vhost, settings.amqp_instance_vhost],
        )
