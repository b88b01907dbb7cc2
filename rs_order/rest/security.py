"""The list of endpoints that rs-admin registers and shows (rest.md 11.6)."""

from typing import Final

from fastapi import APIRouter, Request, Response

from rs_order.contracts.administration import AuthorizedRole, ResourceAccess, ResourceMapping
from rs_order.contracts.platform_names import PUBLIC
from rs_order.ports import Resource
from rs_order.rest.access import Access
from rs_order.rest.answers import json_answer
from rs_order.rest.resources import RESOURCES
from rs_order.rest.routing import Endpoints


def resource_mappings() -> list[ResourceMapping]:
    """Return the endpoints that roles can be given, as registered in rs-admin (remote-services.md 5.3)."""
    return [_mapping(resource) for resource in RESOURCES]


def _mapping(resource: Resource) -> ResourceMapping:
    return ResourceMapping(
        access=ResourceAccess(role=resource.default_role, description=resource.description),
        full_path=resource.template,
        controller=resource.controller,
        method=resource.verb,
        authorized_roles=[AuthorizedRole(authority=f"ROLE_{resource.default_role}")],
    )


LIST_RESOURCES: Final = Resource(
    "GET", "/security/resources", PUBLIC, "", "List what roles can be given", of_tenant=False
)
"""Open to all authenticated callers, whatever their role. So it isn't itself part of the list."""


def security_router(access: Access) -> APIRouter:
    endpoints = Endpoints(access, tag="security")

    @endpoints.serve(LIST_RESOURCES, model=list[ResourceMapping])
    async def list_resources(request: Request) -> Response:
        """Every endpoint of the service with its default role."""
        return json_answer(request, [mapping.to_wire() for mapping in resource_mappings()])

    return endpoints.router
