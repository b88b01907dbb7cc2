"""Projects that the platform adds and removes, with two instances (amqp.md 3.9, 5.9)."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aio_pika
import asyncpg
import pytest

from rs_order.app.serve import Role as ProcessRole
from rs_order.demo.servers.lifecycle import Servers
from rs_order.sandbox import published_events
from rs_order.sandbox.faults import Outage, OutageMode, Service
from rs_order.sandbox.published_events import ConnectionEvent
from rs_order.sandbox.role_registry import Role
from tests.acceptance.platform import Platform, running_platform
from tests.acceptance.shared_platform import EVE_01, REQUEST_QUEUE, fence, new_user
from tests.support.polling import eventually
from tests.support.reused_broker import ReusedBroker
from tests.support.servers import FreshBroker, fresh_database

NO_ORDER = "/user/orders/987654321/download"
TEMPLATE = "/user/orders/{orderId}/download"
CONNECTION_CREATED = (
    "regards.broadcast.fr.cnes.regards.framework.jpa.multitenant.event."
    "TenantConnectionConfigurationCreated"
)


@dataclass
class TwoInstances:
    """A deployment with an instance that does everything and one that only serves HTTP."""

    platform: Platform
    ports: tuple[int, int]

    async def answers(
        self, tenant: str, role: str = "REGISTERED_USER"
    ) -> list[tuple[int, list[str]]]:
        """Return the status and messages of each instance's response to a request for an unknown order."""
        found = []
        for port in self.ports:
            async with self.platform.client("jane@example.org", role, tenant) as client:
                answer = await client.get(f"http://127.0.0.1:{port}{NO_ORDER}")
                found.append((answer.status_code, answer.json()["messages"]))
        return found

    async def until_answers(self, tenant: str, expected: str, role: str = "EXPLOIT") -> None:
        """Wait until both instances respond with this message to a user of a project."""

        async def all_respond() -> bool:
            return all(messages == [expected] for _, messages in await self.answers(tenant, role))

        await eventually(all_respond, f"both instances: {expected}")

    async def until_served(self, tenant: str) -> None:
        await self.until_answers(tenant, "There is no order 987654321")

    async def until_unknown(self, tenant: str) -> None:
        await self.until_answers(tenant, f"There is no project {tenant} here")

    def states(self, tenant: str) -> list[str]:
        reported = self.platform.sandbox.projects.connection_states.get(("rs-order", tenant), [])
        return [one["state"] for one in reported]

    async def until_reported(self, tenant: str, state: str = "ENABLED") -> None:
        await self.platform.sandbox.projects.wait_for_state("rs-order", tenant, state)

    async def order(self, tenant: str) -> str:
        """Request an order in a project, and return its correlation id."""
        return await self.platform.peer.order(EVE_01, user=new_user(self.platform), tenant=tenant)


@pytest.fixture(scope="module")
async def _two(
    servers: Servers, _database_admin: asyncpg.Connection, _reused_broker: ReusedBroker
) -> AsyncIterator[TwoInstances]:
    async with (
        fresh_database(_database_admin, servers.database_url) as database_url,
        _reused_broker.virtual_hosts() as broker,
        running_platform(broker, database_url, remote_deadline=2) as platform,
        platform.service() as everything,
        platform.service(ProcessRole.API, amqp_microservice_instance_identifier="api") as rest_only,
    ):
        yield TwoInstances(platform, (everything, rest_only))


@pytest.fixture
async def two(_two: TwoInstances) -> AsyncIterator[TwoInstances]:
    yield _two
    _two.platform.sandbox.faults.outages = {}
    for tenant in [
        one for one in _two.platform.sandbox.projects if one not in {"project1", "project2"}
    ]:
        _two.platform.sandbox.remove_tenant(tenant)
        await _two.until_unknown(tenant)


async def test_a_new_project_is_provisioned_and_served(two: TwoInstances) -> None:
    """Its state is reported, its endpoints are registered, and every instance serves it."""
    two.platform.sandbox.add_tenant("newcomer")
    await two.until_reported("newcomer")
    response = await two.platform.peer.until_final(await two.order("newcomer"))
    await two.until_served("newcomer")

    assert response.status == "DONE"
    assert response.headers["regards.tenant"] == "newcomer"
    assert two.states("newcomer")[0] == "CONNECTING"
    assert two.platform.sandbox.roles.resources("newcomer", "EXPLOIT", "rs-order")


async def test_a_removed_project_is_unknown_until_it_returns(two: TwoInstances) -> None:
    """Meanwhile it is unknown over AMQP and to every instance; its data is kept."""
    two.platform.sandbox.add_tenant("migrant")
    await two.until_reported("migrant")
    done = await two.platform.peer.until_final(await two.order("migrant"))
    two.platform.sandbox.remove_tenant("migrant")
    await two.until_unknown("migrant")
    rejected = await two.order("migrant")
    dead_letter = await _dead_letter_of(two.platform, rejected)
    two.platform.sandbox.add_tenant("migrant")
    await two.until_served("migrant")
    async with two.platform.client("exploit@example.org", "EXPLOIT", "migrant") as client:
        zipped = await client.get(
            f"http://127.0.0.1:{two.ports[1]}/user/orders/{done.body['orderId']}/download"
        )

    assert dead_letter.headers["rs-order.reason"] == "unknown-tenant"
    assert two.platform.peer.responses(rejected) == []
    assert zipped.status_code == 200


async def _dead_letter_of(
    platform: Platform, correlation_id: str
) -> aio_pika.abc.AbstractIncomingMessage:
    while True:
        dead_letter = await platform.peer.dead_letter(f"{REQUEST_QUEUE}.DLQ")
        if json.loads(dead_letter.body)["correlationId"] == correlation_id:
            return dead_letter


async def test_a_project_without_connection_is_not_served(two: TwoInstances) -> None:
    """After its connection is deleted it is unknown; an updated connection makes it served again."""
    two.platform.sandbox.add_tenant("lodger")
    await two.until_served("lodger")
    two.platform.sandbox.announce_connection("lodger", ConnectionEvent.DELETED)
    await two.until_unknown("lodger")
    two.platform.sandbox.announce_connection("lodger", ConnectionEvent.UPDATED)
    await two.until_served("lodger")


async def test_events_about_other_services_and_projects_change_nothing(two: TwoInstances) -> None:
    """Connections of other services, projects without a connection and failed connections are ignored."""
    sandbox = two.platform.sandbox
    for event in ConnectionEvent:
        sandbox.announce_connection("project1", event, "rs-catalog")
        sandbox.announce_connection("stranger", event, "rs-catalog")
    sandbox.announce_connection("project1", ConnectionEvent.FAILED)
    sandbox.send(published_events.tenant_created("stranger"))
    sandbox.send(published_events.tenant_deleted("stranger"))
    sandbox.add_tenant("afterwards")
    await two.until_reported("afterwards")
    await fence(two.platform)

    assert two.states("stranger") == two.states("project1") == []
    await two.until_unknown("stranger")
    await two.until_served("project1")


async def test_a_project_whose_name_cannot_be_a_schema_is_reported_as_an_error(
    two: TwoInstances,
) -> None:
    """The report has a cause that an administrator understands; the next project is served."""
    two.platform.sandbox.add_tenant("Not-A-Schema")
    await two.until_reported("Not-A-Schema", "ERROR")
    two.platform.sandbox.add_tenant("next_one")
    await two.until_reported("next_one")

    *_, last = two.platform.sandbox.projects.connection_states["rs-order", "Not-A-Schema"]
    assert last["errorCause"] == (
        "'Not-A-Schema' can't be a tenant: use lower-case letters, digits and _, a letter first, "
        "at most 48 characters"
    )
    two.platform.sandbox.remove_tenant("Not-A-Schema")


async def test_a_project_is_served_while_its_report_cannot_be_delivered(two: TwoInstances) -> None:
    """The report is retried until rs-admin-instance is available again."""
    two.platform.sandbox.faults.outages = {Service.ADMIN_INSTANCE: Outage(mode=OutageMode.STATUS)}
    two.platform.sandbox.add_tenant("early")
    await two.until_served("early")
    await eventually(
        lambda: two.platform.sandbox.calls.counters["rs-admin-instance"] >= 3,
        "the report is retried",
    )
    states_before = two.states("early")
    two.platform.sandbox.faults.outages = {}
    await two.until_reported("early")

    assert states_before == []


@pytest.mark.parametrize(
    "body", [b"{", b"{}", b'{"tenant": {}, "microserviceName": "rs-order"}'], ids=str
)
async def test_an_unreadable_tenant_event_is_a_dead_letter_of_each_instance(
    two: TwoInstances, body: bytes, broker_of: FreshBroker
) -> None:
    """Each instance has a copy of its own, which becomes a dead letter with the reason."""
    connection = await aio_pika.connect(f"{broker_of.url.rstrip('/')}/{broker_of.instance_vhost}")
    async with connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange(CONNECTION_CREATED, ensure=False)
        await exchange.publish(
            aio_pika.Message(body, headers={"regards.tenant": "instance"}), routing_key=""
        )
        dead_letters = await channel.get_queue("regards.DLQ", ensure=False)
        found = [await _next(dead_letters) for _ in two.ports]

    assert [dead_letter.body for dead_letter in found] == [body, body]
    assert {dead_letter.headers["rs-order.reason"] for dead_letter in found} == {
        "not-converted-message"
    }


async def _next(queue: aio_pika.abc.AbstractQueue) -> aio_pika.abc.AbstractIncomingMessage:
    async def take() -> Any:
        return await queue.get(no_ack=True, fail=False)

    dead_letter: aio_pika.abc.AbstractIncomingMessage = await eventually(take, "a dead letter")
    return dead_letter


@pytest.fixture
def broker_of(two: TwoInstances) -> FreshBroker:
    settings = two.platform.settings
    return FreshBroker(
        settings.amqp_url.get_secret_value(),
        "",
        settings.amqp_vhost,
        settings.amqp_instance_vhost,
    )


async def test_both_instances_receive_a_change_of_rights(two: TwoInstances) -> None:
    """The events of rights go to every instance, even to one that only serves HTTP."""
    denied = "Access is denied"
    two.platform.sandbox.revoke("project1", "EXPLOIT", TEMPLATE, "GET")
    await two.until_answers("project1", denied)
    two.platform.sandbox.put_role("project1", "OPERATOR", Role(parent="REGISTERED_USER"))
    await two.until_answers("project1", "There is no order 987654321", "OPERATOR")
    two.platform.sandbox.grant("project1", "EXPLOIT", TEMPLATE, "GET")
    await two.until_served("project1")
    two.platform.sandbox.remove_role("project1", "OPERATOR")
    await two.until_answers("project1", denied, "OPERATOR")


async def test_the_queues_of_an_instance_end_with_it(two: TwoInstances) -> None:
    """An instance that only serves HTTP has its own queues, and doesn't consume steps (amqp.md 1.4)."""
    settings = two.platform.settings
    url = f"{settings.amqp_url.get_secret_value().rstrip('/')}/{settings.amqp_vhost}"
    queue = (
        "regards.broadcast.rs-order.short.fr.cnes.regards.framework.security.event."
        "SecurityEventHandler$RoleEventHandler"
    )
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        async with two.platform.service(
            ProcessRole.API, amqp_microservice_instance_identifier="short"
        ):
            alive = await channel.declare_queue(queue, passive=True)
            steps = await channel.declare_queue("rs-order.steps", passive=True)
        assert alive.declaration_result.consumer_count == 1
        assert steps.declaration_result.consumer_count == 1
        with pytest.raises(aio_pika.exceptions.ChannelNotFoundEntity):
            await channel.declare_queue(queue, passive=True)


async def test_existing_projects_are_read_from_the_platform(
    broker: FreshBroker, database_url: str
) -> None:
    """With this setting a service asks for its projects at its start, and retries until it has a response."""
    async with running_platform(
        broker, database_url, tenants=[], tenants_from_platform=True, remote_deadline=2
    ) as platform:
        platform.sandbox.faults.outages = {
            Service.ADMIN_INSTANCE: Outage(mode=OutageMode.DOWN, calls=2)
        }
        async with platform.service():
            for tenant in ("project1", "project2"):
                await platform.sandbox.projects.wait_for_state("rs-order", tenant, "ENABLED")
            done = await platform.peer.until_final(await platform.peer.order(EVE_01))

    assert done.status == "DONE"
