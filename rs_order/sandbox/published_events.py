"""The events that rs-storage, rs-admin and rs-admin-instance publish (amqp.md 3.2, 3.7, 3.9)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from rs_order.sandbox import amqp_wire
from rs_order.sandbox.amqp_wire import Event
from rs_order.sandbox.products import DataFile, Location


@dataclass(frozen=True, slots=True)
class RestoreRequest:
    tenant: str
    group_id: str
    checksums: tuple[str, ...]
    availability_hours: int
    at: datetime


def available_event(file: DataFile, groups: Sequence[str]) -> dict[str, Any]:
    nearline = file.location is Location.NEARLINE
    storage = "cache" if nearline else "online-1"
    return {
        "type": "AVAILABLE",
        "message": f"File {file.filename} (checksum {file.checksum}) is available for download.",
        "checksum": file.checksum,
        "originStorage": "nearline-1" if nearline else "online-1",
        "owners": ["sandbox"],
        "location": {
            "storage": storage,
            "url": f"file:/{storage}/{file.checksum}",
            "fileArchiveStatus": "STORED",
        },
        "groupIds": list(groups),
        "referenced": False,
        "nearlineConfirmed": False,
    }


def unavailable_event(checksum: str, message: str, groups: Sequence[str]) -> dict[str, Any]:
    return {
        "type": "AVAILABILITY_ERROR",
        "message": message,
        "checksum": checksum,
        "owners": [],
        "groupIds": list(groups),
        "referenced": False,
        "nearlineConfirmed": False,
    }


def unrelated_event(checksum: str, number: int) -> dict[str, Any]:
    """Return an event without effect: of another type, or with the checksum of no file."""
    other = checksum[::-1] if number % 2 else checksum
    kind = "AVAILABLE" if number % 2 else ("STORED", "COPIED", "FULLY_DELETED")[number % 3]
    return {
        "type": kind,
        "message": "An unrelated event",
        "checksum": other,
        "owners": ["other"],
        "groupIds": [],
        "referenced": False,
        "nearlineConfirmed": False,
    }


def request_from(tenant: str, body: dict[str, Any]) -> RestoreRequest:
    """Parse a FilesRestorationRequestEvent (amqp.md 3.2).

    Raises:
        ValueError: a member is missing or has a wrong type.
    """
    checksums = body.get("checksums")
    hours, group_id = body.get("availabilityHours"), body.get("groupId")
    texts = isinstance(checksums, list) and all(isinstance(one, str) for one in checksums)
    if not checksums or not texts or not isinstance(hours, int) or not isinstance(group_id, str):
        raise ValueError("checksums, availabilityHours and groupId are mandatory")
    return RestoreRequest(
        tenant=tenant,
        group_id=group_id,
        checksums=tuple(dict.fromkeys(checksums)),
        availability_hours=hours,
        at=datetime.now(UTC),
    )


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
