"""The connections to projects at rs-admin-instance (remote-services.md 6.4)."""

import aiohttp
import pytest

from rs_order.domain.ids import Tenant
from rs_order.ports import BadResponse, ConnectionState, RemoteRejection, RemoteUnavailable
from rs_order.regards.admin import RegardsConnections
from rs_order.regards.http import RemoteService, TokenIssuer
from rs_order.sandbox.faults import Outage, OutageMode, Service
from rs_order.sandbox.published_events import ConnectionEvent
from rs_order.sandbox.simulated_platform import Sandbox
from tests.regards.conftest import DEMO

PROJECT1, PROJECT2 = Tenant("project1"), Tenant("project2")


@pytest.fixture
def connections(
    sandbox: Sandbox, client: aiohttp.ClientSession, tokens: TokenIssuer
) -> RegardsConnections:
    service = RemoteService("rs-admin-instance", sandbox.urls["ADMIN_INSTANCE_URL"], client)
    return RegardsConnections(service, tokens)


async def test_projects_to_be_served(connections: RegardsConnections, sandbox: Sandbox) -> None:
    """These are projects in any state but disabled, whose connection was not deleted."""
    sandbox.add_tenant(PROJECT2)
    sandbox.projects.report("rs-order", {"tenant": DEMO, "state": "DISABLED"})
    before = await connections.wanted()
    sandbox.projects.report("rs-order", {"tenant": PROJECT2, "state": "ERROR"})
    sandbox.announce_connection(PROJECT1, ConnectionEvent.DELETED)
    after = await connections.wanted()

    assert (before, after) == ([PROJECT1, PROJECT2], [PROJECT2])
    assert {(call.role, call.status) for call in sandbox.calls.recent("rs-admin-instance")} == {
        ("ROLE_SYS_rs-order", 200)
    }


@pytest.mark.parametrize("mode", [OutageMode.GARBAGE, OutageMode.EMPTY, OutageMode.NONSENSE])
async def test_a_bad_response_is_no_list_of_projects(
    connections: RegardsConnections, sandbox: Sandbox, mode: OutageMode
) -> None:
    """As an empty list it would silently leave all projects unserved."""
    sandbox.faults.outages = {Service.ADMIN_INSTANCE: Outage(mode=mode)}

    with pytest.raises(BadResponse):
        await connections.wanted()


async def test_the_body_of_a_report(connections: RegardsConnections, sandbox: Sandbox) -> None:
    """It has tenant and state, and the cause of an error."""
    await connections.report(DEMO, ConnectionState.CONNECTING)
    await connections.report(DEMO, ConnectionState.ERROR, "because")

    assert sandbox.projects.connection_states["rs-order", DEMO] == [
        {"tenant": "demo", "state": "CONNECTING"},
        {"tenant": "demo", "state": "ERROR", "errorCause": "because"},
    ]


async def test_reports_that_are_not_accepted(
    connections: RegardsConnections, sandbox: Sandbox
) -> None:
    """A report about an unknown project is rejected; while the service is down it may be tried again."""
    with pytest.raises(RemoteRejection):
        await connections.report(PROJECT2, ConnectionState.ENABLED)
    sandbox.faults.outages = {Service.ADMIN_INSTANCE: Outage(mode=OutageMode.DOWN)}
    with pytest.raises(RemoteUnavailable):
        await connections.report(DEMO, ConnectionState.ENABLED)
