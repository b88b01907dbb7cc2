"""The endpoints as the platform lists them (rest.md 11.6)."""

from rs_order.contracts.resource import AuthorizedRole, ResourceAccess, ResourceMapping
from rs_order.entrypoints.rest.resources import RESOURCES, Resource


def resource_mappings() -> list[ResourceMapping]:
    """Every endpoint a role can be given, as registered in rs-admin (remote-services.md 5.3)."""
    return [_mapping(resource) for resource in RESOURCES]


def _mapping(resource: Resource) -> ResourceMapping:
    return ResourceMapping(
        access=ResourceAccess(role=resource.default_role, description=resource.description),
        full_path=resource.template,
        controller=resource.controller,
        method=resource.verb,
        authorized_roles=[AuthorizedRole(authority=f"ROLE_{resource.default_role}")],
    )
