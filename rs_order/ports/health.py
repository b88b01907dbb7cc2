"""Whether the service can do its work (rest.md 11.7)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol


class HealthStatus(StrEnum):
    UP = "UP"
    DOWN = "DOWN"
    """The service can't do its work; the whole is DOWN when one component is."""
    OUT_OF_SERVICE = "OUT_OF_SERVICE"
    """A part the rest can do without: a tenant in maintenance, unknown rights; the whole stays UP."""


@dataclass(frozen=True, slots=True)
class ComponentHealth:
    """One thing the service needs: database, broker, consumers, relay."""

    status: HealthStatus
    details: Mapping[str, Any] = field(default_factory=dict)
    """Facts for operators, shown to everybody: no secret, no address with credentials."""


class Health(Protocol):
    async def check(self) -> Mapping[str, ComponentHealth]:
        """The components by name. Answers within seconds, also when they don't."""
        ...
