"""Endpoints for monitoring: health, build and metrics (rest.md 11.7).

They are open to all. The chapter asks for a token or any ``scope``, which any caller can write.
"""

from collections.abc import Awaitable, Callable, Collection
from importlib.metadata import version
from typing import Final

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest

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

READINESS: Final = frozenset({"db"})
"""Components without which no request can be answered."""


class Metrics:
    """The metrics of this process."""

    def __init__(
        self,
        registry: CollectorRegistry = REGISTRY,
        refresh: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """``refresh``: brings the metrics up to date that nothing counts."""
        self._registry = registry
        self._refresh = refresh

    async def text(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        if self._refresh is not None:
            await self._refresh()
        return generate_latest(self._registry)


def actuator_router(health: Health, metrics: Metrics) -> APIRouter:
    """Return the router of the monitoring endpoints."""
    router = APIRouter(prefix="/actuator", tags=["actuator"])
    _serve_health(router, health)
    _serve_probes(router, health)
    _serve_build(router)
    _serve_metrics(router, metrics)
    return router


def _serve_health(router: APIRouter, health: Health) -> None:
    @router.get(
        "/health",
        summary="Get the health of the service and its components",
        operation_id="get_health",
        response_model=HealthReport,
        responses={503: {"model": HealthReport, "description": "A component is DOWN"}},
    )
    async def get_health(request: Request) -> Response:
        """UP if every component is up, else DOWN and status 503."""
        return _health_answer(request, await _report(health))


def _serve_probes(router: APIRouter, health: Health) -> None:
    @router.get(
        "/health/liveness",
        summary="Get whether the process works",
        operation_id="get_liveness_probe",
        response_model=HealthReport,
    )
    async def get_liveness_probe(request: Request) -> Response:
        """UP as long as the process answers. Nothing that a restart can't repair makes it DOWN."""
        return json_answer(request, HealthReport(status=HealthStatus.UP, components={}).to_wire())

    @router.get(
        "/health/readiness",
        summary="Get whether the process can answer requests",
        operation_id="get_readiness_probe",
        response_model=HealthReport,
        responses={503: {"model": HealthReport, "description": "The database is DOWN"}},
    )
    async def get_readiness_probe(request: Request) -> Response:
        """UP if the database answers. Requests need neither the broker nor the relay."""
        return _health_answer(request, await _report(health, only=READINESS))


def _health_answer(request: Request, report: HealthReport) -> Response:
    down = report.status is HealthStatus.DOWN
    return json_answer(request, report.to_wire(), 503 if down else 200)


def _serve_build(router: APIRouter) -> None:
    @router.get(
        "/info",
        summary="Get the name and version of the service",
        operation_id="get_info",
        response_model=BuildInfo,
    )
    async def info(request: Request) -> Response:
        """Name and version. The web interface takes any response as a sign that the service is up."""
        build = Build(name=SERVICE, version=version(SERVICE))
        return json_answer(request, BuildInfo(build=build).to_wire())


def _serve_metrics(router: APIRouter, metrics: Metrics) -> None:
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
        """All metrics in the text format of Prometheus."""
        return Response(await metrics.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _report(health: Health, only: Collection[str] = ()) -> HealthReport:
    components = {
        name: ComponentStatus(
            status=component.status, details=dict(component.details) if component.details else None
        )
        for name, component in (await health.check()).items()
        if not only or name in only
    }
    down = any(component.status is HealthStatus.DOWN for component in components.values())
    return HealthReport(
        status=HealthStatus.DOWN if down else HealthStatus.UP, components=components
    )
