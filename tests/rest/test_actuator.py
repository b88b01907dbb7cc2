"""Health and metrics (rest.md 11.7)."""

import httpx
import pytest

from rs_order.app.rest import create_app
from rs_order.contracts.administration import HealthStatus
from rs_order.ports import ComponentHealth
from tests.rest.conftest import FakeHealth, MakeApp, bearer

pytestmark = pytest.mark.parametrize("downloadable", ["memory"], indirect=True)
"""No test of this module reads an order, so one kind of store is enough."""


@pytest.fixture
def make_app() -> MakeApp:
    return create_app


async def test_health_is_up_and_needs_no_token(base_url: str) -> None:
    """The response is UP with the components."""
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        answer = await client.get(f"{base_url}/actuator/health?scope=instance")

    assert (
        answer.status_code,
        answer.json(),
    ) == (200, {"status": "UP", "components": {"db": {"status": "UP"}}})


async def test_one_component_down_makes_the_service_down(
    api: httpx.AsyncClient, health: FakeHealth
) -> None:
    """The response is 503 with the details of the component."""
    health.components["rabbit"] = ComponentHealth(HealthStatus.DOWN, {"error": "no connection"})

    answer = await api.get("/actuator/health")

    assert (answer.status_code, answer.json()["status"]) == (503, "DOWN")
    assert (answer.json()["components"]["rabbit"]) == {
        "status": "DOWN",
        "details": {"error": "no connection"},
    }


async def test_a_component_out_of_service_leaves_the_service_up(
    api: httpx.AsyncClient, health: FakeHealth
) -> None:
    """A tenant in maintenance doesn't affect other tenants."""
    health.components["maintenance"] = ComponentHealth(HealthStatus.OUT_OF_SERVICE)

    answer = await api.get("/actuator/health")

    assert (answer.status_code, answer.json()["status"]) == (200, "UP")


async def test_probes_of_an_orchestrator(api: httpx.AsyncClient, health: FakeHealth) -> None:
    """F31: a restart doesn't repair a broker, and requests don't need it."""
    health.components["rabbit"] = ComponentHealth(HealthStatus.DOWN)
    assert (await statuses(api)) == {"": 503, "/liveness": 200, "/readiness": 200}

    health.components["db"] = ComponentHealth(HealthStatus.DOWN, {"error": "TimeoutError"})
    assert (await statuses(api)) == {"": 503, "/liveness": 200, "/readiness": 503}
    readiness = (await api.get("/actuator/health/readiness")).json()
    assert readiness == {
        "status": "DOWN",
        "components": {"db": {"status": "DOWN", "details": {"error": "TimeoutError"}}},
    }


async def statuses(api: httpx.AsyncClient) -> dict[str, int]:
    return {
        probe: (await api.get(f"/actuator/health{probe}")).status_code
        for probe in ("", "/liveness", "/readiness")
    }


async def test_metrics(api: httpx.AsyncClient) -> None:
    """The response has all metrics of the registry in the text format of Prometheus."""
    answer = await api.get("/actuator/prometheus?scope=all")

    assert answer.headers["Content-Type"].startswith("text/plain")
    assert "orders_seen_total 1.0" in answer.text


async def test_readiness_is_health(api: httpx.AsyncClient, health: FakeHealth) -> None:
    """The service is ready while it is UP. Otherwise the DOWN components are the reasons (rest.md 11.3)."""
    headers = {"Authorization": f"Bearer {bearer(role='PROJECT_ADMIN')}"}
    health.components["maintenance"] = ComponentHealth(HealthStatus.OUT_OF_SERVICE)
    ready = await api.get("/microservice/ready", headers=headers)
    health.components["rabbit"] = ComponentHealth(HealthStatus.DOWN)
    unready = await api.get("/microservice/ready", headers=headers)

    assert ready.json() == {"ready": True, "reasons": []}
    assert unready.json() == {"ready": False, "reasons": ["rabbit is DOWN"]}
    assert unready.status_code == 200
