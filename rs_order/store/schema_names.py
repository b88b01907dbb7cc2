"""Names of schemas. Nowhere else does a tenant's name become part of SQL."""

import re

from rs_order.domain.ids import Tenant

PLATFORM_SCHEMA = "rs_order"
_TENANT = re.compile(r"[a-z][a-z0-9_]{0,47}")


class InvalidTenantNameError(ValueError):
    """A tenant's name can't be part of a schema's name."""

    code = "invalid-tenant-name"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name!r} can't be a tenant: use lower-case letters, digits and _, a letter first, "
            "at most 48 characters"
        )


def is_tenant_name(name: str) -> bool:
    """True if a tenant can have this name."""
    return _TENANT.fullmatch(name) is not None


def tenant_schema(tenant: Tenant) -> str:
    """Return ``order_<tenant>``.

    Raises:
        InvalidTenantNameError: the name isn't a plain identifier.
    """
    if not is_tenant_name(tenant):
        raise InvalidTenantNameError(tenant)
    return f"order_{tenant}"
