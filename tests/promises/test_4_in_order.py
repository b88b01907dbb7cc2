"""Promise 4: in order, also when the broker's connections break in the middle."""

from rs_order.sandbox.faults import Faults
from tests.acceptance.platform import Platform
from tests.promises.checks import WHOLE_STORY, told
from tests.promises.process import NOTHING_LEFT_TO_SEND, instance, until
from tests.support.proxy import tcp_proxy

ORDERS = 5


async def test_w13_promise_4_in_order_when_connections_are_cut(here: Platform) -> None:
    """What was delivered and not acknowledged comes again, what was not confirmed is said again."""
    here.sandbox.faults.become(Faults(nearline_seconds=0.2, nearline_jitter=1))
    async with (
        tcp_proxy(here.settings.amqp_url.get_secret_value()) as proxy,
        instance(here, amqp_url=proxy.url),
    ):
        orders = [await here.peer.order("*") for _ in range(ORDERS)]
        await here.peer.until(orders[0], "GRANTED")
        proxy.cut()
        await here.peer.until(orders[0], "SUBORDER_DONE")
        proxy.cut()
        for correlation_id in orders:
            await here.peer.until_final(correlation_id)
        await until(here.database_url, NOTHING_LEFT_TO_SEND)

        assert [[r.status for r in told(here, order)] for order in orders] == [WHOLE_STORY] * ORDERS
