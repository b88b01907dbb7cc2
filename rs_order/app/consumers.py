"""Builds the consumers of a process: each queue with the handler of its messages."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from rs_order.app.application import Application
from rs_order.broker.batch_consumer import BatchConsumer, Index
from rs_order.broker.bounded_attempts import BatchHandler
from rs_order.broker.topology import PlatformEvent, Queue, Topology
from rs_order.consumers.batches import Batches, Received, drop
from rs_order.consumers.pace import Pace
from rs_order.consumers.step_handler import StepHandler
from rs_order.contracts.order_messages import OrderCancelRequest, OrderRequest
from rs_order.contracts.platform_messages import (
    CONNECTION_CREATED,
    CONNECTION_DELETED,
    CONNECTION_UPDATED,
    RESOURCE_ACCESS_EVENT,
    RESOURCE_ACCESS_INIT,
    ROLE_EVENT,
    TENANT_CREATED,
    TENANT_DELETED,
    FileReferenceEvent,
    ResourceAccessEvent,
    ResourceAccessInit,
    RoleEvent,
    TenantConnectionEvent,
    TenantEvent,
)
from rs_order.contracts.processing_messages import ExecutionResultEvent, ProcessRightsEvent
from rs_order.contracts.wire import WireModel
from rs_order.domain.ids import Tenant
from rs_order.orders.order_end import CancelRequestHandler, invalid_cancel_request
from rs_order.processing.results import ExecutionResultHandler, ProcessRightsHandler
from rs_order.requests.accept import OrderRequestHandler, invalid_order_request
from rs_order.scheduling.restoration import FileReferenceHandler
from rs_order.store.errors import StoreUnavailable
from rs_order.tenants.consumer import InstanceTenant, RightsHandlers, TenantHandlers

FILE_EVENT_BATCH = 2000
"""Events of storage in a batch, and as many ahead. To read more at once would hold the event loop long."""
RESULT_BATCH = 250
"""Number of prefetched results (amqp.md 1.10). Each result has its own transaction."""
STEPS_AT_ONCE = 8
"""Number of steps of one queue that are handled at the same time."""


Event = TypeVar("Event", bound=WireModel)


def shared_consumers(
    names: Topology, application: Application, index: Index
) -> list[BatchConsumer]:
    """Return the consumers of the queues that the instances share, in both modes of the input queues."""
    return [
        *_request_consumers(names, application, index),
        *_platform_consumers(names, application, index),
        *_step_consumers(names, application, index),
        *_input_consumers(names, names.file_reference_updates, drop, index),
    ]


def _request_consumers(
    names: Topology, application: Application, index: Index
) -> list[BatchConsumer]:
    shared, sizes = application.shared, application.shared.settings
    most = sizes.order_requests_per_second
    requests = Batches(
        OrderRequest,
        OrderRequestHandler(application.requests.accept),
        shared.tenants,
        shared.failures,
        invalid=invalid_order_request,
        pace=Pace(most) if most else None,
    )
    cancels = Batches(
        OrderCancelRequest,
        CancelRequestHandler(application.orders.cancel),
        shared.tenants,
        shared.failures,
        invalid=invalid_cancel_request,
    )
    size = min(sizes.request_bulk_size, most or sizes.request_bulk_size)
    return [
        *_input_consumers(names, names.order_requests, requests, index, size=size),
        *_input_consumers(
            names, names.order_cancels, cancels, index, size=sizes.cancel_request_bulk_size
        ),
    ]


def _platform_consumers(
    names: Topology, application: Application, index: Index
) -> list[BatchConsumer]:
    """Return the consumers of the events that rs-storage and rs-processing publish for all services."""
    shared = application.shared
    tenants, failures = shared.tenants, shared.failures
    references = Batches(
        FileReferenceEvent,
        FileReferenceHandler(
            application.scheduling.availability,
            shared.forecasts,
            shared.measurements,
            shared.clock,
        ),
        tenants,
        failures,
        platform_wide=True,
    )
    results = Batches(
        ExecutionResultEvent,
        ExecutionResultHandler(application.processing.results),
        tenants,
        failures,
        platform_wide=True,
        keep_while_inactive=True,
    )
    rights = Batches(
        ProcessRightsEvent,
        ProcessRightsHandler(application.processing.detach),
        tenants,
        failures,
        platform_wide=True,
    )
    return [
        *_input_consumers(
            names,
            names.file_references,
            references,
            index,
            size=FILE_EVENT_BATCH,
            ahead=FILE_EVENT_BATCH,
        ),
        *_input_consumers(names, names.processing_results, results, index, size=RESULT_BATCH),
        *_input_consumers(names, names.process_rights, rights, index, size=RESULT_BATCH),
    ]


def _step_consumers(names: Topology, application: Application, index: Index) -> list[BatchConsumer]:
    shared = application.shared
    steps = StepHandler(shared.steps, shared.tenants, shared.step_failures, shared.failures)
    return [
        _consumer(queue, steps, index, size=1, concurrency=STEPS_AT_ONCE)
        for queue in (names.steps, names.remote_steps)
    ]


def rights_consumers(
    names: Topology, application: Application, index: Index
) -> list[BatchConsumer]:
    """Return the consumers of events on rights. Without rs-admin they drop their messages."""
    shared = application.shared
    roles = shared.clients.roles
    if roles is None:
        return _each_event_once(names.security_events, {}, index)
    handlers = RightsHandlers(roles)

    def batches(
        model: type[Event], handle: Callable[[Tenant, Sequence[Received[Event]]], Awaitable[None]]
    ) -> Batches[Event]:
        return Batches(model, handle, shared.tenants, shared.failures, platform_wide=True)

    return _each_event_once(
        names.security_events,
        {
            ROLE_EVENT: batches(RoleEvent, handlers.roles),
            RESOURCE_ACCESS_EVENT: batches(ResourceAccessEvent, handlers.access),
            RESOURCE_ACCESS_INIT: batches(ResourceAccessInit, handlers.initialised),
        },
        index,
    )


def tenant_consumers(
    names: Topology, application: Application, index: Index
) -> list[BatchConsumer]:
    """Return the consumers of events on tenants."""
    shared = application.shared
    handlers = TenantHandlers(application.tenants.connect, shared.tenants, shared.clock)

    def batches(
        model: type[Event], handle: Callable[[Tenant, Sequence[Received[Event]]], Awaitable[None]]
    ) -> Batches[Event]:
        return Batches(model, handle, InstanceTenant(), shared.failures, platform_wide=True)

    return _each_event_once(
        names.tenant_events,
        {
            TENANT_CREATED: batches(TenantEvent, handlers.created),
            TENANT_DELETED: batches(TenantEvent, handlers.deleted),
            CONNECTION_CREATED: batches(TenantConnectionEvent, handlers.connected),
            CONNECTION_UPDATED: batches(TenantConnectionEvent, handlers.connected),
            CONNECTION_DELETED: batches(TenantConnectionEvent, handlers.disconnected),
        },
        index,
    )


def _each_event_once(
    events: Sequence[PlatformEvent], handlers: Mapping[str, BatchHandler], index: Index
) -> list[BatchConsumer]:
    """Return a consumer per queue. An event that arrives on several queues is handled on the first one."""
    remaining = dict(handlers)
    return [_consumer(event.queue, remaining.pop(event.event, drop), index) for event in events]


def _input_consumers(
    names: Topology,
    queue: Queue,
    handler: BatchHandler,
    index: Index,
    *,
    size: int = 1000,
    ahead: int = 0,
) -> list[BatchConsumer]:
    """Return a consumer of an input queue, and one of the quorum queue for the same events."""
    queues = (queue, names.quorum_queue(queue))
    return [_consumer(one, handler, index, size=size, ahead=ahead) for one in queues]


def _consumer(
    queue: Queue,
    handler: BatchHandler,
    index: Index,
    *,
    size: int = 1000,
    concurrency: int = 1,
    ahead: int = 0,
) -> BatchConsumer:
    """Return a consumer that waits while the database is unavailable."""
    return BatchConsumer(
        queue,
        handler,
        unavailable=(StoreUnavailable,),
        notify=handler.notify if isinstance(handler, Batches) else None,
        index=index,
        size=size,
        concurrency=concurrency,
        ahead=ahead,
    )
