"""What the roles of a project may do (rest.md 2.3)."""

from typing import Protocol

from rs_order.domain.ids import Tenant


class GuardedResource(Protocol):
    """An endpoint as far as its use is a matter of rights."""

    @property
    def key(self) -> str:
        """``<path template>@<VERB>``."""
        ...

    @property
    def default_role(self) -> str:
        """Who may use it until an administrator says otherwise: this role and those above it."""
        ...


class RightsUnknown(Exception):
    """Nobody has said yet what the roles of a project may do; the text is for the caller."""

    code = "rights-unknown"

    def __init__(self, tenant: Tenant) -> None:
        super().__init__(
            f"What the roles of the project {tenant} may do isn't known yet: rs-admin gives no answer. "
            "Nothing was changed. Try again."
        )


class RoleAccess(Protocol):
    """Which roles may use an endpoint, beside those that may use all (rest.md 2.3, rule 5)."""

    async def prepare(self, tenant: Tenant) -> None:
        """Give rights that are being asked for right now a moment to come; never fails."""
        ...

    def allows(self, tenant: Tenant, role: str, resource: GuardedResource) -> bool:
        """Whether the role was given the resource.

        Raises:
            RightsUnknown: see there.
        """
        ...

    def admits(self, tenant: Tenant, role: str, address: str) -> bool:
        """Whether the role may be used from an IP address; most roles may from any.

        Raises:
            RightsUnknown: see there.
        """
        ...
