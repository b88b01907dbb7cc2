"""Messages that no contract allows. Each has to become a dead letter, and nothing else may happen."""

from dataclasses import dataclass, field
from typing import Final

import aio_pika

from rs_order.demo.servers.lifecycle import VHOSTS
from tests.acceptance.peer import CANCELS, REQUESTS
from tests.acceptance.processing import RESULT_QUEUE
from tests.acceptance.shared_platform import FILE_REFERENCE_QUEUE
from tests.fault_run.deployment import Deployment
from tests.fault_run.plan import TENANTS

MARK: Final = "rubbish"
"""The header that every rubbish message has."""
_BODIES: Final = (
    b"",
    b"{",
    b"[]",
    b"null",
    b'"rubbish"',
    b"\xff\xfe",
    b'{"correlationId": {"a": 1}, "queries": 7}',
    b"[" * 5000,
)
_QUEUES: Final = (FILE_REFERENCE_QUEUE, RESULT_QUEUE, "rs-order.steps", "rs-order.remote-steps")


@dataclass
class Rubbish:
    """Publishes rubbish for every queue of the service that peers write to."""

    deployment: Deployment
    published: int = field(default=0, init=False)

    async def begin(self) -> None:
        url = f"{self.deployment.servers.amqp_url}/{VHOSTS[0]}"
        async with await aio_pika.connect(url) as connection:
            channel = await connection.channel()
            for body in _BODIES:
                for exchange in (REQUESTS, CANCELS):
                    target = await channel.get_exchange(exchange, ensure=False)
                    await target.publish(_message(body, TENANTS[0]), "")
                for queue in _QUEUES:
                    await channel.default_exchange.publish(_message(body, TENANTS[0]), queue)
            target = await channel.get_exchange(REQUESTS, ensure=False)
            await target.publish(_message(b"{}", "no-such-tenant"), "")

    async def end(self) -> None:
        """Do nothing: the service has to deal with what was published."""


def _message(body: bytes, tenant: str) -> aio_pika.Message:
    return aio_pika.Message(
        body,
        headers={"regards.tenant": tenant, MARK: "yes"},
        content_type="application/json",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
    )
