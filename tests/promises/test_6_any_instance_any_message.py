"""Promises 4 and 6: several instances share the work, and each order is told in order."""

from tests.acceptance.platform import Platform
from tests.promises.checks import WHOLE_STORY, told
from tests.promises.process import NOTHING_LEFT_TO_SEND, instance, until

ORDERS = 12


async def test_w10_promise_6_any_instance_any_message_with_two_instances(here: Platform) -> None:
    """Promise 4 too: 12 orders at once over two processes, each told from GRANTED to DONE, once."""
    async with (
        instance(here) as one,
        instance(here, amqp_microservice_instance_identifier="two") as two,
    ):
        orders = [await here.peer.order("*") for _ in range(ORDERS)]
        for correlation_id in orders:
            await here.peer.until_final(correlation_id)
        await until(here.database_url, NOTHING_LEFT_TO_SEND)

        assert [[r.status for r in told(here, order)] for order in orders] == [WHOLE_STORY] * ORDERS

        shares = [sum("step-done" in line for line in each.lines) for each in (one, two)]

        assert min(shares) > 0
        assert await here.rows("select from orders where status <> 'DONE'") == []


async def test_promise_6_any_instance_any_message_when_one_of_two_is_killed(
    here: Platform,
) -> None:
    """The other takes over what it held, without being told."""
    async with (
        instance(here),
        instance(here, amqp_microservice_instance_identifier="two") as victim,
    ):
        orders = [await here.peer.order("*") for _ in range(ORDERS)]
        await here.peer.until(orders[0], "GRANTED")
        await victim.kill()
        for correlation_id in orders:
            await here.peer.until_final(correlation_id)
        await until(here.database_url, NOTHING_LEFT_TO_SEND)

        assert [[r.status for r in told(here, order)] for order in orders] == [WHOLE_STORY] * ORDERS
