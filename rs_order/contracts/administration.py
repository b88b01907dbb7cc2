"""Bodies for administrators and operators: health, data source, maintenance, resources (rest.md 11)."""

from enum import StrEnum
from typing import Any

from pydantic import ConfigDict, Field

from rs_order.contracts.platform_names import REGISTERED_USER
from rs_order.contracts.wire import Instant, Link, WireModel
from rs_order.domain.identity import SERVICE


class HealthStatus(StrEnum):
    UP = "UP"
    DOWN = "DOWN"
    """The component doesn't work. If one component is DOWN, the service is DOWN."""
    OUT_OF_SERVICE = "OUT_OF_SERVICE"
    """A part doesn't work, such as a tenant in maintenance or unknown rights. The service stays UP."""


class ComponentStatus(WireModel):
    """The health of one component that the service needs."""

    status: HealthStatus
    details: dict[str, Any] | None = Field(None, examples=[{"lost": {}}])


class HealthReport(WireModel):
    """The health of the service and of its components."""

    status: HealthStatus
    components: dict[str, ComponentStatus] = Field(examples=[{"db": {"status": "UP"}}])


class Build(WireModel):
    """The name and version of the program."""

    name: str = Field(examples=[SERVICE])
    version: str = Field(examples=["1.0.0"])


class BuildInfo(WireModel):
    """The program that is running."""

    build: Build


class AuditEntryDto(WireModel):
    """An act of an operator, an administrator or the platform."""

    model_config = ConfigDict(populate_by_name=True)

    id: int = Field(examples=[42])
    date: Instant
    tenant: str | None = Field(
        None, description="Absent: the whole deployment.", examples=["project1"]
    )
    actor: str = Field(examples=["admin@example.org"])
    role: str | None = Field(
        None, description="Of the caller, by REST only.", examples=["PROJECT_ADMIN"]
    )
    door: str = Field(description="`rest`, `cli` or `amqp`.", examples=["rest"])
    action: str = Field(examples=["setting.changed"])
    object_kind: str = Field(alias="objectKind", examples=["setting"])
    object_id: str = Field(alias="objectId", examples=["app_sub_order_duration"])
    before: Any = Field(None, examples=[2])
    after: Any = Field(None, examples=[3])
    reason: str | None = Field(None, examples=["larger orders"])
    correlation_id: str | None = Field(None, alias="correlationId")


class AuditPage(WireModel):
    """Entries of the audit, newest first. It has the link ``next``, unless it is the last page."""

    content: list[AuditEntryDto]
    links: list[Link]


class Readiness(WireModel):
    """True if the service can do its work, or the reasons why it can't (rest.md 11.3)."""

    ready: bool = Field(examples=[True])
    reasons: list[str] = Field(examples=[[]])


class ConnectionProperties(WireModel):
    """The use of database connections by the process that answers."""

    model_config = ConfigDict(populate_by_name=True)

    most: int = Field(alias="Max connections", examples=[20])
    fewest: int = Field(alias="Min idle connections", examples=[1])
    idle_milliseconds: int = Field(alias="Idle timeout", examples=[300_000])
    open: int = Field(alias="Total connections", examples=[3])
    idle: int = Field(alias="Idle connections", examples=[2])
    active: int = Field(alias="Active connection", examples=[1])


class DataSourceStatus(WireModel):
    """The state of the data source of a tenant."""

    properties: ConnectionProperties


class DataSourceTest(WireModel):
    """The result of a test of a tenant's database."""

    message: str = Field(examples=["The database of project1 answers"])
    properties: dict[str, int] = Field(examples=[{}])


class MaintenanceDto(WireModel):
    """The maintenance state of one tenant."""

    model_config = ConfigDict(populate_by_name=True)

    active: bool = Field(examples=[False])
    last_update: Instant = Field(alias="lastUpdate", examples=["2024-01-23T09:21:50.72Z"])


class ResourceAccess(WireModel):
    """The default role and the description of an endpoint. An administrator may change the role."""

    role: str = Field(examples=[REGISTERED_USER])
    description: str = Field(examples=["Get an order"])


class AuthorizedRole(WireModel):
    """The default role, repeated. The spelling of the members is that of the wire."""

    model_config = ConfigDict(populate_by_name=True)

    authority: str = Field(alias="autority", examples=[f"ROLE_{REGISTERED_USER}"])
    addresses: list[str] = Field(default=[], alias="authorizedIpAdresses")


class ResourceMapping(WireModel):
    """An endpoint, as rs-admin registers it (rest.md 11.6)."""

    model_config = ConfigDict(populate_by_name=True)

    access: ResourceAccess = Field(alias="resourceAccess")
    full_path: str = Field(alias="fullPath", examples=["/user/orders/{orderId}"])
    controller: str = Field(alias="controllerSimpleName", examples=["OrderController"])
    method: str = Field(examples=["GET"])
    authorized_roles: list[AuthorizedRole] = Field(alias="authorizedRoles")
