"""What has to hold at the end of an order, however it came there."""

from collections import Counter

from tests.acceptance.peer import Received
from tests.acceptance.platform import Platform
from tests.promises.conftest import FILES

SUB_ORDERS = 3
WHOLE_STORY = ["GRANTED", *["SUBORDER_DONE"] * SUB_ORDERS, "DONE"]


def told(here: Platform, correlation_id: str) -> list[Received]:
    """Responses as a peer takes them that drops doubles by ``message_id``."""
    once: dict[str | None, Received] = {}
    for response in here.peer.responses(correlation_id):
        once.setdefault(response.message_id, response)
    return list(once.values())


async def assert_done_once(here: Platform, correlation_id: str) -> None:
    """DONE, each transition told once and in order, every file there once, all counters true."""
    story = told(here, correlation_id)
    sub_orders = [one.body["subOrderId"] for one in story if one.status == "SUBORDER_DONE"]

    assert [one.status for one in story] == WHOLE_STORY
    assert len(set(sub_orders)) == SUB_ORDERS

    (order,) = await here.rows(
        "select status, pending_files, available_files, sub_orders, waiting_sub_orders from orders"
    )

    assert dict(order) == {
        "status": "DONE",
        "pending_files": 0,
        "available_files": FILES,
        "sub_orders": SUB_ORDERS,
        "waiting_sub_orders": SUB_ORDERS,
    }

    names = Counter(row["name"] for row in await here.rows("select name from data_file"))

    assert len(names) == FILES
    assert set(names.values()) == {1}
    assert await here.rows("select from completion") == []
    assert (
        await here.rows(
            "select sub_order.id from sub_order"
            " join (select sub_order_id, count(*) as files from data_file where state = 'AVAILABLE'"
            "       group by sub_order_id) as counted on counted.sub_order_id = sub_order.id"
            " where counted.files <> available_files"
        )
        == []
    )
