"""Promises 4 and 6: several instances share the work; the responses to each order stay in order."""

from tests.acceptance.platform import Platform
from tests.promises.checks import ALL_STATUSES, unique_responses
from tests.promises.process import ALL_MESSAGES_SENT, instance, until

ORDERS = 12


async def test_w10_promise_6_any_instance_any_message_with_two_instances(
    platform: Platform,
) -> None:
    """Promise 4 too: 12 orders at once on two processes; each has its responses once and in order."""
    async with (
        instance(platform) as one,
        instance(platform, amqp_microservice_instance_identifier="two") as two,
    ):
        orders = [await platform.peer.order("*") for _ in range(ORDERS)]
        for correlation_id in orders:
            await platform.peer.until_final(correlation_id)
        await until(platform.database_url, ALL_MESSAGES_SENT)

        assert [[r.status for r in unique_responses(platform, order)] for order in orders] == [
            ALL_STATUSES
        ] * ORDERS

        shares = [sum("step-done" in line for line in each.lines) for each in (one, two)]

        assert min(shares) > 0
        assert await platform.rows("select from orders where status <> 'DONE'") == []


async def test_promise_6_any_instance_any_message_when_one_of_two_is_killed(
    platform: Platform,
) -> None:
    """The other instance takes over its work, without any notification."""
    async with (
        instance(platform),
        instance(platform, amqp_microservice_instance_identifier="two") as killed,
    ):
        orders = [await platform.peer.order("*") for _ in range(ORDERS)]
        await platform.peer.until(orders[0], "GRANTED")
        await killed.kill()
        for correlation_id in orders:
            await platform.peer.until_final(correlation_id)
        await until(platform.database_url, ALL_MESSAGES_SENT)

        assert [[r.status for r in unique_responses(platform, order)] for order in orders] == [
            ALL_STATUSES
        ] * ORDERS
