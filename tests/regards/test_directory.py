"""rs-admin and rs-admin-instance: verdicts, how long they hold, and what is no verdict."""

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
    """A known user has the role rs-admin gives him; an unknown one is None."""
    assert User(JANE, "REGISTERED_USER") == await users.find(DEMO, JANE)
    assert None is await users.find(DEMO, NOBODY)


async def test_verdicts_hold_for_their_time(
    users: RegardsUsers, sandbox: Sandbox, clock: ManualClock
) -> None:
    """A good verdict holds 5 minutes, a bad one 30 seconds (decisions.md, User cache)."""

    async def calls_at(seconds: float) -> int:
        clock.ahead = timedelta(seconds=seconds)
        before = len(sandbox.calls.recent("rs-admin"))
        await users.find(DEMO, JANE)
        await users.find(DEMO, NOBODY)
        return len(sandbox.calls.recent("rs-admin")) - before

    assert [await calls_at(at) for at in (0, 29, 31, 60, 299, 301)] == [2, 0, 1, 0, 1, 1]


async def test_w34_verdicts_never_cross_tenants(users: RegardsUsers, sandbox: Sandbox) -> None:
    """The same e-mail is asked for in each tenant."""
    await users.find(DEMO, JANE)
    await users.find(PROJECT1, JANE)

    assert [call.tenant for call in sandbox.calls.recent("rs-admin")] == ["demo", "project1"]


@pytest.mark.parametrize("mode", list(OutageMode))
async def test_an_admin_that_fails_gives_no_verdict(
    users: RegardsUsers, sandbox: Sandbox, mode: OutageMode
) -> None:
    """Trouble is raised, not remembered: the next call asks again."""
    sandbox.faults.outages = {Service.ADMIN: Outage(mode=mode, status=500, seconds=5, calls=1)}

    with pytest.raises(RemoteUnavailable):
        await users.find(DEMO, JANE)

    assert User(JANE, "REGISTERED_USER") == await users.find(DEMO, JANE)


async def test_simultaneous_questions_are_one_call(users: RegardsUsers, sandbox: Sandbox) -> None:
    """A batch of requests of one user costs one call, also when a waiter gives up."""
    asking = [asyncio.create_task(users.find(DEMO, JANE)) for _ in range(50)]
    await asyncio.sleep(0)
    asking[0].cancel()

    answers = await asyncio.gather(*asking, return_exceptions=True)

    assert isinstance(answers[0], asyncio.CancelledError)
    assert [User(JANE, "REGISTERED_USER")] * 49 == answers[1:]
    assert len(sandbox.calls.recent("rs-admin")) == 1


async def test_administrators(users: RegardsUsers, sandbox: Sandbox, clock: ManualClock) -> None:
    """rs-admin's word on administrators holds 10 minutes."""
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
    """Neither answer, though remembered, is taken for the other tenant."""
    sandbox.directory.put(known.User(email="local@example.org", role="ADMIN", tenants={"project1"}))

    for _ in range(2):
        assert await users.is_admin(PROJECT1, "local@example.org")
        assert not await users.is_admin(DEMO, "local@example.org")

    calls = sandbox.calls.recent("rs-admin")
    assert [call.tenant for call in calls] == ["project1", "demo"]


async def test_garbage_is_no_word_on_administrators(users: RegardsUsers, sandbox: Sandbox) -> None:
    """Neither true nor false isn't false."""
    sandbox.faults.outages = {Service.ADMIN: Outage(mode=OutageMode.GARBAGE)}

    with pytest.raises(BadResponse):
        await users.is_admin(DEMO, JANE)


async def test_host_of_a_project(
    projects: RegardsProjects, sandbox: Sandbox, clock: ManualClock
) -> None:
    """Known for 5 minutes, asked of rs-admin-instance as the service itself."""
    for at in (0, 299, 301):
        clock.ahead = timedelta(seconds=at)
        assert await projects.host(DEMO) == "http://localhost:9043"

    calls = sandbox.calls.recent("rs-admin-instance")
    assert [call.role for call in calls] == ["ROLE_SYS_rs-order"] * 2


async def test_projects_without_host(projects: RegardsProjects, sandbox: Sandbox) -> None:
    """No host and no project are both None."""
    sandbox.faults.project_without_host = True

    assert None is await projects.host(DEMO)
    assert None is await projects.host(Tenant("nosuchproject"))


async def test_instance_that_answers_garbage(projects: RegardsProjects, sandbox: Sandbox) -> None:
    """Taken for no host it would send out responses without links."""
    sandbox.faults.outages = {Service.ADMIN_INSTANCE: Outage(mode=OutageMode.GARBAGE)}

    with pytest.raises(BadResponse):
        await projects.host(DEMO)
