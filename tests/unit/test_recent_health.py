"""Health costs one check per second, however many ask (F14)."""

import asyncio
from collections.abc import Mapping

import pytest

from rs_order.app.health import RecentHealth
from rs_order.contracts.administration import HealthStatus
from rs_order.ports import ComponentHealth


class SlowHealth:
    """Implements ``Health``; a check ends when the test lets it."""

    def __init__(self) -> None:
        self.checks = 0
        self.go_on = asyncio.Event()
        self.status = HealthStatus.UP

    async def check(self) -> Mapping[str, ComponentHealth]:
        self.checks += 1
        await self.go_on.wait()
        return {"db": ComponentHealth(self.status)}


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


async def test_callers_share_a_check() -> None:
    """300 callers took 300 connections of the pool, and health was DOWN."""
    health, clock = SlowHealth(), Clock()
    recent = RecentHealth(health, now=clock)
    callers = [asyncio.create_task(recent.check()) for _ in range(300)]
    await asyncio.sleep(0)
    callers[0].cancel()
    health.go_on.set()
    answers = await asyncio.gather(*callers[1:])

    assert health.checks == 1
    assert all(answer == {"db": ComponentHealth(HealthStatus.UP)} for answer in answers)


@pytest.mark.parametrize(
    ("status", "seconds", "checks"),
    [
        (HealthStatus.UP, 0.9, 1),
        (HealthStatus.UP, 1.0, 2),
        (HealthStatus.DOWN, 0.1, 1),
        (HealthStatus.DOWN, 0.2, 2),
    ],
)
async def test_a_check_answers_for_a_second(
    status: HealthStatus, seconds: float, checks: int
) -> None:
    """While a component is DOWN, its end is noticed sooner."""
    health, clock = SlowHealth(), Clock()
    health.status = status
    health.go_on.set()
    recent = RecentHealth(health, now=clock)
    await recent.check()
    clock.now += seconds + 1e-6
    await recent.check()

    assert health.checks == checks
