"""All simulated services and the control interface as one application, each with its own prefix."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp

from rs_order.sandbox.control import control_router
from rs_order.sandbox.control_platform import platform_control_router
from rs_order.sandbox.file_hosts import dam_router, external_router, storage_router
from rs_order.sandbox.gate import Gate
from rs_order.sandbox.query_matchers import QueryError
from rs_order.sandbox.service_answers import failure
from rs_order.sandbox.simulated_admin import admin_instance_router, admin_router
from rs_order.sandbox.simulated_catalog import catalog_router
from rs_order.sandbox.simulated_platform import Sandbox
from rs_order.sandbox.simulated_processing import processing_router


def build_app(sandbox: Sandbox, jwt_key: str) -> ASGIApp:
    app = FastAPI(title="REGARDS sandbox", docs_url="/sandbox/docs", redoc_url=None)
    holdings, faults = sandbox.holdings, sandbox.faults
    app.include_router(catalog_router(holdings, faults, sandbox.directory))
    app.include_router(storage_router(holdings, sandbox.restores, sandbox.quotas, faults))
    app.include_router(dam_router(holdings, faults))
    app.include_router(processing_router(sandbox.processes, sandbox.executions, faults))
    app.include_router(admin_router(sandbox.directory, sandbox.roles))
    app.include_router(admin_instance_router(sandbox.projects, sandbox.mailbox, faults))
    app.include_router(external_router(holdings, faults))
    app.include_router(control_router(sandbox))
    app.include_router(platform_control_router(sandbox))
    app.add_exception_handler(QueryError, _reject_query)
    app.add_exception_handler(RequestValidationError, _reject_body)
    app.add_exception_handler(HTTPException, _reject_route)
    return Gate(app, faults=faults, calls=sandbox.calls, tenants=sandbox.projects, jwt_key=jwt_key)


async def _reject_query(_request: Request, error: Exception) -> Response:
    """Answer 400 to a query that can't be parsed or has an unknown field (remote-services.md 2.5)."""
    return failure(400, str(error))


async def _reject_body(_request: Request, error: Exception) -> Response:
    details = error.errors() if isinstance(error, RequestValidationError) else []
    return failure(422, *(f"{'.'.join(map(str, one['loc'][1:]))}: {one['msg']}" for one in details))


async def _reject_route(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    return failure(error.status_code, error.detail)
