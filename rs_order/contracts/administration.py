"""Bodies for administrators and operators: health, data source, maintenance, resources (rest.md 11)."""

from enum import StrEnum
from typing import Any

from pydantic import ConfigDict, Field

from rs_order.contracts.role_names import REGISTERED_USER
from rs_order.contracts.wire import Instant, WireModel
from rs_order.domain.identity import SERVICE


class HealthStatus(StrEnum):
    UP = "UP"
    DOWN = "DOWN"
    """The service can't do its work; the whole is DOWN when one component is."""
    OUT_OF_SERVICE = "OUT_OF_SERVICE"
    """A part the rest can do without: a tenant in maintenance, unknown rights; the whole stays UP."""


class ComponentStatus(WireModel):
    """One thing the service needs."""

    status: HealthStatus
    details: dict[str, Any] | None = Field(None, examples=[{"lost": {}}])


class HealthReport(WireModel):
    """The service as a whole, and what it is made of."""

    status: HealthStatus
    components: dict[str, ComponentStatus] = Field(examples=[{"db": {"status": "UP"}}])


class Build(WireModel):
    """What was built."""

    name: str = Field(examples=[SERVICE])
    version: str = Field(examples=["1.0.0"])


class BuildInfo(WireModel):
    """What is running."""

    build: Build


class ConnectionProperties(WireModel):
    """How the process that answers uses its connections."""

    model_config = ConfigDict(populate_by_name=True)

    most: int = Field(alias="Max connections", examples=[20])
    fewest: int = Field(alias="Min idle connections", examples=[1])
    idle_milliseconds: int = Field(alias="Idle timeout", examples=[300_000])
    open: int = Field(alias="Total connections", examples=[3])
    idle: int = Field(alias="Idle connections", examples=[2])
    active: int = Field(alias="Active connection", examples=[1])


class DataSourceStatus(WireModel):
    """The use of connections."""

    properties: ConnectionProperties


class DataSourceTest(WireModel):
    """What a test of a tenant's database came to."""

    message: str = Field(examples=["The database of project1 answers"])
    properties: dict[str, int] = Field(examples=[{}])


class MaintenanceDto(WireModel):
    """The state of one tenant."""

    model_config = ConfigDict(populate_by_name=True)

    active: bool = Field(examples=[False])
    last_update: Instant = Field(alias="lastUpdate", examples=["2024-01-23T09:21:50.72Z"])


class ResourceAccess(WireModel):
    """Who may use an endpoint until an administrator says otherwise, and what it does."""

    role: str = Field(examples=[REGISTERED_USER])
    description: str = Field(examples=["Get an order"])


class AuthorizedRole(WireModel):
    """The declared role once more; the members are spelled like this on the wire."""

    model_config = ConfigDict(populate_by_name=True)

    authority: str = Field(alias="autority", examples=[f"ROLE_{REGISTERED_USER}"])
    addresses: list[str] = Field(default=[], alias="authorizedIpAdresses")


class ResourceMapping(WireModel):
    """One endpoint."""

    model_config = ConfigDict(populate_by_name=True)

    access: ResourceAccess = Field(alias="resourceAccess")
    full_path: str = Field(alias="fullPath", examples=["/user/orders/{orderId}"])
    controller: str = Field(alias="controllerSimpleName", examples=["OrderController"])
    method: str = Field(examples=["GET"])
    authorized_roles: list[AuthorizedRole] = Field(alias="authorizedRoles")
