"""An operator purges the step queues: the service rebuilds the lost steps from the tables."""

from datetime import timedelta

from rs_order.app.serve import Role
from rs_order.sandbox.faults import Faults
from tests.acceptance.platform import Platform, running_platform
from tests.acceptance.shared_platform import EVE_01, new_user, state_of, until_rows
from tests.support.polling import eventually
from tests.support.servers import FreshBroker

SECOND_CHECKS = """
    select count(*) from rs_order.outbox where body::json ->> 'confirms' = 'true' having count(*) = 2
"""
"""The reconciler has noted the stalled work of both queues, and checks it again in three minutes."""
STEPS = ("rs-order.steps", "rs-order.remote-steps")


async def test_orders_finish_after_a_purge_of_the_step_queues(
    broker: FreshBroker, database_url: str
) -> None:
    """One order is still to be read, one waits for storage; both lose their steps and end DONE."""
    faults = Faults(silence=True)
    async with running_platform(broker, database_url, faults=faults) as platform:
        async with platform.service():
            waiting = await _order(platform)
            await platform.sandbox.restores.wait_for_requests(1)
        platform.clock.ahead = timedelta(minutes=31)  # the next restore request is due
        async with platform.service(Role.API):
            pending = await _order(platform)
            for queue in STEPS:
                await _purge(platform, queue)
        platform.clock.ahead = timedelta(minutes=47)
        async with platform.service():
            await until_rows(platform, SECOND_CHECKS)
            platform.clock.ahead = timedelta(minutes=51)
            await until_rows(
                platform, "select from sub_order where order_id = $1 and asks = 2", waiting
            )
            await until_rows(
                platform, "select from sub_order where order_id = $1 and asks = 1", pending
            )
            platform.sandbox.restores.release()
            for order in (waiting, pending):
                await until_rows(
                    platform, "select from orders where id = $1 and status = 'DONE'", order
                )
                assert await state_of(platform, order) == "DONE"


async def _order(platform: Platform) -> int:
    """Order one nearline file over REST; return the order's id."""
    user = new_user(platform)
    async with platform.client(user) as client:
        answer = await client.post(
            "/user/orders/apply",
            json={"correlationId": user, "user": user, "queries": [EVE_01]},
        )
    assert answer.status_code == 200, answer.text
    return int(answer.json()["content"]["orderId"])


async def _purge(platform: Platform, name: str) -> None:
    queue = await platform.peer.channel.get_queue(name, ensure=False)

    async def filled() -> bool:
        known = await platform.peer.channel.declare_queue(name, passive=True)
        return bool(known.declaration_result.message_count)

    await eventually(filled, f"a step is in {name}")
    await queue.purge()
