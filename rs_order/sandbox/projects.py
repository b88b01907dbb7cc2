"""The projects (tenants) of the platform and the services' database connections to them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rs_order.sandbox.records import WAIT_SECONDS, Changes


class Projects:
    """The tenants of the platform, their host, and the connections of services to them."""

    def __init__(self, tenants: list[str], host: str) -> None:
        self._names = list(tenants)
        self._host = host
        self._connections: dict[tuple[str, str], dict[str, Any]] = {}
        self._disconnected: set[tuple[str, str]] = set()
        self._changes = Changes()
        self.connection_states: dict[tuple[str, str], list[dict[str, Any]]] = {}
        """States that a service reported for a tenant, oldest first."""

    def __contains__(self, tenant: object) -> bool:
        return tenant in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def add(self, tenant: str) -> None:
        if tenant not in self._names:
            self._names.append(tenant)

    def remove(self, tenant: str) -> bool:
        """Remove a project; True if it existed."""
        known = tenant in self._names
        if known:
            self._names.remove(tenant)
        return known

    def project(self, name: str, *, with_host: bool) -> dict[str, Any] | None:
        """Return the project with a name, ignoring case, or None."""
        known = next((one for one in self._names if one.lower() == name.lower()), None)
        if known is None:
            return None
        described = {
            "id": self._names.index(known) + 1,
            "name": known,
            "label": known,
            "description": "Sandbox project",
            "icon": "",
            "isPublic": True,
            "isAccessible": True,
            "isDeleted": False,
            "crs": "WGS_84",
            "isPoleToBeManaged": False,
            "licenceLink": "",
        }
        return described | {"host": self._host} if with_host else described

    def connections(self, service: str) -> list[dict[str, Any]]:
        """Return a service's connections. A connection is enabled unless it was changed."""
        keys = ((service, tenant) for tenant in self._names)
        return [self._connection(key) for key in keys if key not in self._disconnected]

    def connect(self, service: str, tenant: str) -> dict[str, Any]:
        """Give a service a new connection, whose state the service must report."""
        self._disconnected.discard((service, tenant))
        new = connection(tenant) | {"state": None, "errorCause": None}
        self._connections[service, tenant] = new
        return new

    def disconnect(self, service: str, tenant: str) -> dict[str, Any]:
        self._disconnected.add((service, tenant))
        self._connections.pop((service, tenant), None)
        return connection(tenant) | {"state": None, "errorCause": None}

    def report(self, service: str, reported: dict[str, Any]) -> bool:
        """Store the state that a service reports; False if the project doesn't exist."""
        key = (service, str(reported.get("tenant")))
        if key[1] not in self._names:
            return False
        self.connection_states.setdefault(key, []).append(reported)
        self._connections[key] = self._connection(key) | reported
        self._changes.notify()
        return True

    async def wait_for_state(
        self, service: str, tenant: str, state: str, timeout_seconds: float = WAIT_SECONDS
    ) -> None:
        """Wait until a service's last report for a tenant is this state; raises TimeoutError."""

        def reported() -> bool:
            states = self.connection_states.get((service, tenant), [])
            return bool(states) and states[-1].get("state") == state

        await self._changes.until(reported, timeout_seconds)

    def _connection(self, key: tuple[str, str]) -> dict[str, Any]:
        return self._connections.get(key) or connection(key[1])


def connection(tenant: str) -> dict[str, Any]:
    """Return a tenant's database connection in the platform's form. No database is behind it."""
    return {
        "tenant": tenant,
        "url": f"jdbc:postgresql://rs-postgres:5432/rs_{tenant}",
        "userName": "sandbox",
        "password": "",
        "driverClassName": "org.postgresql.Driver",
        "state": "ENABLED",
    }
