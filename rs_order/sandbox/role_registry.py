"""The roles of the simulated projects, and the endpoints that each may use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from rs_order.sandbox.user_directory import ADMIN_ROLES, PARENTS

_Endpoint = tuple[str, str, str]
"""Service, path template and verb."""


class Role(BaseModel):
    """The settings of a role. Native roles may omit the parent."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    parent: str | None = None
    authorized_addresses: list[str] = []


class UnknownError(Exception):
    """A role or endpoint doesn't exist; the message contains its name."""


class _Project:
    """One project's roles, endpoints and grants."""

    def __init__(self) -> None:
        self.roles: dict[str, Role] = {name: Role(parent=PARENTS[name]) for name in PARENTS}
        self.endpoints: dict[_Endpoint, dict[str, Any]] = {}
        self.granted: dict[str, set[_Endpoint]] = {name: set() for name in PARENTS}
        self.edited = False

    def register(self, endpoint: _Endpoint, resource: dict[str, Any]) -> None:
        """Grant a new endpoint to its default role and the roles above it."""
        if endpoint not in self.endpoints:
            self.endpoints[endpoint] = resource
            for name in self.roles:
                if self.includes(name, resource["defaultRole"]):
                    self.granted[name].add(endpoint)

    def includes(self, role: str, default_role: str) -> bool:
        return default_role in self.chain_of(role)

    def chain_of(self, role: str) -> Iterator[str]:
        """Yield a role and the roles below it."""
        at: str | None = role
        while at is not None:
            yield at
            at = self.roles[at].parent if at in self.roles else None


class Roles:
    """The roles and endpoints of all projects.

    Every project has the native roles. Services register endpoints; administrators change the rest.
    """

    def __init__(self) -> None:
        self._projects: dict[str, _Project] = {}

    def names(self, tenant: str) -> list[str]:
        return list(self._project(tenant).roles)

    def register(self, tenant: str, service: str, endpoints: list[dict[str, Any]]) -> None:
        """Add new endpoints. Known ones keep the changes of administrators.

        Raises:
            KeyError, TypeError: an endpoint doesn't have the form of remote-services.md 5.3.
        """
        project = self._project(tenant)
        for endpoint in endpoints:
            key = (service, endpoint["fullPath"], endpoint["method"])
            project.register(key, _resource(len(project.endpoints) + 1, service, endpoint))

    def resources(self, tenant: str, role: str, service: str) -> list[dict[str, Any]] | None:
        """Return the endpoints of a service that a role may use, or None if there is no such role."""
        project = self._project(tenant)
        if role not in project.roles:
            return None
        granted = project.granted[role]
        return [
            resource
            for endpoint, resource in project.endpoints.items()
            if endpoint in granted and endpoint[0] == service
        ]

    def put(self, tenant: str, name: str, role: Role) -> None:
        """Add a role with the grants of its parent, or change a role.

        Raises:
            UnknownError: the parent of a new role doesn't exist.
        """
        project = self._project(tenant)
        if name in PARENTS:
            role = role.model_copy(update={"parent": PARENTS[name]})
        elif role.parent not in project.roles:
            raise UnknownError(f"Role {name} needs a parent that exists, not {role.parent}")
        project.edited = True
        project.roles[name] = role
        project.granted.setdefault(name, set(project.granted.get(role.parent or "", ())))

    def remove(self, tenant: str, name: str) -> None:
        """Remove a role; raises UnknownError if it is native or doesn't exist."""
        project = self._project(tenant)
        if name in PARENTS or name not in project.roles:
            raise UnknownError(f"There is no role {name} that can be removed")
        project.edited = True
        del project.roles[name], project.granted[name]

    def grant(self, tenant: str, role: str, endpoint: _Endpoint) -> None:
        """Grant an endpoint to a role; raises UnknownError."""
        self._grants(tenant, role, endpoint).add(endpoint)

    def revoke(self, tenant: str, role: str, endpoint: _Endpoint) -> None:
        """Revoke an endpoint from a role; raises UnknownError."""
        self._grants(tenant, role, endpoint).discard(endpoint)

    def is_admin(self, tenant: str, role: str) -> bool:
        """Return True for ADMIN, its children and the roles outside the chain (remote-services.md 5.2)."""
        known = self._project(tenant).roles.get(role)
        return role in ADMIN_ROLES or (known is not None and known.parent == "ADMIN")

    def reset(self) -> list[str]:
        """Undo all changes of administrators; return the projects that had any."""
        edited = [tenant for tenant, project in self._projects.items() if project.edited]
        for tenant in edited:
            before, after = self._projects[tenant], _Project()
            for endpoint, resource in before.endpoints.items():
                after.register(endpoint, resource)
            self._projects[tenant] = after
        return edited

    def json(self, tenant: str, name: str) -> dict[str, Any]:
        """Return a role in the form of rs-admin, with its parents."""
        roles = self._project(tenant).roles
        role = roles.get(name, Role())
        written = {
            "id": list(roles).index(name) + 1 if name in roles else len(roles) + 1,
            "name": name,
            "isDefault": name == "REGISTERED_USER",
            "isNative": name in PARENTS,
            "authorizedAddresses": role.authorized_addresses,
        }
        if role.parent is None:
            return written
        return written | {"parentRole": self.json(tenant, role.parent)}

    def _project(self, tenant: str) -> _Project:
        return self._projects.setdefault(tenant, _Project())

    def _grants(self, tenant: str, role: str, endpoint: _Endpoint) -> set[_Endpoint]:
        project = self._project(tenant)
        if role not in project.roles:
            raise UnknownError(f"There is no role {role}")
        if endpoint not in project.endpoints:
            raise UnknownError(f"{endpoint[0]} hasn't registered {endpoint[1]}@{endpoint[2]}")
        project.edited = True
        return project.granted[role]


def _resource(number: int, service: str, endpoint: dict[str, Any]) -> dict[str, Any]:
    access = endpoint["resourceAccess"]
    return {
        "id": number,
        "description": access.get("description", ""),
        "microservice": service,
        "controllerSimpleName": endpoint.get("controllerSimpleName", ""),
        "resource": endpoint["fullPath"],
        "verb": endpoint["method"],
        "defaultRole": access["role"],
    }
