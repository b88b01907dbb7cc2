"""Cancel requests: they get no response, and delete an order for good in any of its states."""

from collections.abc import Awaitable, Callable

from rs_order.sandbox.faults import Outage, OutageMode, Service
from tests.acceptance.platform import Platform
from tests.acceptance.shared_platform import EVE_01, fence, md5_of, new_user, state_of, until_rows
from tests.support.polling import eventually

DAM = Service.DAM
THREE_DATASETS = [EVE_01, "productId:PSP_MAG_20200104", "productId:GOES13_20170901"]


async def test_w9_a_pending_order_is_cancelled_while_its_page_is_read(
    platform: Platform,
) -> None:
    """The completion step drops the files that it read for an order deleted meanwhile (W9)."""
    platform.sandbox.faults.outages = {
        Service.DAM: Outage(mode=OutageMode.SLOW, seconds=3, calls=1)
    }
    correlation_id = await platform.peer.order(EVE_01, user=new_user(platform))
    order_id = (await platform.peer.until(correlation_id, "GRANTED")).body["orderId"]
    await platform.sandbox.calls.wait_for(Service.DAM, 1)

    assert await state_of(platform, order_id) == "PENDING"

    await platform.peer.cancel(order_id)
    await until_deleted(platform, order_id)
    (call,) = platform.sandbox.calls.recent(Service.DAM)
    await eventually(lambda: call.status is not None, "rs-dam's slow answer")
    await fence(platform)

    assert platform.peer.statuses(correlation_id) == ["GRANTED"]
    assert await left_of(platform, order_id) == {"files": 0, "sub_orders": 0, "history": 1}


async def test_w35_a_running_order_is_cancelled_and_a_late_file_changes_nothing(
    platform: Platform,
) -> None:
    """Its files are deleted in slices; a late event of storage changes nothing."""
    platform.sandbox.faults.silence = True
    correlation_id = await platform.peer.order(EVE_01, user=new_user(platform))
    order_id = (await platform.peer.until(correlation_id, "GRANTED")).body["orderId"]
    await platform.sandbox.restores.wait_for_pending(1)

    assert await state_of(platform, order_id) == "RUNNING"

    await platform.peer.cancel(order_id)
    await until_deleted(platform, order_id)
    platform.sandbox.faults.silence = False
    released = platform.sandbox.restores.release()
    await fence(platform)

    assert released == 1
    assert platform.peer.statuses(correlation_id) == ["GRANTED"]
    assert await state_of(platform, order_id) == "DELETED"


async def test_an_order_that_waits_for_its_user_is_cancelled_and_its_slots_are_free(
    platform: Platform,
) -> None:
    """Its remaining sub-order is never requested from storage; the user's next order starts at once."""
    user = new_user(platform)
    correlation_id = await platform.peer.order(*THREE_DATASETS, user=user)
    order_id = (await platform.peer.until(correlation_id, "SUBORDER_DONE", 2)).body["orderId"]

    assert await state_of(platform, order_id) == "RUNNING"

    await platform.peer.cancel(order_id)
    await until_deleted(platform, order_id)
    final = await platform.peer.until_final(await platform.peer.order(EVE_01, user=user))

    assert final.status == "DONE"
    assert platform.peer.statuses(correlation_id) == ["GRANTED", "SUBORDER_DONE", "SUBORDER_DONE"]
    assert platform.sandbox.restores.requested == 3


async def test_a_finished_order_is_cancelled_and_can_no_longer_be_downloaded(
    platform: Platform,
) -> None:
    """DONE becomes DELETED, and its download link no longer works."""
    user = new_user(platform)
    correlation_id = await platform.peer.order(EVE_01, user=user)
    order_id = (await platform.peer.until_final(correlation_id)).body["orderId"]
    await platform.peer.cancel(order_id)
    await until_deleted(platform, order_id)
    answer = await platform.download(order_id, email=user)

    assert answer.status_code != 200
    assert platform.peer.statuses(correlation_id) == ["GRANTED", "SUBORDER_DONE", "DONE"]


async def test_a_failed_order_is_cancelled(platform: Platform) -> None:
    """FAILED becomes DELETED."""
    platform.sandbox.faults.storage_errors = {md5_of("eve_01.txt"): "tape is broken"}
    correlation_id = await platform.peer.order(EVE_01, user=new_user(platform))
    order_id = (await platform.peer.until_final(correlation_id)).body["orderId"]

    assert await state_of(platform, order_id) == "FAILED"

    await platform.peer.cancel(order_id)
    await until_deleted(platform, order_id)


async def test_cancelling_an_order_twice_or_an_unknown_order_does_nothing(
    platform: Platform,
) -> None:
    """Repeated cancels delete once; cancels of unknown orders don't affect the others of their batch."""
    first = await platform.peer.until_final(
        await platform.peer.order(EVE_01, user=new_user(platform))
    )
    second = await platform.peer.until_final(
        await platform.peer.order(EVE_01, user=new_user(platform))
    )
    await platform.peer.cancel(first.body["orderId"])
    await until_deleted(platform, first.body["orderId"])
    for order_id in (first.body["orderId"], 2**40, -1, 2**63 - 1, second.body["orderId"]):
        await platform.peer.cancel(order_id)
        await platform.peer.cancel(order_id)
    await until_deleted(platform, second.body["orderId"])
    deletions = await platform.rows(
        "select order_id from history where after = 'DELETED' and order_id = any($1)",
        [first.body["orderId"], second.body["orderId"]],
    )

    assert sorted(row["order_id"] for row in deletions) == [
        first.body["orderId"],
        second.body["orderId"],
    ]


Moment = Callable[[Platform, str, int], Awaitable[object]]
MOMENTS: dict[str, Moment] = {
    "granted": lambda platform, order, _: platform.peer.until(order, "GRANTED"),
    "its first dataset is read": lambda platform, _, calls: platform.sandbox.calls.wait_for(
        DAM, calls + 1
    ),
    "its last dataset is read": lambda platform, _, calls: platform.sandbox.calls.wait_for(
        DAM, calls + 3
    ),
    "a sub-order is ready": lambda platform, order, _: platform.peer.until(order, "SUBORDER_DONE"),
    "its slots are taken": lambda platform, order, _: platform.peer.until(
        order, "SUBORDER_DONE", 2
    ),
}
"""Wait for a moment in the life of an order of three datasets, at which its cancel is sent."""


async def test_orders_are_cancelled_at_any_moment_after_their_grant(platform: Platform) -> None:
    """Each is deleted, and causes no further restore request or response."""
    platform.sandbox.faults.outages = {DAM: Outage(mode=OutageMode.SLOW, seconds=0.05)}
    cancelled = [await _cancelled(platform, moment) for moment in MOMENTS.values()]
    for order_id in cancelled:
        await until_deleted(platform, order_id)
    await fence(platform)
    requested = platform.sandbox.restores.requested
    responses = await _responses_to(platform, cancelled)
    for _ in range(2):
        await fence(platform)

    assert platform.sandbox.restores.requested - requested == 2
    assert await _responses_to(platform, cancelled) == responses
    for order_id in cancelled:
        assert _in_order(responses[order_id])
        assert await state_of(platform, order_id) == "DELETED"
        assert await left_of(platform, order_id) == {"files": 0, "sub_orders": 0, "history": 1}


async def _cancelled(platform: Platform, moment: Moment) -> int:
    """Order, send a cancel at a moment, and return the order's id."""
    calls = platform.sandbox.calls.counters[DAM]
    correlation_id = await platform.peer.order(*THREE_DATASETS, user=new_user(platform))
    await moment(platform, correlation_id, calls)
    order_id: int = (await platform.peer.until(correlation_id, "GRANTED")).body["orderId"]
    await platform.peer.cancel(order_id)
    return order_id


async def _responses_to(platform: Platform, orders: list[int]) -> dict[int, list[str]]:
    """Return the statuses that the peer received of each order, once the relay has sent everything."""
    await until_rows(
        platform,
        "select 1 where not exists (select 1 from rs_order.outbox where kind = 'ORDER_RESPONSE')",
    )
    return {
        order_id: [
            one.status for one in platform.peer.received if one.body.get("orderId") == order_id
        ]
        for order_id in orders
    }


def _in_order(statuses: list[str]) -> bool:
    """True if GRANTED comes first, a final status last if at all, and only SUBORDER_DONE repeats."""
    middle = [status for status in statuses[1:] if status != "SUBORDER_DONE"]
    return statuses[0] == "GRANTED" and middle in ([], statuses[-1:])


async def until_deleted(platform: Platform, order_id: int) -> None:
    """Wait until the order is DELETED and its files and sub-orders are deleted."""
    await until_rows(
        platform,
        "select 1 from orders where id = $1 and status = 'DELETED' and not exists"
        " (select 1 from data_file where order_id = $1)"
        " and not exists (select 1 from sub_order where order_id = $1)",
        order_id,
    )


async def left_of(platform: Platform, order_id: int) -> dict[str, int]:
    (row,) = await platform.rows(
        "select (select count(*) from data_file where order_id = $1) as files,"
        " (select count(*) from sub_order where order_id = $1) as sub_orders,"
        " (select count(*) from history where order_id = $1 and after = 'DELETED') as history",
        order_id,
    )
    return dict(row)
