"""Which tenants there are."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from rs_order.domain.ids import (
    Tenant,
)


class Tenants(Protocol):
    """The tenants this deployment serves; they come and go while it runs."""

    def serves(self, tenant: str) -> bool: ...

    def is_away(self, tenant: str) -> bool:
        """Whether it was served once and went; what it has stays until it comes again."""
        ...

    def names(self) -> Sequence[Tenant]: ...

    async def load(self) -> None:
        """Look again which tenants there are; others may have added some."""
        ...

    async def add(self, name: str, host: str | None = None) -> Tenant:
        """Provision a tenant; usable at once. Adding it again changes its host only."""
        ...

    async def activate(self, name: str, said_at: datetime) -> bool:
        """Provision a tenant by the platform's word of an instant.

        Whether it holds: nothing newer was said.

        Raises:
            ValueError: the name can't be a tenant's; the text says why.
            StoreError: nothing is known to have happened; the same can be done again.
        """
        ...

    async def deactivate(self, name: str, said_at: datetime) -> bool:
        """Serve a tenant no more by the platform's word of an instant; its data stays.

        Whether it holds: nothing newer was said.

        Raises:
            ValueError: the name can't be a tenant's; the text says why.
            StoreError: nothing is known to have happened; the same can be done again.
        """
        ...

    def host(self, tenant: Tenant) -> str | None:
        """Return the public address of the project as far as this process knows it; never reads the store."""
        ...

    async def keep_host(self, tenant: Tenant, host: str) -> None:
        """Store the public address of the project, unless this process knows that it is stored."""
        ...

    def remember_host(self, tenant: Tenant, host: str) -> None:
        """Take over an address that was read from the store elsewhere."""
        ...
