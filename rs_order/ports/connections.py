"""The projects this service is connected to, as the platform has them (remote-services.md 6.4)."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

from rs_order.domain.ids import Tenant


class ConnectionState(StrEnum):
    DISABLED = "DISABLED"
    CONNECTING = "CONNECTING"
    ENABLED = "ENABLED"
    """The project can be used here."""
    ERROR = "ERROR"
    """It can't; a cause is told along."""


class Connections(Protocol):
    """rs-admin-instance. All calls raise RemoteRefusal and RemoteTrouble."""

    async def wanted(self) -> Sequence[Tenant]:
        """The projects that have a connection to this service which isn't disabled."""
        ...

    async def report(
        self, tenant: Tenant, state: ConnectionState, cause: str | None = None
    ) -> None:
        """Say how far the connection of a project has come."""
        ...
