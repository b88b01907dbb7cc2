"""Who the users are, and where a project lives."""

from dataclasses import dataclass
from typing import Protocol

from rs_order.domain.ids import Tenant


@dataclass(frozen=True, slots=True)
class User:
    """A project user as rs-admin knows him."""

    email: str
    role: str


class Users(Protocol):
    """rs-admin (remote-services.md 5). Verdicts are cached per tenant and e-mail: good 5 min, bad 30 s."""

    async def find(self, tenant: Tenant, email: str) -> User | None:
        """The user, None when rs-admin says there is no such user.

        Raises:
            RemoteTrouble: rs-admin gave no verdict; that is never cached.
        """
        ...

    async def is_admin(self, tenant: Tenant, email: str) -> bool:
        """Whether rs-admin counts the user as an administrator of the project."""
        ...


class Projects(Protocol):
    """rs-admin-instance (remote-services.md 6.1)."""

    async def host(self, tenant: Tenant) -> str | None:
        """The public address of the project (``https://…``), None when rs-admin-instance has none.

        Kept 5 minutes per tenant. Raises RemoteTrouble.
        """
        ...
