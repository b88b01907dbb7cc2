"""Users and projects of rs-admin and rs-admin-instance, and how long their answers are cached."""

import asyncio
from datetime import timedelta

import pytest

from rs_order.domain.ids import Tenant
from rs_order.ports import BadResponse, RemoteUnavailable, User
from rs_order.regards.admin import RegardsProjects, RegardsUsers
from rs_order.sandbox import user_directory as known
from rs_order.sandbox.faults import Outage, OutageMode, Service
from rs_order.sandbox.simulated_platform import Sandbox
from tests.regards.conftest import DEMO
from tests.support.clock import ManualClock

JANE = "jane@example.org"
NOBODY = "nobody@example.org"
PROJECT1 = Tenant("project1")


async def test_user_and_role(users: RegardsUsers) -> None:
    """A known user has the role of rs-admin; an unknown one is None."""
    assert User(JANE, "REGISTERED_USER") == await users.find(DEMO, JANE)
    assert None is await users.find(DEMO, NOBODY)


async def test_users_are_cached_for_a_limited_time(
    users: RegardsUsers, sandbox: Sandbox, clock: ManualClock
) -> None:
    """A known user is cached for 5 minutes, an unknown one for 30 seconds (decisions.md, User cache)."""

    async def calls_at(seconds: float) -> int:
        clock.ahead = timedelta(seconds=seconds)
        before = len(sandbox.calls.recent("rs-admin"))
        await users.find(DEMO, JANE)
        await users.find(DEMO, NOBODY)
        return len(sandbox.calls.recent("rs-admin")) - before

    assert [await calls_at(at) for at in (0, 29, 31, 60, 299, 301)] == [2, 0, 1, 0, 1, 1]


async def test_w34_users_are_cached_per_tenant(users: RegardsUsers, sandbox: Sandbox) -> None:
    """The same e-mail is requested in each tenant."""
    await users.find(DEMO, JANE)
    await users.find(PROJECT1, JANE)

    assert [call.tenant for call in sandbox.calls.recent("rs-admin")] == ["demo", "project1"]


@pytest.mark.parametrize("mode", list(OutageMode))
async def test_a_failure_of_rs_admin_is_not_cached(
    users: RegardsUsers, sandbox: Sandbox, mode: OutageMode
) -> None:
    """It is raised, and the next call asks again."""
    sandbox.faults.outages = {Service.ADMIN: Outage(mode=mode, status=500, seconds=5, calls=1)}

    with pytest.raises(RemoteUnavailable):
        await users.find(DEMO, JANE)

    assert User(JANE, "REGISTERED_USER") == await users.find(DEMO, JANE)


async def test_simultaneous_look_ups_share_one_call(users: RegardsUsers, sandbox: Sandbox) -> None:
    """A batch of requests of one user costs one call, even if one of the waiters is cancelled."""
    asking = [asyncio.create_task(users.find(DEMO, JANE)) for _ in range(50)]
    await asyncio.sleep(0)
    asking[0].cancel()

    answers = await asyncio.gather(*asking, return_exceptions=True)

    assert isinstance(answers[0], asyncio.CancelledError)
    assert [User(JANE, "REGISTERED_USER")] * 49 == answers[1:]
    assert len(sandbox.calls.recent("rs-admin")) == 1


async def test_administrators(users: RegardsUsers, sandbox: Sandbox, clock: ManualClock) -> None:
    """The answer of rs-admin is cached for 10 minutes."""
    assert await users.is_admin(DEMO, "admin@example.org")
    assert not await users.is_admin(DEMO, JANE)
    clock.ahead = timedelta(seconds=599)
    await users.is_admin(DEMO, JANE)
    assert len(sandbox.calls.recent("rs-admin")) == 2
    clock.ahead = timedelta(seconds=601)
    await users.is_admin(DEMO, JANE)

    assert len(sandbox.calls.recent("rs-admin")) == 3


async def test_w34_administrators_of_one_tenant_are_not_those_of_another(
    users: RegardsUsers, sandbox: Sandbox
) -> None:
    """The cached answer of one tenant doesn't count in the other."""
    sandbox.directory.put(known.User(email="local@example.org", role="ADMIN", tenants={"project1"}))

    for _ in range(2):
        assert await users.is_admin(PROJECT1, "local@example.org")
        assert not await users.is_admin(DEMO, "local@example.org")

    calls = sandbox.calls.recent("rs-admin")
    assert [call.tenant for call in calls] == ["project1", "demo"]


async def test_a_bad_response_does_not_mean_that_a_user_is_no_administrator(
    users: RegardsUsers, sandbox: Sandbox
) -> None:
    """An answer that is neither true nor false is an error."""
    sandbox.faults.outages = {Service.ADMIN: Outage(mode=OutageMode.GARBAGE)}

    with pytest.raises(BadResponse):
        await users.is_admin(DEMO, JANE)


async def test_host_of_a_project(
    projects: RegardsProjects, sandbox: Sandbox, clock: ManualClock
) -> None:
    """It is cached for 5 minutes; the service requests it under its own identity."""
    for at in (0, 299, 301):
        clock.ahead = timedelta(seconds=at)
        assert await projects.host(DEMO) == "http://localhost:9043"

    calls = sandbox.calls.recent("rs-admin-instance")
    assert [call.role for call in calls] == ["ROLE_SYS_rs-order"] * 2


async def test_projects_without_host(projects: RegardsProjects, sandbox: Sandbox) -> None:
    """A project without host and an unknown project both have None."""
    sandbox.faults.project_without_host = True

    assert None is await projects.host(DEMO)
    assert None is await projects.host(Tenant("nosuchproject"))


async def test_instance_that_answers_garbage(projects: RegardsProjects, sandbox: Sandbox) -> None:
    """As a missing host it would lead to responses without links."""
    sandbox.faults.outages = {Service.ADMIN_INSTANCE: Outage(mode=OutageMode.GARBAGE)}

    with pytest.raises(BadResponse):
        await projects.host(DEMO)
