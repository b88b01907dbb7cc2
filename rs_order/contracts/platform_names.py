"""Names of the services and roles of the platform (remote-services.md 1.1, rest.md 2.3)."""

from enum import StrEnum
from typing import Final


class PlatformService(StrEnum):
    ADMIN = "rs-admin"
    ADMIN_INSTANCE = "rs-admin-instance"
    AUTHENTICATION = "rs-authentication"
    CATALOG = "rs-catalog"
    DAM = "rs-dam"
    PROCESSING = "rs-processing"
    STORAGE = "rs-storage"


PUBLIC: Final = "PUBLIC"
REGISTERED_USER: Final = "REGISTERED_USER"
EXPLOIT: Final = "EXPLOIT"
ADMIN: Final = "ADMIN"
PROJECT_ADMIN: Final = "PROJECT_ADMIN"
INSTANCE_ADMIN: Final = "INSTANCE_ADMIN"

ADMINISTRATORS: Final = frozenset({PROJECT_ADMIN, INSTANCE_ADMIN})
"""Roles that may use every endpoint."""
