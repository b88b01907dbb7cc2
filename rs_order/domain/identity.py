"""Whom a remote call is made for."""

from dataclasses import dataclass

from rs_order.domain.ids import Tenant


@dataclass(frozen=True, slots=True)
class Caller:
    """A user of a tenant with the role that rules what he may see (remote-services.md 1.5)."""

    tenant: Tenant
    email: str
    role: str
