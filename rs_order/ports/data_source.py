"""The database behind a tenant, as administrators look at it (rest.md 11.4)."""

from dataclasses import dataclass
from typing import Protocol

from rs_order.domain.ids import Tenant


@dataclass(frozen=True, slots=True)
class ConnectionUse:
    """How this process uses its connections, which all tenants share."""

    most: int
    fewest: int
    """Kept open when nothing is to do."""
    idle_milliseconds: int
    """After which an idle connection is closed."""
    open: int
    idle: int

    @property
    def active(self) -> int:
        return self.open - self.idle


class DataSource(Protocol):
    def use(self) -> ConnectionUse: ...

    async def test(self, tenant: Tenant) -> None:
        """Read something of the tenant's schema.

        Raises:
            StoreUnavailable: the database gives no answer; the text says what it said.
        """
        ...
