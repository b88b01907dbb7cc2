"""Projects that the platform connects us to and takes away, on two instances (amqp.md 3.9, 5.9)."""

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
from tests.acceptance.platform import Platform, platform
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
    """A deployment of a process that does everything and one that serves HTTP only."""

    here: Platform
    ports: tuple[int, int]

    async def answers(
        self, tenant: str, role: str = "REGISTERED_USER"
    ) -> list[tuple[int, list[str]]]:
        """What each instance says to a user who asks for an order that isn't there."""
        found = []
        for port in self.ports:
            async with self.here.client("jane@example.org", role, tenant) as client:
                answer = await client.get(f"http://127.0.0.1:{port}{NO_ORDER}")
                found.append((answer.status_code, answer.json()["messages"]))
        return found

    async def until_answers(self, tenant: str, expected: str, role: str = "EXPLOIT") -> None:
        """Until both instances say the same to a user of a project."""

        async def all_say_so() -> bool:
            return all(messages == [expected] for _, messages in await self.answers(tenant, role))

        await eventually(all_say_so, f"both instances: {expected}")

    async def until_served(self, tenant: str) -> None:
        await self.until_answers(tenant, "There is no order 987654321")

    async def until_gone(self, tenant: str) -> None:
        await self.until_answers(tenant, f"There is no project {tenant} here")

    def states(self, tenant: str) -> list[str]:
        reported = self.here.sandbox.projects.connection_states.get(("rs-order", tenant), [])
        return [one["state"] for one in reported]

    async def reported(self, tenant: str, state: str = "ENABLED") -> None:
        await self.here.sandbox.projects.wait_for_state("rs-order", tenant, state)

    async def order(self, tenant: str) -> str:
        """Ask for an order in a project; the correlation id."""
        return await self.here.peer.order(EVE_01, user=new_user(self.here), tenant=tenant)


@pytest.fixture(scope="module")
async def _two(
    servers: Servers, _database_admin: asyncpg.Connection, _reused_broker: ReusedBroker
) -> AsyncIterator[TwoInstances]:
    async with (
        fresh_database(_database_admin, servers.database_url) as database_url,
        _reused_broker.virtual_hosts() as broker,
        platform(broker, database_url, remote_deadline=2) as here,
        here.service() as everything,
        here.service(ProcessRole.API, amqp_microservice_instance_identifier="api") as rest_only,
    ):
        yield TwoInstances(here, (everything, rest_only))


@pytest.fixture
async def two(_two: TwoInstances) -> AsyncIterator[TwoInstances]:
    yield _two
    _two.here.sandbox.faults.outages = {}
    for tenant in [
        one for one in _two.here.sandbox.projects if one not in {"project1", "project2"}
    ]:
        _two.here.sandbox.remove_tenant(tenant)
        await _two.until_gone(tenant)


async def test_a_project_that_comes(two: TwoInstances) -> None:
    """Provisioned, reported, registered, and usable at once over AMQP and on every instance."""
    two.here.sandbox.add_tenant("newcomer")
    await two.reported("newcomer")
    response = await two.here.peer.until_final(await two.order("newcomer"))
    await two.until_served("newcomer")

    assert response.status == "DONE"
    assert response.headers["regards.tenant"] == "newcomer"
    assert two.states("newcomer")[0] == "CONNECTING"
    assert two.here.sandbox.roles.resources("newcomer", "EXPLOIT", "rs-order")


async def test_a_project_that_goes_and_comes_again(two: TwoInstances) -> None:
    """While it is away it is unknown, over AMQP and on every instance; its data is still there after."""
    two.here.sandbox.add_tenant("migrant")
    await two.reported("migrant")
    done = await two.here.peer.until_final(await two.order("migrant"))
    two.here.sandbox.remove_tenant("migrant")
    await two.until_gone("migrant")
    refused = await two.order("migrant")
    letter = await _letter_of(two.here, refused)
    two.here.sandbox.add_tenant("migrant")
    await two.until_served("migrant")
    async with two.here.client("exploit@example.org", "EXPLOIT", "migrant") as client:
        zipped = await client.get(
            f"http://127.0.0.1:{two.ports[1]}/user/orders/{done.body['orderId']}/download"
        )

    assert letter.headers["rs-order.reason"] == "unknown-tenant"
    assert two.here.peer.responses(refused) == []
    assert zipped.status_code == 200


async def _letter_of(here: Platform, correlation_id: str) -> aio_pika.abc.AbstractIncomingMessage:
    while True:
        letter = await here.peer.dead_letter(f"{REQUEST_QUEUE}.DLQ")
        if json.loads(letter.body)["correlationId"] == correlation_id:
            return letter


async def test_a_connection_that_is_taken_away(two: TwoInstances) -> None:
    """The project stays, but isn't ours to serve any more; an updated connection brings it back."""
    two.here.sandbox.add_tenant("lodger")
    await two.until_served("lodger")
    two.here.sandbox.announce_connection("lodger", ConnectionEvent.DELETED)
    await two.until_gone("lodger")
    two.here.sandbox.announce_connection("lodger", ConnectionEvent.UPDATED)
    await two.until_served("lodger")


async def test_what_is_no_concern_of_ours(two: TwoInstances) -> None:
    """Another service's connection, a project without one, a failure that somebody met: nothing."""
    sandbox = two.here.sandbox
    for event in ConnectionEvent:
        sandbox.announce_connection("project1", event, "rs-catalog")
        sandbox.announce_connection("stranger", event, "rs-catalog")
    sandbox.announce_connection("project1", ConnectionEvent.FAILED)
    sandbox.send(published_events.tenant_created("stranger"))
    sandbox.send(published_events.tenant_deleted("stranger"))
    sandbox.add_tenant("afterwards")
    await two.reported("afterwards")
    await fence(two.here)

    assert two.states("stranger") == two.states("project1") == []
    await two.until_gone("stranger")
    await two.until_served("project1")


async def test_a_project_whose_name_cannot_be_a_schema(two: TwoInstances) -> None:
    """ERROR with a cause that an administrator understands; the next one is served."""
    two.here.sandbox.add_tenant("Not-A-Schema")
    await two.reported("Not-A-Schema", "ERROR")
    two.here.sandbox.add_tenant("next_one")
    await two.reported("next_one")

    *_, last = two.here.sandbox.projects.connection_states["rs-order", "Not-A-Schema"]
    assert last["errorCause"] == (
        "'Not-A-Schema' can't be a tenant: use lower-case letters, digits and _, a letter first, "
        "at most 48 characters"
    )
    two.here.sandbox.remove_tenant("Not-A-Schema")


async def test_a_report_that_nobody_takes(two: TwoInstances) -> None:
    """The project is served all the same; rs-admin-instance hears of it when it is back."""
    two.here.sandbox.faults.outages = {Service.ADMIN_INSTANCE: Outage(mode=OutageMode.STATUS)}
    two.here.sandbox.add_tenant("early")
    await two.until_served("early")
    await eventually(
        lambda: two.here.sandbox.calls.counters["rs-admin-instance"] >= 3, "asked again"
    )
    unheard = two.states("early")
    two.here.sandbox.faults.outages = {}
    await two.reported("early")

    assert unheard == []


@pytest.mark.parametrize(
    "body", [b"{", b"{}", b'{"tenant": {}, "microserviceName": "rs-order"}'], ids=str
)
async def test_a_tenant_event_that_cannot_be_read(
    two: TwoInstances, body: bytes, broker_of: FreshBroker
) -> None:
    """Each instance keeps its copy with the reason, in the dead letters of the instance's virtual host."""
    connection = await aio_pika.connect(f"{broker_of.url.rstrip('/')}/{broker_of.instance_vhost}")
    async with connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange(CONNECTION_CREATED, ensure=False)
        await exchange.publish(
            aio_pika.Message(body, headers={"regards.tenant": "instance"}), routing_key=""
        )
        letters = await channel.get_queue("regards.DLQ", ensure=False)
        found = [await _next(letters) for _ in two.ports]

    assert [letter.body for letter in found] == [body, body]
    assert {letter.headers["rs-order.reason"] for letter in found} == {"not-converted-message"}


async def _next(queue: aio_pika.abc.AbstractQueue) -> aio_pika.abc.AbstractIncomingMessage:
    async def take() -> Any:
        return await queue.get(no_ack=True, fail=False)

    letter: aio_pika.abc.AbstractIncomingMessage = await eventually(take, "a dead letter")
    return letter


@pytest.fixture
def broker_of(two: TwoInstances) -> FreshBroker:
    settings = two.here.settings
    return FreshBroker(
        settings.amqp_url.get_secret_value(),
        "",
        settings.amqp_vhost,
        settings.amqp_instance_vhost,
    )


async def test_both_instances_hear_of_a_right(two: TwoInstances) -> None:
    """The events of rights are addressed to every instance, those that take no work included."""
    refused = "Access is denied"
    two.here.sandbox.revoke("project1", "EXPLOIT", TEMPLATE, "GET")
    await two.until_answers("project1", refused)
    two.here.sandbox.put_role("project1", "OPERATOR", Role(parent="REGISTERED_USER"))
    await two.until_answers("project1", "There is no order 987654321", "OPERATOR")
    two.here.sandbox.grant("project1", "EXPLOIT", TEMPLATE, "GET")
    await two.until_served("project1")
    two.here.sandbox.remove_role("project1", "OPERATOR")
    await two.until_answers("project1", refused, "OPERATOR")


async def test_the_queues_of_an_instance_end_with_it(two: TwoInstances) -> None:
    """An instance that only serves HTTP has its own, and takes nobody's work (amqp.md 1.4)."""
    settings = two.here.settings
    url = f"{settings.amqp_url.get_secret_value().rstrip('/')}/{settings.amqp_vhost}"
    queue = (
        "regards.broadcast.rs-order.short.fr.cnes.regards.framework.security.event."
        "SecurityEventHandler$RoleEventHandler"
    )
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        async with two.here.service(ProcessRole.API, amqp_microservice_instance_identifier="short"):
            alive = await channel.declare_queue(queue, passive=True)
            steps = await channel.declare_queue("rs-order.steps", passive=True)
        assert alive.declaration_result.consumer_count == 1
        assert steps.declaration_result.consumer_count == 1
        with pytest.raises(aio_pika.exceptions.ChannelNotFoundEntity):
            await channel.declare_queue(queue, passive=True)


async def test_projects_that_were_there_before(broker: FreshBroker, database_url: str) -> None:
    """When told to, a service asks which projects it should serve; it asks until it is answered."""
    async with platform(
        broker, database_url, tenants=[], tenants_from_platform=True, remote_deadline=2
    ) as here:
        here.sandbox.faults.outages = {
            Service.ADMIN_INSTANCE: Outage(mode=OutageMode.DOWN, calls=2)
        }
        async with here.service():
            for tenant in ("project1", "project2"):
                await here.sandbox.projects.wait_for_state("rs-order", tenant, "ENABLED")
            done = await here.peer.until_final(await here.peer.order(EVE_01))

    assert done.status == "DONE"
