"""What this process has on the broker: names, consumers, connections."""

from collections.abc import Sequence

from rs_order.adapters.amqp.batch_consumer import BatchConsumer
from rs_order.adapters.amqp.connection import Session, SupervisedConnection
from rs_order.adapters.amqp.topology import Elements, Topology, Vhost, topology
from rs_order.adapters.amqp.vhosts import create_missing_vhosts
from rs_order.adapters.postgres.tenants import PostgresTenants
from rs_order.bootstrap.application import Application
from rs_order.contracts.order_request import OrderCancelRequest, OrderRequest
from rs_order.contracts.processing import ExecutionResultEvent, ProcessRightsEvent
from rs_order.contracts.storage import FileReferenceEvent
from rs_order.entrypoints.amqp.batches import Batches
from rs_order.entrypoints.amqp.handlers import (
    CancelRequestHandler,
    ExecutionResultHandler,
    FileReferenceHandler,
    OrderRequestHandler,
    ProcessRightsHandler,
    drop,
    invalid_cancel_request,
    invalid_order_request,
)
from rs_order.entrypoints.amqp.step_handler import StepHandler
from rs_order.settings import Settings

FILE_EVENT_BATCH = 1000
RESULT_BATCH = 250
"""Each result is a commit of its own; this many are prefetched (amqp.md 1.10)."""
STEPS_AT_ONCE = 8


def names_on_the_broker(settings: Settings) -> Topology:
    """Everything of ours on the broker, by the names this deployment uses."""
    return topology(
        settings.amqp_management_namespace,
        settings.amqp_microservice_type_identifier,
        instance_identifier=settings.amqp_microservice_instance_identifier,
    )


def consumers(
    settings: Settings, names: Topology, application: Application, tenants: PostgresTenants
) -> dict[Vhost, list[BatchConsumer]]:
    """One consumer per queue, and what its messages are handed to."""
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
        for_everybody=True,
    )
    results = Batches(
        ExecutionResultEvent,
        ExecutionResultHandler(application.results),
        tenants,
        application.failures,
        for_everybody=True,
    )
    rights = Batches(
        ProcessRightsEvent,
        ProcessRightsHandler(application.detach),
        tenants,
        application.failures,
        for_everybody=True,
    )
    unused = [
        names.file_reference_updates,
        *(event.queue for event in names.security_events),
    ]
    return {
        Vhost.MULTITENANT: [
            BatchConsumer(names.order_requests, requests, size=settings.request_bulk_size),
            BatchConsumer(names.order_cancels, cancels, size=settings.cancel_request_bulk_size),
            BatchConsumer(names.file_references, references, size=FILE_EVENT_BATCH),
            BatchConsumer(names.processing_results, results, size=RESULT_BATCH),
            BatchConsumer(names.process_rights, rights, size=RESULT_BATCH),
            BatchConsumer(
                names.steps,
                StepHandler(application.works, tenants),
                size=1,
                concurrency=STEPS_AT_ONCE,
            ),
            *(BatchConsumer(queue, drop) for queue in unused),
        ],
        Vhost.INSTANCE: [BatchConsumer(event.queue, drop) for event in names.tenant_events],
    }


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
