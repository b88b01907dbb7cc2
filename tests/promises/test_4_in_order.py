"""Promise 4: in order, even if connections to the broker break."""

from rs_order.sandbox.faults import Faults
from tests.acceptance.platform import Platform
from tests.promises.checks import ALL_STATUSES, unique_responses
from tests.promises.process import ALL_MESSAGES_SENT, instance, until
from tests.support.proxy import tcp_proxy

ORDERS = 5


async def test_w13_promise_4_in_order_when_connections_are_cut(platform: Platform) -> None:
    """Lost acknowledgements and confirms cause repetitions, but the responses stay in order."""
    platform.sandbox.faults.become(Faults(nearline_seconds=0.2, nearline_jitter=1))
    async with (
        tcp_proxy(platform.settings.amqp_url.get_secret_value()) as proxy,
        instance(platform, amqp_url=proxy.url),
    ):
        orders = [await platform.peer.order("*") for _ in range(ORDERS)]
        await platform.peer.until(orders[0], "GRANTED")
        proxy.cut()
        await platform.peer.until(orders[0], "SUBORDER_DONE")
        proxy.cut()
        for correlation_id in orders:
            await platform.peer.until_final(correlation_id)
        await until(platform.database_url, ALL_MESSAGES_SENT)

        assert [[r.status for r in unique_responses(platform, order)] for order in orders] == [
            ALL_STATUSES
        ] * ORDERS
