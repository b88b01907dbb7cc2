"""The events that rs-admin and rs-admin-instance publish about changes (amqp.md 3.7, 3.9)."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from rs_order.sandbox import amqp_wire
from rs_order.sandbox.amqp_wire import Event


class ConnectionEvent(StrEnum):
    """A change of a service's connection to the database of a project."""

    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"
    FAILED = "failed"


_CONNECTION_EVENTS = {
    ConnectionEvent.CREATED: amqp_wire.CONNECTION_CREATED,
    ConnectionEvent.UPDATED: amqp_wire.CONNECTION_UPDATED,
    ConnectionEvent.DELETED: amqp_wire.CONNECTION_DELETED,
    ConnectionEvent.FAILED: amqp_wire.CONNECTION_FAILED,
}


def tenant_created(tenant: str) -> Event:
    return _instance_event(amqp_wire.TENANT_CREATED, {"tenant": tenant})


def tenant_deleted(tenant: str) -> Event:
    return _instance_event(amqp_wire.TENANT_DELETED, {"tenant": tenant})


def connection_changed(event: ConnectionEvent, service: str, connection: dict[str, Any]) -> Event:
    """Return the event of a change. For a failed connection it has only the project's name."""
    failed = event is ConnectionEvent.FAILED
    body = {
        "tenant": connection["tenant"] if failed else connection,
        "microserviceName": service,
    }
    return _instance_event(_CONNECTION_EVENTS[event], body)


def role_changed(tenant: str, role: str) -> Event:
    return Event(amqp_wire.ROLE_EVENT, tenant, {"role": role}, jackson=True)


def access_changed(tenant: str, service: str, role: str) -> Event:
    body = {"microservice": service, "roleName": role}
    return Event(amqp_wire.RESOURCE_ACCESS_EVENT, tenant, body, jackson=True)


def rights_initialised(tenant: str) -> Event:
    return Event(amqp_wire.RESOURCE_ACCESS_INIT, tenant, {}, jackson=True)


def _instance_event(event: str, body: dict[str, Any]) -> Event:
    return Event(event, amqp_wire.INSTANCE_TENANT, body, jackson=True)
