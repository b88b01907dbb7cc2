"""Roles of the platform, as tokens and rs-admin name them (rest.md 2.3)."""

from typing import Final

PUBLIC: Final = "PUBLIC"
REGISTERED_USER: Final = "REGISTERED_USER"
EXPLOIT: Final = "EXPLOIT"
ADMIN: Final = "ADMIN"
PROJECT_ADMIN: Final = "PROJECT_ADMIN"
INSTANCE_ADMIN: Final = "INSTANCE_ADMIN"

ADMINISTRATORS: Final = frozenset({PROJECT_ADMIN, INSTANCE_ADMIN})
"""Roles that may use every endpoint."""
