"""For those who watch the service: health and metrics (rest.md 11.7).

Open to all: the chapter's condition, a token or any ``scope``, is met by whoever writes one.
"""

from collections.abc import Mapping

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from rs_order.entrypoints.rest.services import RestServices
from rs_order.ports.health import ComponentHealth, HealthStatus


def actuator_router(services: RestServices) -> APIRouter:
    router = APIRouter(prefix="/actuator", tags=["actuator"])

    @router.get("/health")
    async def health() -> JSONResponse:
        """UP when the service can do its work, else DOWN and 503."""
        return _health_answer(await services.health.check())

    @router.get("/prometheus", response_class=Response)
    async def prometheus() -> Response:
        """All metrics, in the text format of Prometheus."""
        return Response(
            generate_latest(services.metrics), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

    return router


def _health_answer(components: Mapping[str, ComponentHealth]) -> JSONResponse:
    down = any(component.status is HealthStatus.DOWN for component in components.values())
    body = {
        "status": HealthStatus.DOWN if down else HealthStatus.UP,
        "components": {name: _component(component) for name, component in components.items()},
    }
    return JSONResponse(body, 503 if down else 200)


def _component(component: ComponentHealth) -> dict[str, object]:
    details = {"details": dict(component.details)} if component.details else {}
    return {"status": component.status, **details}
