"""The topology against a table written by hand from amqp.md 1.3-1.5 and 4."""

import asyncio
from collections.abc import Mapping
from typing import cast

import pytest
from aio_pika.abc import AbstractChannel

from rs_order.broker.errors import TopologyConflict
from rs_order.broker.queue_names import topology
from rs_order.broker.topology import Binding, Elements, Exchange, Topology, Vhost, declare
from tests.amqp.support import only, raw_channel
from tests.support.polling import WAIT_SECONDS
from tests.support.servers import FreshBroker

B = "regards.broadcast.rs-order."
BI = "regards.broadcast.rs-order.instance_1."
EVENT = "regards.broadcast.fr.cnes.regards."
REQUESTS = "fr.cnes.regards.modules.order.service.request."
CATALOG = "fr.cnes.regards.modules.filecatalog.client.handler."
PROCESSING = "fr.cnes.regards.modules.order.service.processing."
SECURITY = "fr.cnes.regards.framework.security.event.SecurityEventHandler"
CONNECTION = "fr.cnes.regards.framework.jpa.multitenant.event.MultitenantJpaEventHandler"
LISTENING = "fr.cnes.regards.framework.amqp.autoconfigure.AmqpEventHandler"
REMOTE = "fr.cnes.regards.microservices.administration.RemoteTenantEventHandler"
MAINTENANCE = "fr.cnes.regards.framework.microservice.maintenance.MaintenanceHealthIndicator"

BATCH_QUEUES = {
    f"{B}{REQUESTS}OrderRequestEventHandler": "modules.order.amqp.input.OrderRequestDtoEvent",
    f"{B}{REQUESTS}OrderCancelRequestEventHandler": (
        "modules.order.amqp.input.OrderCancelRequestDtoEvent"
    ),
    f"{B}{CATALOG}FileReferenceEventHandler": "modules.filecatalog.amqp.output.FileReferenceEvent",
    f"{B}{CATALOG}FileReferenceUpdateEventHandler": (
        "modules.filecatalog.amqp.output.FileReferenceUpdateEvent"
    ),
}
SINGLE_QUEUES = {
    f"{B}{PROCESSING}ProcessingExecutionResultEventHandler": (
        "modules.processing.domain.events.PExecutionResultEvent"
    ),
    f"{B}{PROCESSING}RightsPluginConfigurationEventHandler": (
        "modules.processing.event.RightsPluginConfigurationEvent"
    ),
}
SECURITY_QUEUES = {
    f"{BI}{SECURITY}$RoleEventHandler": "framework.security.event.RoleEvent",
    f"{BI}fr.cnes.regards.modules.accessrights.client.cache.RoleEventHandler$RoleEventListener": (
        "framework.security.event.RoleEvent"
    ),
    f"{BI}{SECURITY}$ResourceAccessUpdateHandler": "framework.security.event.ResourceAccessEvent",
    f"{BI}{SECURITY}$ResourceAccessInitHandler": "framework.security.event.ResourceAccessInit",
}
_TENANT = "framework.amqp.event.tenant."
_JPA = "framework.jpa.multitenant.event."
TENANT_QUEUES = {
    f"{BI}{LISTENING}$TenantCreationHandler": f"{_TENANT}TenantCreatedEvent",
    f"{BI}{REMOTE}$TenantCreatedEventHandler": f"{_TENANT}TenantCreatedEvent",
    f"{BI}{MAINTENANCE}$TenantCreatedEventHandler": f"{_TENANT}TenantCreatedEvent",
    f"{BI}{LISTENING}$TenantDeletionHandler": f"{_TENANT}TenantDeletedEvent",
    f"{BI}{REMOTE}$TenantDeletedEventHandler": f"{_TENANT}TenantDeletedEvent",
    f"{BI}{CONNECTION}$ConfigurationCreatedHandler": (
        f"{_JPA}TenantConnectionConfigurationCreated"
    ),
    f"{BI}{CONNECTION}$ConfigurationUpdatedHandler": (
        f"{_JPA}TenantConnectionConfigurationUpdated"
    ),
    f"{BI}{CONNECTION}$ConfigurationDeletedHandler": (
        f"{_JPA}TenantConnectionConfigurationDeleted"
    ),
    f"{BI}{CONNECTION}$TenantConnectionFailedHandler": f"{_JPA}TenantConnectionFailed",
}
OUT = [
    "modules.order.amqp.output.OrderResponseDtoEvent",
    "modules.filecatalog.amqp.input.FilesRestorationRequestEvent",
    "framework.amqp.event.notification.NotificationEvent",
    "modules.processing.domain.events.PExecutionRequestEvent",
    "framework.amqp.event.notifier.NotificationRequestEvent",
    "modules.processing.domain.events.DownloadedOutputFilesEvent",
]

FULL: Topology = topology(instance_identifier="instance_1")


def subscription(dead_letter_key: str) -> dict[str, str | int]:
    return {
        "x-max-priority": 255,
        "x-dead-letter-exchange": "regards.DLX",
        "x-dead-letter-routing-key": dead_letter_key,
    }


STEP_QUEUES = ("rs-order.steps", "rs-order.remote-steps")
MULTITENANT_ARGUMENTS: Mapping[str, tuple[bool, Mapping[str, str | int]]] = {
    **{name: (False, subscription(f"{name}.DLQ")) for name in BATCH_QUEUES},
    **{f"{name}.DLQ": (False, {"x-max-priority": 255}) for name in BATCH_QUEUES},
    **{name: (False, subscription("regards.DLQ")) for name in SINGLE_QUEUES},
    **{name: (True, subscription("regards.DLQ")) for name in SECURITY_QUEUES},
    "regards.DLQ": (False, {"x-max-priority": 255}),
    **{
        name: (
            False,
            {
                "x-queue-type": "quorum",
                "x-delivery-limit": 20,
                "x-dead-letter-exchange": "regards.DLX",
                "x-dead-letter-routing-key": f"{name}.DLQ",
                "x-dead-letter-strategy": "at-least-once",
                "x-overflow": "reject-publish",
            },
        )
        for name in STEP_QUEUES
    },
    **{
        f"{name}.DLQ": (False, {"x-queue-type": "quorum", "x-delivery-limit": 1_000_000_000})
        for name in STEP_QUEUES
    },
}
INSTANCE_ARGUMENTS: Mapping[str, tuple[bool, Mapping[str, str | int]]] = {
    **{name: (True, subscription("regards.DLQ")) for name in TENANT_QUEUES},
    "regards.DLQ": (False, {"x-max-priority": 255}),
}


def _queues(elements: Elements) -> dict[str, tuple[bool, dict[str, str | int]]]:
    return {queue.name: (queue.auto_delete, dict(queue.arguments)) for queue in elements.queues}


def test_queues_of_the_multitenant_vhost() -> None:
    """Names, auto-delete and every argument (amqp.md 1.4, 1.5, 4)."""
    assert _queues(FULL.multitenant) == MULTITENANT_ARGUMENTS


def test_queues_of_the_instance_vhost() -> None:
    """The nine queues for tenants and their connections (amqp.md 3.9)."""
    assert _queues(FULL.instance) == INSTANCE_ARGUMENTS


@pytest.mark.parametrize(
    ("elements", "subscribed", "published", "dead_letters"),
    [
        (
            FULL.multitenant,
            BATCH_QUEUES | SINGLE_QUEUES | SECURITY_QUEUES,
            OUT,
            ["regards.DLQ", *(f"{name}.DLQ" for name in (*STEP_QUEUES, *BATCH_QUEUES))],
        ),
        (
            FULL.instance,
            TENANT_QUEUES,
            ["framework.amqp.event.notification.NotificationEvent"],
            ["regards.DLQ"],
        ),
        (FULL.of_each_instance, SECURITY_QUEUES, [], ["regards.DLQ"]),
    ],
)
def test_exchanges_and_bindings(
    elements: Elements, subscribed: dict[str, str], published: list[str], dead_letters: list[str]
) -> None:
    """A fanout per event; dead letters are routed by the name of their queue."""
    events = {*subscribed.values(), *published}

    assert set(elements.exchanges) == {
        Exchange("regards.DLX", "topic"),
        *(Exchange(f"{EVENT}{event}", "fanout") for event in events),
    }
    assert len(elements.exchanges) == len(set(elements.exchanges))
    assert set(elements.bindings) == {
        *(Binding(queue, f"{EVENT}{event}", "") for queue, event in subscribed.items()),
        *(Binding(name, "regards.DLX", name) for name in dead_letters),
    }


def test_who_publishes_declares_only_the_queues_of_this_service() -> None:
    """A process that serves HTTP declares no queue that peers write to; nothing would consume it."""
    publishing = topology(instance_identifier="instance-1").multitenant.for_publishing
    names = {queue.name for queue in publishing.queues}

    assert {name for name in names if not name.endswith("DLQ")} == {
        "rs-order.steps",
        "rs-order.remote-steps",
    }
    assert {binding.exchange for binding in publishing.bindings} == {"regards.DLX"}
    assert {binding.queue for binding in publishing.bindings} < names


def test_names_follow_namespace_and_type() -> None:
    """Only the names of dead letters never follow the namespace (amqp.md 1.5)."""
    other = topology("ns", "rs-other", instance_identifier="i")

    assert other.order_requests.name == f"ns.broadcast.rs-other.{REQUESTS}OrderRequestEventHandler"
    assert (other.steps.name, other.remote_steps.name) == (
        "rs-other.steps",
        "rs-other.remote-steps",
    )
    assert Exchange("regards.DLX", "topic") in other.multitenant.exchanges
    assert other.dead_letter_queues(Vhost.INSTANCE) == ("regards.DLQ",)


def test_the_exchange_of_events_exists_only_if_they_are_published() -> None:
    """faces.md E-24: whoever publishes declares it, and there is no other difference."""
    publishing = topology(instance_identifier="instance_1", publishes_events=True)
    added = set(publishing.multitenant.exchanges) - set(FULL.multitenant.exchanges)

    assert added == {Exchange("rs-order.events", "topic")}
    assert publishing.multitenant.for_publishing.exchanges == publishing.multitenant.exchanges
    assert publishing.multitenant.queues == FULL.multitenant.queues
    assert publishing.instance == FULL.instance


async def test_declaring_everything_twice_changes_nothing(broker: FreshBroker) -> None:
    """Each start and each reconnection declares all of it."""
    async with raw_channel(broker.url, broker.vhost) as channel:
        await declare(channel, FULL.multitenant)
        await declare(channel, FULL.multitenant)
    async with raw_channel(broker.url, broker.instance_vhost) as channel:
        await declare(channel, FULL.instance)
        await declare(channel, FULL.instance)


class _Channels:
    """A connection whose queues are declared only when as many declarations wait as there are queues."""

    def __init__(self, queues: int) -> None:
        self.connection = self
        self._all = asyncio.Barrier(queues)

    async def get_underlay_channel(self) -> "_Channels":
        return self

    async def channel(self, **_: object) -> "_Channels":
        return self

    async def queue_declare(self, *_: object, **__: object) -> None:
        await self._all.wait()

    async def close(self) -> None: ...


async def test_queues_are_declared_together() -> None:
    """One with priorities takes the broker a quarter of a second (decision 0012), and an instance has 13."""
    queues = tuple(event.queue for event in (*FULL.security_events, *FULL.tenant_events))
    channel = cast("AbstractChannel", _Channels(len(queues)))

    async with asyncio.timeout(WAIT_SECONDS):
        await declare(channel, Elements((), queues, ()))


async def _declare_as_java(channel: AbstractChannel) -> None:
    """Declare the queues of a Java rs-order, with literal names and arguments."""
    await channel.declare_exchange("regards.DLX", "topic", durable=True)
    await channel.declare_queue("regards.DLQ", durable=True, arguments={"x-max-priority": 255})
    for name, event in BATCH_QUEUES.items():
        dead_letters = await channel.declare_queue(
            f"{name}.DLQ", durable=True, arguments={"x-max-priority": 255}
        )
        await dead_letters.bind("regards.DLX", f"{name}.DLQ")
        await _subscribe_as_java(channel, name, event, f"{name}.DLQ")
    for name, event in SINGLE_QUEUES.items():
        await _subscribe_as_java(channel, name, event, "regards.DLQ")


async def _subscribe_as_java(
    channel: AbstractChannel, name: str, event: str, dead_letter_key: str
) -> None:
    exchange = await channel.declare_exchange(f"{EVENT}{event}", "fanout", durable=True)
    queue = await channel.declare_queue(
        name,
        durable=True,
        arguments={
            "x-max-priority": 255,
            "x-dead-letter-exchange": "regards.DLX",
            "x-dead-letter-routing-key": dead_letter_key,
        },
    )
    await queue.bind(exchange)


async def test_a_broker_that_served_java_accepts_our_declarations(broker: FreshBroker) -> None:
    """The broker rejects other arguments with 406 (amqp.md 5, item 1)."""
    async with raw_channel(broker.url, broker.vhost) as channel:
        await _declare_as_java(channel)
        await declare(channel, FULL.multitenant)


async def test_other_attributes_are_a_clear_conflict(broker: FreshBroker) -> None:
    """The error names the queue and says what to do."""
    elements = only(FULL, "order_requests").multitenant
    async with raw_channel(broker.url, broker.vhost) as channel:
        await channel.declare_queue(FULL.order_requests.name, durable=True)

        with pytest.raises(TopologyConflict, match=r"OrderRequestEventHandler.*delete it"):
            await declare(channel, elements)
