"""The list of endpoints that roles can be given (rest.md 11.6)."""

from typing import Final

from fastapi import APIRouter, Request, Response

from rs_order.contracts.resource import ResourceMapping
from rs_order.contracts.roles import PUBLIC
from rs_order.entrypoints.rest.answers import json_answer
from rs_order.entrypoints.rest.resource_mappings import resource_mappings
from rs_order.entrypoints.rest.resources import Resource
from rs_order.entrypoints.rest.routing import Endpoints
from rs_order.entrypoints.rest.services import RestServices

LIST_RESOURCES: Final = Resource(
    "GET", "/security/resources", PUBLIC, "", "List what roles can be given", of_tenant=False
)
"""For whoever is authenticated: no role is asked for, so it is no resource of the list itself."""


def security_router(services: RestServices) -> APIRouter:
    endpoints = Endpoints(services, tag="security")

    @endpoints.serve(LIST_RESOURCES, model=list[ResourceMapping])
    async def list_resources(request: Request) -> Response:
        """Every endpoint of the service with the role it is given by default."""
        return json_answer(request, [mapping.to_wire() for mapping in resource_mappings()])

    return endpoints.router
