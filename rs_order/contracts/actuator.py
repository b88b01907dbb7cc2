"""What those who watch the service are told (rest.md 11.7)."""

from typing import Any

from pydantic import Field

from rs_order.contracts.wire import WireModel
from rs_order.domain.identity import SERVICE
from rs_order.ports.health import HealthStatus


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
