"""Messages of rs-storage, rs-admin and rs-admin-instance (amqp.md 3.2, 3.7, 3.9)."""

from typing import Any

from pydantic import ConfigDict, Field

from rs_order.contracts.wire import Text, WireModel

_SECURITY = "fr.cnes.regards.framework.security.event"
ROLE_EVENT = f"{_SECURITY}.RoleEvent"
RESOURCE_ACCESS_EVENT = f"{_SECURITY}.ResourceAccessEvent"
RESOURCE_ACCESS_INIT = f"{_SECURITY}.ResourceAccessInit"
_TENANT = "fr.cnes.regards.framework.amqp.event.tenant"
TENANT_CREATED = f"{_TENANT}.TenantCreatedEvent"
TENANT_DELETED = f"{_TENANT}.TenantDeletedEvent"
_CONNECTION = "fr.cnes.regards.framework.jpa.multitenant.event"
CONNECTION_CREATED = f"{_CONNECTION}.TenantConnectionConfigurationCreated"
CONNECTION_UPDATED = f"{_CONNECTION}.TenantConnectionConfigurationUpdated"
CONNECTION_DELETED = f"{_CONNECTION}.TenantConnectionConfigurationDeleted"
CONNECTION_FAILED = f"{_CONNECTION}.TenantConnectionFailed"


class RoleEvent(WireModel):
    """A role was created, changed or deleted. Its addresses and the roles below it may have changed too."""

    role: Text | None = None


class ResourceAccessEvent(WireModel):
    """The resources of one service that one role may use changed."""

    model_config = ConfigDict(populate_by_name=True)

    microservice: Text
    role: Text = Field(alias="roleName", min_length=1)


class ResourceAccessInit(WireModel):
    """rs-admin has initialised the tenant. Endpoints can be registered."""


class TenantEvent(WireModel):
    """A project was created or deleted."""

    tenant: Text = Field(min_length=1)


class ConnectedTenant(WireModel):
    """The connection of a project. URL and password aren't read: there is one database (decisions.md)."""

    tenant: Text = Field(min_length=1)


class TenantConnectionEvent(WireModel):
    """The connection of a service to the database of a project was created, changed or deleted."""

    model_config = ConfigDict(populate_by_name=True)

    connection: ConnectedTenant = Field(alias="tenant")
    microservice: Text = Field(alias="microserviceName")


FILES_RESTORATION_REQUEST = (
    "fr.cnes.regards.modules.filecatalog.amqp.input.FilesRestorationRequestEvent"
)
FILE_REFERENCE = "fr.cnes.regards.modules.filecatalog.amqp.output.FileReferenceEvent"
FILE_REFERENCE_UPDATE = "fr.cnes.regards.modules.filecatalog.amqp.output.FileReferenceUpdateEvent"

AVAILABLE = "AVAILABLE"
AVAILABILITY_ERROR = "AVAILABILITY_ERROR"


class FilesRestorationRequest(WireModel):
    """A request to make files available for some hours. It has at most 1000 checksums."""

    model_config = ConfigDict(populate_by_name=True)

    checksums: list[str]
    availability_hours: int = Field(alias="availabilityHours")
    group_id: str = Field(alias="groupId")


class FileReferenceEvent(WireModel):
    """An event about a file of storage. Only the types of the constants above concern orders."""

    model_config = ConfigDict(populate_by_name=True)

    type: Text | None = None
    checksum: Text | None = None
    message: Text | None = None
    origin_storage: Text | None = Field(default=None, alias="originStorage")
    groups: Any = Field(None, alias="groupIds")
    """The requests that it answers. Nothing else of the event depends on them, so any value is accepted."""

    @property
    def group_ids(self) -> list[str]:
        """The group ids of the requests that it answers, or none if they can't be read."""
        if not isinstance(self.groups, list):
            return []
        return self.groups if all(isinstance(group, str) for group in self.groups) else []
