"""The REST side (rest.md): one router per chapter, wired by ``create_app``."""

from rs_order.entrypoints.rest.app import create_app
from rs_order.entrypoints.rest.resources import Resource
from rs_order.entrypoints.rest.roles import DefaultRoles, RoleAccess
from rs_order.entrypoints.rest.server import run_rest
from rs_order.entrypoints.rest.services import (
    PlatformServices,
    RestServices,
    RestSettings,
    some_services,
)
from rs_order.entrypoints.rest.tokens import InvalidToken, TokenVerifier
from rs_order.ports.health import ComponentHealth, Health, HealthStatus

__all__ = [
    "ComponentHealth",
    "DefaultRoles",
    "Health",
    "HealthStatus",
    "InvalidToken",
    "PlatformServices",
    "Resource",
    "RestServices",
    "RestSettings",
    "RoleAccess",
    "TokenVerifier",
    "create_app",
    "run_rest",
    "some_services",
]
