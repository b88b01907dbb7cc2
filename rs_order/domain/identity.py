"""Names of callers: this service, the platform, and users."""

from dataclasses import dataclass
from typing import Final

from rs_order.domain.ids import Tenant

SERVICE: Final = "rs-order"
"""The name of this service for the platform, and as an actor in the history."""
PEER: Final = "amqp"
"""A service that cancels its order by a message, as an actor in the history."""
INSTANCE: Final = Tenant("instance")
"""Names the whole platform in calls, steps and notifications that belong to no tenant. It has no schema."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A user of a tenant with the role that decides what they may see (remote-services.md 1.5)."""

    tenant: Tenant
    email: str
    role: str
