"""Builds the acts of operators on dead letters, for the service and for the command."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from rs_order.app.clock import SystemClock
from rs_order.app.shared_parts import broker_topology
from rs_order.broker.topology import Topology
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
from rs_order.dead_letters.acts import BodyCheck, DeadLetterActs
from rs_order.dead_letters.body_checks import message_check, step_check
from rs_order.dead_letters.routes import DeadLetterServices
from rs_order.dead_letters.runs import LetterRuns
from rs_order.orders.order_end import invalid_cancel_request
from rs_order.ports import Clock
from rs_order.requests.accept import invalid_order_request
from rs_order.settings import Settings
from rs_order.store.dead_letters import DeadLetterStore
from rs_order.store.pool import open_pool

_PLATFORM_EVENTS: Mapping[str, type[WireModel]] = {
    ROLE_EVENT: RoleEvent,
    RESOURCE_ACCESS_EVENT: ResourceAccessEvent,
    RESOURCE_ACCESS_INIT: ResourceAccessInit,
    TENANT_CREATED: TenantEvent,
    TENANT_DELETED: TenantEvent,
    CONNECTION_CREATED: TenantConnectionEvent,
    CONNECTION_UPDATED: TenantConnectionEvent,
    CONNECTION_DELETED: TenantConnectionEvent,
}


def dead_letter_services(
    store: DeadLetterStore, clock: Clock, names: Topology
) -> DeadLetterServices:
    return DeadLetterServices(
        DeadLetterActs(store, clock, _body_checks(names)), LetterRuns(store, clock)
    )


@asynccontextmanager
async def open_dead_letters(settings: Settings) -> AsyncIterator[DeadLetterServices]:
    """Open the database for a command that acts on dead letters."""
    pool = await open_pool(
        settings.database_url.get_secret_value(),
        size=1,
        statement_cache=settings.database_statement_cache,
    )
    async with pool:
        yield dead_letter_services(DeadLetterStore(pool), SystemClock(), broker_topology(settings))


def _body_checks(names: Topology) -> dict[str, BodyCheck]:
    """Return the contract of each queue that the service consumes."""
    events = (*names.security_events, *names.tenant_events)
    inputs = (
        (names.order_requests, message_check(OrderRequest, invalid_order_request)),
        (names.order_cancels, message_check(OrderCancelRequest, invalid_cancel_request)),
        (names.file_references, message_check(FileReferenceEvent)),
        (names.processing_results, message_check(ExecutionResultEvent)),
        (names.process_rights, message_check(ProcessRightsEvent)),
    )
    return {
        **{queue.name: check for queue, check in inputs},
        **{names.quorum_queue(queue).name: check for queue, check in inputs},
        names.steps.name: step_check,
        names.remote_steps.name: step_check,
        **{
            event.queue.name: message_check(_PLATFORM_EVENTS[event.event])
            for event in events
            if event.event in _PLATFORM_EVENTS
        },
    }
