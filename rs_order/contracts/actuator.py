"""What those who watch the service are told (rest.md 11.7)."""

from enum import StrEnum
from typing import Any

from pydantic import Field

from rs_order.contracts.wire import WireModel
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
