"""Checks of a finished order, whatever failures happened on its way."""

from collections import Counter

from tests.acceptance.peer import Received
from tests.acceptance.platform import Platform
from tests.promises.conftest import FILES

SUB_ORDERS = 3
ALL_STATUSES = ["GRANTED", *["SUBORDER_DONE"] * SUB_ORDERS, "DONE"]


def unique_responses(platform: Platform, correlation_id: str) -> list[Received]:
    """Return the responses without repetitions of a ``message_id``."""
    unique: dict[str | None, Received] = {}
    for response in platform.peer.responses(correlation_id):
        unique.setdefault(response.message_id, response)
    return list(unique.values())


async def assert_done_once(platform: Platform, correlation_id: str) -> None:
    """Assert DONE, each response once and in order, each file once, and correct counters."""
    responses = unique_responses(platform, correlation_id)
    sub_orders = [one.body["subOrderId"] for one in responses if one.status == "SUBORDER_DONE"]

    assert [one.status for one in responses] == ALL_STATUSES
    assert len(set(sub_orders)) == SUB_ORDERS

    (order,) = await platform.rows(
        "select status, pending_files, available_files, sub_orders, waiting_sub_orders from orders"
    )

    assert dict(order) == {
        "status": "DONE",
        "pending_files": 0,
        "available_files": FILES,
        "sub_orders": SUB_ORDERS,
        "waiting_sub_orders": SUB_ORDERS,
    }

    names = Counter(row["name"] for row in await platform.rows("select name from data_file"))

    assert len(names) == FILES
    assert set(names.values()) == {1}
    assert await platform.rows("select from completion") == []
    assert (
        await platform.rows(
            "select sub_order.id from sub_order"
            " join (select sub_order_id, count(*) as files from data_file where state = 'AVAILABLE'"
            "       group by sub_order_id) as counted on counted.sub_order_id = sub_order.id"
            " where counted.files <> available_files"
        )
        == []
    )
