"""For those who watch the service: health, build and metrics (rest.md 11.7).

Open to all: the chapter's condition, a token or any ``scope``, is met by whoever writes one.
"""

from importlib.metadata import version

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from rs_order.contracts.administration import (
    Build,
    BuildInfo,
    ComponentStatus,
    HealthReport,
    HealthStatus,
)
from rs_order.domain.identity import SERVICE
from rs_order.ports import Health
from rs_order.rest.answers import json_answer


def actuator_router(health: Health, metrics: CollectorRegistry) -> APIRouter:
    """Return the routes that operators and orchestrators read."""
    router = APIRouter(prefix="/actuator", tags=["actuator"])
    _serve_health(router, health)
    _serve_build(router)
    _serve_metrics(router, metrics)
    return router


def _serve_health(router: APIRouter, health: Health) -> None:
    @router.get(
        "/health",
        summary="Tell whether the service can do its work",
        operation_id="get_health",
        response_model=HealthReport,
        responses={503: {"model": HealthReport, "description": "Something it needs is DOWN"}},
    )
    async def get_health(request: Request) -> Response:
        """UP when the service can do its work, else DOWN and 503."""
        report = await _report(health)
        down = report.status is HealthStatus.DOWN
        return json_answer(request, report.to_wire(), 503 if down else 200)


def _serve_build(router: APIRouter) -> None:
    @router.get(
        "/info",
        summary="Tell what is running",
        operation_id="get_info",
        response_model=BuildInfo,
    )
    async def info(request: Request) -> Response:
        """Name and version; for the web interface, any answer means that the service is up."""
        build = Build(name=SERVICE, version=version(SERVICE))
        return json_answer(request, BuildInfo(build=build).to_wire())


def _serve_metrics(router: APIRouter, metrics: CollectorRegistry) -> None:
    @router.get(
        "/prometheus",
        summary="Get the metrics",
        operation_id="get_metrics",
        response_class=Response,
        responses={
            200: {
                "description": "Metrics",
                "content": {"text/plain": {"example": "rs_order_acknowledged_total 1.0\n"}},
            }
        },
    )
    async def prometheus() -> Response:
        """All metrics, in the text format of Prometheus."""
        return Response(generate_latest(metrics), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _report(health: Health) -> HealthReport:
    components = {
        name: ComponentStatus(
            status=component.status, details=dict(component.details) if component.details else None
        )
        for name, component in (await health.check()).items()
    }
    down = any(component.status is HealthStatus.DOWN for component in components.values())
    return HealthReport(
        status=HealthStatus.DOWN if down else HealthStatus.UP, components=components
    )
