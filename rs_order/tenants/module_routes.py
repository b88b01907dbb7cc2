"""Serves the configuration as a file, readiness and restart (rest.md 11.3).

The names of the endpoint functions are the operation ids of the OpenAPI document, and don't change.
"""

from typing import Annotated, Final

import orjson
from fastapi import APIRouter, File, Request, Response, UploadFile

from rs_order.contracts.administration import HealthStatus, Readiness
from rs_order.contracts.setting_bodies import ExportedConfiguration, ImportReport
from rs_order.domain.identity import SERVICE
from rs_order.ports import Health
from rs_order.rest.access import Access, audit_actor
from rs_order.rest.answers import json_answer
from rs_order.rest.resources import (
    CHECK_CONFIGURATION,
    CHECK_READINESS,
    CHECK_RESTART,
    EXPORT_CONFIGURATION,
    GET_READINESS,
    IMPORT_CONFIGURATION,
    RESTART_MODULES,
)
from rs_order.rest.routing import AuthorisedCaller, Endpoints
from rs_order.tenants.module_configuration import ExportConfiguration, ImportConfiguration

_FILE_NAME: Final = f"config-{SERVICE}.json"

ConfigurationFile = Annotated[
    UploadFile, File(description="A configuration in the form of an export.")
]


def modules_router(
    access: Access, exporter: ExportConfiguration, importer: ImportConfiguration, health: Health
) -> APIRouter:
    """Return the endpoints that the platform expects of every microservice."""
    endpoints = Endpoints(access, tag="modules")
    _serve_configuration(endpoints, exporter, importer)
    _serve_readiness(endpoints, health)
    _serve_restart(endpoints)
    return endpoints.router


def _serve_configuration(
    endpoints: Endpoints, exporter: ExportConfiguration, importer: ImportConfiguration
) -> None:
    @endpoints.serve(CHECK_CONFIGURATION)
    async def tell_configuration() -> Response:
        """Confirm that the configuration can be exported and imported."""
        return Response()

    @endpoints.serve(EXPORT_CONFIGURATION, model=ExportedConfiguration)
    async def export_configuration(caller: AuthorisedCaller) -> Response:
        """Return the settings of the caller's project as a file that can be imported."""
        exported = await exporter.handle(caller.tenant)
        return Response(
            orjson.dumps(exported.to_wire(), option=orjson.OPT_INDENT_2),
            media_type="application/json",
            headers={"Content-Disposition": f'attachment; filename="{_FILE_NAME}"'},
        )

    @endpoints.serve(
        IMPORT_CONFIGURATION,
        success=201,
        responses={422: "The file can't be read, or belongs to another microservice"},
        documented={
            206: {"model": list[ImportReport], "description": "A part of the file was imported"},
            409: {"model": list[ImportReport], "description": "Nothing was imported"},
        },
    )
    async def import_configuration(
        request: Request, caller: AuthorisedCaller, file: ConfigurationFile
    ) -> Response:
        """Set the settings that a file contains. A wrong setting doesn't prevent the others."""
        reports = await importer.handle(caller.tenant, await file.read(), by=audit_actor(caller))
        if not any(report.import_errors for report in reports):
            return Response(status_code=201)
        all_failed = all(report.only_errors for report in reports)
        return json_answer(
            request, [report.to_wire() for report in reports], 409 if all_failed else 206
        )


def _serve_readiness(endpoints: Endpoints, health: Health) -> None:
    @endpoints.serve(CHECK_READINESS)
    async def tell_readiness() -> Response:
        """Confirm that the service reports its readiness."""
        return Response()

    @endpoints.serve(GET_READINESS, model=Readiness)
    async def get_readiness(request: Request) -> Response:
        """Return whether the service is UP, and if it isn't, the components that are DOWN."""
        components = await health.check()
        reasons = [
            f"{name} is DOWN"
            for name, component in components.items()
            if component.status is HealthStatus.DOWN
        ]
        return json_answer(request, Readiness(ready=not reasons, reasons=reasons).to_wire())


def _serve_restart(endpoints: Endpoints) -> None:
    @endpoints.serve(
        CHECK_RESTART, success=501, documented={501: {"description": "No module can be restarted"}}
    )
    async def tell_restart() -> Response:
        """Answer that the modules of this service can't be restarted one by one."""
        return Response(status_code=501)

    @endpoints.serve(
        RESTART_MODULES,
        documented={
            200: {
                "description": "One report for each module",
                "content": {
                    "application/json": {
                        "schema": {"type": "array", "maxItems": 0, "items": {}},
                        "example": [],
                    }
                },
            }
        },
    )
    async def restart_modules(request: Request) -> Response:
        """Return the empty list: no module can be restarted, so there is no report."""
        return json_answer(request, [])
