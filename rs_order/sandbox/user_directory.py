"""The users and native roles of the simulated projects (remote-services.md 1.5, 2.6, 5)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, Field

from rs_order.sandbox.service_protocol import Identity

PARENTS: Mapping[str, str | None] = {
    "PUBLIC": None,
    "REGISTERED_USER": "PUBLIC",
    "EXPLOIT": "REGISTERED_USER",
    "ADMIN": "EXPLOIT",
    "PROJECT_ADMIN": None,
    "INSTANCE_ADMIN": None,
}
"""Each native role with its parent. The last two are outside the chain and may do everything."""
ADMIN_ROLES = frozenset({"ADMIN", "PROJECT_ADMIN", "INSTANCE_ADMIN"})
_SYSTEM_PREFIX = "ROLE_SYS_"
_NEVER_ADMIN = frozenset({"PUBLIC", "REGISTERED_USER"})
_SINCE = "2024-01-01T00:00:00Z"
PASSWORD = "orbit"  # noqa: S105 - of every user of the sandbox that has no other


class User(BaseModel):
    email: Annotated[str, Field(min_length=1, max_length=128)]
    role: str = "REGISTERED_USER"
    first_name: str = "Jane"
    last_name: str = "Doe"
    status: str = "ACCESS_GRANTED"
    password: str = PASSWORD
    access_groups: list[str] = ["public-group"]
    """A user without groups finds nothing in the catalog."""
    raw_data_access: bool = True
    """True if the groups give access to RAWDATA files."""
    tenants: set[str] | None = None
    """The projects of the user; None for all."""


@dataclass(frozen=True, slots=True)
class Access:
    """The access of a caller to the catalog."""

    any: bool
    raw_data: bool


EVERYTHING = Access(any=True, raw_data=True)

DEFAULT_USERS = (
    User(email="jane@example.org", first_name="Jane"),
    User(email="john@example.org", first_name="John"),
    User(email="exploit@example.org", role="EXPLOIT", first_name="Erin"),
    User(email="admin@example.org", role="PROJECT_ADMIN", first_name="Alan"),
)


class Directory:
    """The users of all projects, by e-mail."""

    def __init__(self, users: Iterable[User] = DEFAULT_USERS) -> None:
        self._users = {user.email: user for user in users}

    def put(self, user: User) -> None:
        """Add a user, in place of one with the same e-mail."""
        self._users[user.email] = user

    def remove(self, email: str) -> bool:
        return self._users.pop(email, None) is not None

    def reset(self) -> None:
        self._users = {user.email: user for user in DEFAULT_USERS}

    def find(self, email: str, tenant: str) -> User | None:
        user = self._users.get(email)
        known = user is not None and (user.tenants is None or tenant in user.tenants)
        return user if known else None

    def access(self, identity: Identity) -> Access:
        """Return a caller's access, by the caller's role, then the user's role, then the user's groups.

        Callers whose e-mail is unknown have access to everything, as with a public group.
        """
        if identity.role in ADMIN_ROLES or identity.role.startswith(_SYSTEM_PREFIX):
            return EVERYTHING
        user = self.find(identity.email, identity.tenant)
        if user is None:
            return EVERYTHING
        if identity.role not in _NEVER_ADMIN and user.role in ADMIN_ROLES:
            return EVERYTHING
        return Access(any=bool(user.access_groups), raw_data=user.raw_data_access)


def user_json(user: User, role: dict[str, Any]) -> dict[str, Any]:
    """Return a user in the form of rs-admin; ``role`` is already in its form."""
    return {
        "id": 1,
        "email": user.email,
        "firstName": user.first_name,
        "lastName": user.last_name,
        "status": user.status,
        "origin": "Regards",
        "role": role,
        "accessGroups": user.access_groups,
        "metadata": [],
        "licenseAccepted": True,
        "maxQuota": -1,
        "currentQuota": 0,
        "created": _SINCE,
        "lastUpdate": _SINCE,
        "lastConnection": _SINCE,
    }
