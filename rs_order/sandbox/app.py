"""All simulated services as one application, each below its own prefix."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp

from rs_order.sandbox.admin import admin_router
from rs_order.sandbox.admin_instance import admin_instance_router
from rs_order.sandbox.answers import failure
from rs_order.sandbox.catalog import catalog_router
from rs_order.sandbox.control import control_router
from rs_order.sandbox.control_platform import platform_control_router
from rs_order.sandbox.dam import dam_router
from rs_order.sandbox.executions import batches_router
from rs_order.sandbox.external import external_router
from rs_order.sandbox.gate import Gate
from rs_order.sandbox.matchers import QueryError
from rs_order.sandbox.processing import processing_router
from rs_order.sandbox.storage import storage_router

if TYPE_CHECKING:
    from rs_order.sandbox.sandbox import Sandbox


def build_app(sandbox: Sandbox, jwt_key: str) -> ASGIApp:
    app = FastAPI(title="REGARDS sandbox", docs_url="/sandbox/docs", redoc_url=None)
    holdings, faults = sandbox.holdings, sandbox.faults
    app.include_router(catalog_router(holdings, faults, sandbox.directory))
    app.include_router(storage_router(holdings, sandbox.restores, sandbox.quotas, faults))
    app.include_router(dam_router(holdings, faults))
    app.include_router(processing_router(sandbox.processes))
    app.include_router(batches_router(sandbox.executions, faults))
    app.include_router(admin_router(sandbox.directory, sandbox.roles))
    app.include_router(admin_instance_router(sandbox.projects, sandbox.mailbox, faults))
    app.include_router(external_router(holdings, faults))
    app.include_router(control_router(sandbox))
    app.include_router(platform_control_router(sandbox))
    app.add_exception_handler(QueryError, _refuse_query)
    app.add_exception_handler(RequestValidationError, _refuse_body)
    app.add_exception_handler(HTTPException, _refuse_route)
    return Gate(app, faults=faults, calls=sandbox.calls, tenants=sandbox.projects, jwt_key=jwt_key)


async def _refuse_query(_request: Request, error: Exception) -> Response:
    """A query that can't be parsed, or an unknown field (remote-services.md 2.5)."""
    return failure(400, str(error))


async def _refuse_body(_request: Request, error: Exception) -> Response:
    details = error.errors() if isinstance(error, RequestValidationError) else []
    return failure(422, *(f"{'.'.join(map(str, one['loc'][1:]))}: {one['msg']}" for one in details))


async def _refuse_route(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    return failure(error.status_code, error.detail)
