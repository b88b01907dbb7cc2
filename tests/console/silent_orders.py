"""Orders that are running for as long as a test looks at them, because storage is silent."""

from itertools import count

from rs_order.sandbox.synthetic import SyntheticDataset
from tests.acceptance.platform import Platform
from tests.support.polling import eventually

ON_TAPE = SyntheticDataset(name="tape", products=1_000)
"""A product for each order."""
_numbers = count(1)


async def ordered(here: Platform, user: str) -> int:
    """Place an order whose file storage doesn't bring back, and return its id once it is running.

    No other order has this file. Otherwise an answer for the order of an earlier test could end this one.
    """
    product = f"SYN_{ON_TAPE.name}_{next(_numbers):07}"
    async with here.client(user) as client:
        answer = await client.post("/user/orders/apply", json={"queries": [f"productId:{product}"]})
    order = int(answer.json()["content"]["orderId"])

    async def running() -> bool:
        rows = await here.rows("select status from orders where id = $1", order)
        return bool(rows[0]["status"] == "RUNNING")

    await eventually(running, "order RUNNING")
    return order
