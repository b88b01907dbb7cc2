"""Wrong passwords are counted by all processes together."""

from datetime import timedelta

import pytest

from rs_order.store.pool import Pool
from rs_order.store.wrong_passwords import WrongPasswords
from tests.integration.app_harness import TENANT
from tests.support.clock import ManualClock
from tests.support.rows import in_tenant


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


async def test_the_sixth_wrong_password_within_a_minute_waits_in_every_process(
    pool: Pool, clock: ManualClock
) -> None:
    """They count by project and name, upper and lower case are the same, and old ones are forgotten."""
    one, other = WrongPasswords(pool, clock), WrongPasswords(pool, clock)
    for counting in (one, other, one, other, one):
        assert await other.wait("project1", "jane") == 0
        await counting.count("project1", "jane")
        clock.move(seconds=2)

    assert await one.wait("project1", "jane") == 50
    assert await other.wait("project1", "JANE") == 50
    assert await other.wait("project2", "jane") == 0
    assert await other.wait("project1", "john") == 0
    clock.move(seconds=50)
    assert await one.wait("project1", "jane") == 0
    await one.count("project1", "john")
    async with in_tenant(pool, TENANT) as connection:
        kept = await connection.fetchval("select min(at) from rs_order.wrong_password")
    assert kept > clock.now() - timedelta(seconds=60)


async def test_a_correct_password_forgets_the_wrong_ones(pool: Pool, clock: ManualClock) -> None:
    wrong = WrongPasswords(pool, clock)
    for _ in range(5):
        await wrong.count("project1", "jane")
    await wrong.forget("project1", "jane")

    assert await wrong.wait("project1", "jane") == 0
