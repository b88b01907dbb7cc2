"""Describes the messages of a deployment, and the events that it streams (AsyncAPI)."""

from importlib.metadata import version
from typing import Any

from rs_order.broker.queue_names import topology
from rs_order.contracts.asyncapi import asyncapi_document
from rs_order.contracts.asyncapi_messages import INSTANCE, Addresses
from rs_order.domain.identity import SERVICE


def asyncapi(namespace: str = "regards", type_identifier: str = SERVICE) -> dict[str, Any]:
    """Return the AsyncAPI document with the names that follow from these settings."""
    names = topology(namespace, type_identifier, instance_identifier=INSTANCE)
    addresses = Addresses(
        order_requests=names.order_requests.name,
        order_cancels=names.order_cancels.name,
        file_references=names.file_references.name,
        processing_results=names.processing_results.name,
        process_rights=names.process_rights.name,
        events=names.events.name,
        of_instance={
            consumed.event: consumed.queue.name
            for consumed in reversed((*names.security_events, *names.tenant_events))
        },
        namespace=namespace,
    )
    return asyncapi_document(addresses, version(SERVICE))
