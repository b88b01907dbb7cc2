"""The services of the platform that this service calls (remote-services.md 1.1)."""

from enum import StrEnum


class PlatformService(StrEnum):
    ADMIN = "rs-admin"
    ADMIN_INSTANCE = "rs-admin-instance"
    CATALOG = "rs-catalog"
    DAM = "rs-dam"
    PROCESSING = "rs-processing"
