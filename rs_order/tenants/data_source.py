"""Tests the database behind a tenant, and shows the use of its connections (rest.md 11.4)."""

from typing import Any

from fastapi import APIRouter, Request, Response

from rs_order.contracts.administration import ConnectionProperties, DataSourceStatus, DataSourceTest
from rs_order.domain.ids import Tenant
from rs_order.rest.access import Access, is_served, require_own_tenant
from rs_order.rest.answers import json_answer
from rs_order.rest.errors import HttpError
from rs_order.rest.parameters import TenantInPath
from rs_order.rest.resources import GET_DATA_SOURCE_STATUS, TEST_DATA_SOURCE
from rs_order.rest.routing import AuthorisedCaller, Endpoints
from rs_order.store.errors import StoreUnavailable
from rs_order.store.tenants import ConnectionUse, DataSource


def data_source_router(access: Access, data_source: DataSource) -> APIRouter:
    """Return the endpoints about the data source of a project."""
    endpoints = Endpoints(access, tag="data source")

    @endpoints.serve(
        TEST_DATA_SOURCE,
        model=DataSourceTest,
        documented={
            400: {
                "model": DataSourceTest,
                "description": "The database doesn't answer, or the project isn't served here",
            }
        },
    )
    async def test_data_source(
        request: Request, caller: AuthorisedCaller, tenant: TenantInPath
    ) -> Response:
        """Read a table in the schema of the project."""
        require_own_tenant(caller, tenant)
        if not await is_served(access, tenant):
            return json_answer(request, _result(_unknown(tenant)), 400)
        return await _tested(request, data_source, Tenant(tenant))

    @endpoints.serve(
        GET_DATA_SOURCE_STATUS,
        model=DataSourceStatus,
        responses={400: "This deployment doesn't serve the project"},
    )
    async def get_data_source_status(request: Request, tenant: TenantInPath) -> Response:
        """Return the use of connections by the process that answers. All projects share them."""
        if not await is_served(access, tenant):
            raise HttpError(400, _unknown(tenant))
        properties = _properties(data_source.use())
        return json_answer(request, DataSourceStatus(properties=properties).to_wire())

    return endpoints.router


async def _tested(request: Request, data_source: DataSource, tenant: Tenant) -> Response:
    try:
        await data_source.test(tenant)
    except StoreUnavailable as error:
        # The response names only the class of the cause: the text may contain hosts and users.
        cause = type(error.__cause__).__name__
        return json_answer(
            request, _result(f"The database of {tenant} doesn't answer: {cause}"), 400
        )
    return json_answer(request, _result(f"The database of {tenant} answers"))


def _properties(use: ConnectionUse) -> ConnectionProperties:
    return ConnectionProperties(
        most=use.most,
        fewest=use.fewest,
        idle_milliseconds=use.idle_milliseconds,
        open=use.open,
        idle=use.idle,
        active=use.active,
    )


def _unknown(tenant: str) -> str:
    return f"There is no project {tenant} here"


def _result(message: str) -> dict[str, Any]:
    return DataSourceTest(message=message, properties={}).to_wire()
